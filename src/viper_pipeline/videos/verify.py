"""`viper check`: read a dataset file whole: its hash, every chunk's checksum, every field."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from viper_pipeline.errors import BadData
from viper_pipeline.videos.store import KINDS, PAYLOADS, EpisodeFile, EpisodeGroup

BLOCK = 4096  # frames read at a time


def verify(path: Path) -> str:
    """One line that says what the file holds. Raises BadData naming the file, the field and what is wrong."""
    try:
        file = EpisodeFile(path)
        if file.payload not in PAYLOADS:
            raise BadData(f"{path}: attribute payload is {file.payload!r}")
        if not file.groups:
            raise BadData(f"{path}: holds no group of episodes")
        counts = [_verified(file, name) for name in file.groups]
        file.close()
    except BadData:
        raise
    except Exception as error:  # HDF5 reports damage in exceptions of many kinds
        raise BadData(f"{path}: damaged ({error})") from error
    return f"{path}: {file.suite} {file.task}, " + ", ".join(counts) + ": whole"


def _verified(file: EpisodeFile, name: str) -> str:
    group, place = file.group(name), f"{file.path}: {name}"
    if group.starts.dtype != np.int64 or group.starts.ndim != 1 or not len(group.starts):
        raise BadData(f"{place}: starts are {group.starts.dtype} {group.starts.shape}, not int64 (N + 1,)")
    if group.starts[0] != 0 or (group.lengths <= 0).any():
        raise BadData(f"{place}: starts do not rise from 0")
    total = int(group.starts[-1])
    for field, values, dtype, count in (
        ("rewards", group.rewards, np.float32, total),
        ("seeds", group.seeds, np.int64, len(group)),
        ("kinds", np.array([KINDS.index(k) for k in group.kinds], np.int8), np.int8, len(group)),
    ):
        if values.dtype != dtype or values.shape != (count,):
            raise BadData(f"{place}: {field} are {values.dtype} {values.shape}, not {np.dtype(dtype)} ({count},)")
    for number, (begin, end) in enumerate(pairwise(group.starts)):
        rewards = group.rewards[begin:end]
        if not (np.isfinite(rewards).all() or np.isnan(rewards).all()):
            raise BadData(f"{place}: rewards of episode {number} are neither all finite nor all unknown (NaN)")
    _check_shape(group.shape, file, place)
    _read_all(group, file.payload, place, total)
    return f"{len(group)} episodes in {name} ({total} frames, kinds {', '.join(k for k in KINDS if k in group.kinds)})"


def _check_shape(shape: tuple[int, ...], file: EpisodeFile, place: str) -> None:
    size = file.spec.size
    if file.payload == "frames" and shape and (len(shape) != 3 or shape[:2] != (size, size)):
        raise BadData(f"{place}: frames are {shape}, the frame specification says {size} x {size} with colours")
    if file.payload == "codes" and shape and len(shape) != 2:
        raise BadData(f"{place}: codes are {shape}, not a grid (h, w)")


def _read_all(group: EpisodeGroup, payload: str, place: str, total: int) -> None:
    stored = 0 if group._data is None else len(group._data)
    if stored != total:
        raise BadData(f"{place}: {payload} holds {stored} frames, starts speak of {total}")
    for begin in range(0, total, BLOCK):
        block = group.read(begin, min(begin + BLOCK, total))
        if block.dtype != PAYLOADS[payload]:
            raise BadData(f"{place}: {payload} are {block.dtype}, not {np.dtype(PAYLOADS[payload])}")
