"""Folders as the paper's authors released them: `<task>/{train,test}/*.npz`, one uint8 array `arr_0` per file."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode, resized, unknown_rewards
from viper_pipeline.data.importers import checked_frames

RETURN = re.compile(r"-rew(?P<minus>m?)(?P<number>\d+(\.\d+)?)$")
"""Their file names end in the episode's return, a minus sign written m. Other endings say nothing."""


def read_npz(path: Path, size: int, **_: object) -> Iterator[Episode]:
    """Every *.npz below `path`, in the order of names; a return in the file's name becomes the last frame's reward."""
    files = [path] if path.is_file() else sorted(path.rglob("*.npz"))
    if not files:
        raise BadData(f"{path}: holds no .npz file")
    for file in files:
        frames = resized(checked_frames(_array(file), file), size)
        rewards = unknown_rewards(len(frames))
        if found := RETURN.search(file.stem):
            rewards = np.zeros(len(frames), np.float32)
            rewards[-1] = float(found["number"]) * (-1 if found["minus"] else 1)
        yield Episode(frames, rewards)


def _array(file: Path) -> np.ndarray:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return archive["arr_0"]
    except KeyError as error:
        raise BadData(f"{file}: has no array called arr_0") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadData(f"{file}: not a readable .npz of plain arrays ({error})") from error
    except Exception as error:  # zlib reports damage in exceptions of its own
        raise BadData(f"{file}: damaged ({error})") from error
