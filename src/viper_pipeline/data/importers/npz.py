"""Folders as the paper's authors released them: `<task>/{train,test}/*.npz`, one uint8 array `arr_0` per file.

Frames are read and resized one by one, and those of a long video lie in a temporary file: memory depends neither on
their number nor on their size.
"""

from __future__ import annotations

import errno
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode, resized, unknown_rewards
from viper_pipeline.data.importers import checked_frames
from viper_pipeline.data.importers.folders import files_of
from viper_pipeline.data.importers.spool import collected, spooled

RETURN = re.compile(r"-rew(?P<minus>m?)(?P<number>\d+(\.\d+)?)$")
"""Their file names end in the episode's return, a minus sign written m. Other endings say nothing."""
ARRAY = "arr_0"
NPY = b"\x93NUMPY"
"""How a .npy begins, the array that a .npz is an archive of."""
LARGEST_FRAME = 2**28
"""Bytes."""


def read_npz(path: Path, size: int, **_: object) -> Iterator[Episode]:
    """Every *.npz below `path`, in the order of names; a return in the file's name becomes the last frame's reward."""
    for file in files_of("npz", path):
        frames = _frames(file, size)
        rewards = unknown_rewards(len(frames))
        if found := RETURN.search(file.stem):
            rewards = np.zeros(len(frames), np.float32)
            rewards[-1] = float(found["number"]) * (-1 if found["minus"] else 1)
        yield Episode(frames, rewards)


def stored_size(file: Path) -> tuple[int, int, int]:
    """(T, H, W) of an archive, by its header. Raises BadData as reading it does."""
    with _opened(file) as stored:
        shape, _ = _header(stored, file)
    return shape[0], shape[1], shape[2]


def _frames(file: Path, size: int) -> np.ndarray:
    """The frames of an archive, (T, size, size, 3)."""
    with _opened(file) as stored:
        return _read(stored, file, size)


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    """The stored array. What is wrong with the file, here or inside, is raised as BadData."""
    _refuse_others(file)
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if ARRAY not in names:
                raise BadData(
                    f"{file}: has no array called {ARRAY} (arrays: {', '.join(names) or 'none'}); write it with "
                    "np.savez(file, frames), frames uint8 (T, H, W, 3)"
                )
            with archive.open(f"{ARRAY}.npy") as stored:
                yield stored
    except BadData:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise BadData(f"{file}: not a readable .npz of plain arrays, or damaged ({error})") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise BadData(f"{file}: not a readable .npz of plain arrays, or damaged ({error})") from error
    except Exception as error:  # archives are damaged in every way there is
        raise BadData(f"{file}: damaged ({error})") from error


def _refuse_others(file: Path) -> None:
    with file.open("rb") as content:
        begins = content.read(len(NPY))
    if not begins:
        raise BadData(f"{file}: is empty (0 bytes); copy it again")
    if begins == NPY:
        raise BadData(f"{file}: is a .npy, a single array, and not a .npz; write it with np.savez(file, frames)")


def _header(stored: IO[bytes], file: Path) -> tuple[tuple[int, ...], bool]:
    """Shape (T, H, W, 3), and whether it is stored column by column."""
    version = np.lib.format.read_magic(stored)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read_header:
        raise BadData(f"{file}: {ARRAY} is stored in NumPy's format {version}; write it with np.savez(file, frames)")
    shape, fortran, dtype = read_header[version](stored)
    if dtype.hasobject:
        raise BadData(f"{file}: not a readable .npz of plain arrays: {ARRAY} holds Python objects")
    _check(shape, dtype, file)
    return shape, fortran


def _read(stored: IO[bytes], file: Path, size: int) -> np.ndarray:
    shape, fortran = _header(stored, file)
    one_by_one = _scattered(stored, shape, file) if fortran else _in_order(stored, shape, file)
    frames = collected(resized(frame[None], size)[0] for frame in one_by_one)
    stored.read(1)  # at its end, the archive's checksum is compared
    return checked_frames(frames, file)


def _in_order(stored: IO[bytes], shape: tuple[int, ...], file: Path) -> Iterator[np.ndarray]:
    bytes_each = math.prod(shape[1:])
    for number in range(shape[0]):
        content = stored.read(bytes_each)
        if len(content) != bytes_each:
            raise BadData(f"{file}: damaged: {number} of {shape[0]} frames can be read; copy it again")
        yield np.frombuffer(content, np.uint8).reshape(shape[1:])


def _scattered(stored: IO[bytes], shape: tuple[int, ...], file: Path) -> Iterator[np.ndarray]:
    """Of an array that is stored column by column."""
    whole = spooled(stored, shape, "F")
    if whole is None:
        raise BadData(f"{file}: damaged: its bytes do not fill shape {shape}; copy it again")
    yield from map(np.ascontiguousarray, whole)


def _check(shape: tuple[int, ...], dtype: np.dtype, file: Path) -> None:
    """Raise BadData, naming the remedy, unless the array can be frames."""
    if dtype != np.uint8:
        remedy = (
            "; (255 * frames).round().astype(np.uint8) makes them, if they are from 0 to 1" if dtype.kind == "f" else ""
        )
        raise BadData(f"{file}: frames are {dtype}, not uint8{remedy}")
    if len(shape) == 4 and shape[1] == 3 and shape[-1] != 3:
        raise BadData(f"{file}: frames have shape {shape}, not (T, H, W, 3); np.moveaxis(frames, 1, -1) turns them")
    if len(shape) != 4 or shape[-1] != 3:
        raise BadData(f"{file}: frames have shape {shape}, not (T, H, W, 3)")
    if shape[0] < 2:
        raise BadData(f"{file}: {shape[0]} frames, at least 2 are needed")
    if not min(shape[1:3]):
        raise BadData(f"{file}: frames are empty, {shape}")
    if math.prod(shape[1:]) > LARGEST_FRAME:
        raise BadData(f"{file}: a frame of {shape[1]} x {shape[2]} pixels is larger than any that can be read")
