"""Frames of videos that may be longer than memory holds: beyond a few megabytes they lie in a temporary file.

The file has no name, so it goes with the last reference to its frames, or with the process. It lies in the folder for
temporary files (TMPDIR); its pages are mapped, and the system drops them when memory is wanted for something else.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from typing import IO

import numpy as np

IN_MEMORY = 4 * 2**20
"""Bytes of one video's frames that stay in memory."""


def collected(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Frames uint8 (H, W, 3), all of one shape, one after another -> (T, H, W, 3); (0,) if there are none.

    The memory that is used does not depend on their number. Raises OSError where the temporary file finds no room.
    """
    held: list[np.ndarray] = []
    shape: tuple[int, ...] = ()
    count = 0
    with tempfile.TemporaryFile() as file:
        for frame in frames:
            shape, count = frame.shape, count + 1
            held.append(frame)
            if len(held) * frame.nbytes > IN_MEMORY:
                _append(file, held)
        if count == len(held):
            return np.stack(held) if held else np.zeros(0, np.uint8)
        _append(file, held)
        file.flush()
        return mapped(file, (count, *shape))


def spooled(stored: IO[bytes], shape: tuple[int, ...], order: str = "C") -> np.ndarray | None:
    """An array uint8 that a stream holds, as a mapped temporary file; None if the stream has another length."""
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(stored, file, IN_MEMORY)
        file.flush()
        if file.tell() != np.prod(shape, dtype=np.int64):
            return None
        return mapped(file, shape, order)


def mapped(file: IO[bytes], shape: tuple[int, ...], order: str = "C") -> np.ndarray:
    """A file's bytes as an array; what is changed in it does not reach the file."""
    return np.asarray(np.memmap(file, np.uint8, "c", 0, shape, "F" if order == "F" else "C"))


def _append(file: IO[bytes], held: list[np.ndarray]) -> None:
    for frame in held:
        file.write(np.ascontiguousarray(frame).data)
    held.clear()
