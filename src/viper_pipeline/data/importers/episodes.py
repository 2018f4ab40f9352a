"""Our own files: group `episodes` of an HDF5 file, with returns, seeds and kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from viper_pipeline.data.episode import Episode, resized
from viper_pipeline.data.hdf5 import EpisodeFile, verify
from viper_pipeline.data.importers import checked


def read(path: Path, size: int, **_: object) -> Iterator[Episode]:
    """Every episode of a file whose checksum and fields are as they were written. Raises BadData otherwise."""
    verify(path)
    for episode in EpisodeFile(path).group("episodes"):
        frames = resized(checked(episode.frames, path), size)
        yield Episode(frames, episode.rewards, episode.seed, episode.kind)
