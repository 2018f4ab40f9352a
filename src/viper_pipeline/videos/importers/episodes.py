"""Episodes in this project's own HDF5."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from viper_pipeline.videos.episode import Episode
from viper_pipeline.videos.importers import checked
from viper_pipeline.videos.resize import resized
from viper_pipeline.videos.store import EpisodeFile
from viper_pipeline.videos.verify import verify


def read(path: Path, size: int, **_: object) -> Iterator[Episode]:
    """Group `episodes` of a file, which must be as it was written."""
    verify(path)
    for episode in EpisodeFile(path).group("episodes"):
        frames = resized(checked(episode.frames, path), size)
        yield Episode(frames, episode.rewards, episode.seed, episode.kind)
