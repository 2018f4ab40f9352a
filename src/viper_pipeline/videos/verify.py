"""`viper check`: read a dataset file whole: its hash, every chunk's checksum, every field."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from viper_pipeline.errors import BadData
from viper_pipeline.videos.store import KINDS, PAYLOADS, EpisodeFile, EpisodeGroup, broken_seal

BLOCK = 4096  # frames read at a time


def verify(path: Path) -> str:
    """One line that says what the file holds. Raises BadData naming the file, the field and what is wrong."""
    try:
        if broken_seal(Path(path)):
            raise BadData(f"{path}: not as it was written: its sha256 differs, or it is no file of this project's")
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
    total = int(group.starts[-1])
    if group.starts[0] != 0 or (group.lengths <= 0).any():
        raise BadData(f"{place}: starts do not rise from 0")
    for field, values, count in (
        ("rewards", group.rewards, total),
        ("seeds", group.seeds, len(group)),
        ("kinds", group.kinds, len(group)),
    ):
        if len(values) != count:
            raise BadData(f"{place}: {field} has {len(values)} entries, not {count}")
    unknown = np.isnan(group.rewards)
    if not np.isfinite(group.rewards[~unknown]).all():
        raise BadData(f"{place}: rewards are not all finite")
    _read_all(group, file.payload, place, total)
    return f"{len(group)} episodes in {name} ({total} frames, kinds {', '.join(k for k in KINDS if k in group.kinds)})"


def _read_all(group: EpisodeGroup, payload: str, place: str, total: int) -> None:
    stored = 0 if group._data is None else len(group._data)
    if stored != total:
        raise BadData(f"{place}: {payload} holds {stored} frames, starts speak of {total}")
    for begin in range(0, total, BLOCK):
        block = group.read(begin, min(begin + BLOCK, total))
        if block.dtype != PAYLOADS[payload]:
            raise BadData(f"{place}: {payload} are {block.dtype}, not {np.dtype(PAYLOADS[payload])}")
