"""Folders of .mp4 and .gif files: anybody's videos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from viper_pipeline.errors import BadData
from viper_pipeline.videos.episode import Episode, unknown_rewards
from viper_pipeline.videos.importers import checked
from viper_pipeline.videos.resize import resized

ENDINGS = (".mp4", ".gif", ".avi", ".mov", ".webm", ".mkv")


def read(path: Path, size: int) -> Iterator[Episode]:
    """Every video below `path`, in the order of names; each is one episode of unknown return."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
    if not files:
        raise BadData(f"{path}: holds no video ({', '.join(ENDINGS)})")
    for file in files:
        frames = checked(_frames(file), file)
        yield Episode(resized(frames, size), unknown_rewards(len(frames)))


def _frames(file: Path) -> np.ndarray:
    import imageio.v3 as iio

    try:
        plugin = "pillow" if file.suffix.lower() == ".gif" else "FFMPEG"
        frames = np.stack(list(iio.imiter(file, plugin=plugin)))
    except Exception as error:  # decoders have many exceptions of their own
        raise BadData(
            f"{file}: not a readable video ({str(error).splitlines()[0] if str(error) else error!r})"
        ) from error
    return frames[..., :3] if frames.ndim == 4 else np.repeat(frames[..., None], 3, -1)
