"""Episodes in HDF5: fast to read clips from, written atomically, and byte-equal for equal episodes.

A file has named groups of episodes. In each, all frames lie end to end in one dataset whose chunks are as long as
a training clip (LZ4 and a checksum per chunk); `starts` (N + 1) says where episodes begin. LZ4 alone would hide most
flipped bits; the fletcher32 checksum and the newest file format find them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import (
    CHECKSUM_BYTES,
    EPISODES_FORMAT,
    JsonView,
    atomic_path,
    begins_as_episodes,
    check_checksum,
    write_checksum,
)
from viper_pipeline.data.episode import KINDS, Episode
from viper_pipeline.envs.base import FrameSpec

DAMAGE = (KeyError, ValueError, OSError, IndexError, TypeError, AttributeError, RuntimeError)
"""What h5py raises on damaged files, by the place of the damage."""
PAYLOADS = {"frames": np.uint8, "codes": np.int16, "latents": np.float32}


def write_groups(
    path: Path,
    groups: Mapping[str, Iterable[Episode]],
    *,
    suite: str,
    task: str,
    spec: FrameSpec,
    lineage: JsonView | None = None,
    payload: str = "frames",
    clip: int = 16,
) -> None:
    """Write groups of episodes; they may be iterators, of which one episode at a time is in memory.

    clip: frames per chunk. Raises BadData for an empty group of frames of different shapes or dtypes.
    """
    with atomic_path(Path(path)) as temporary:
        _write(temporary, groups, suite, task, spec, lineage, payload, clip, str(path))
        write_checksum(temporary)


def _write(
    temporary: Path,
    groups: Mapping[str, Iterable[Episode]],
    suite: str,
    task: str,
    spec: FrameSpec,
    lineage: JsonView | None,
    payload: str,
    clip: int,
    place: str,
) -> None:
    with h5py.File(temporary, "w", libver="latest", userblock_size=CHECKSUM_BYTES) as file:
        file.attrs["format"], file.attrs["suite"], file.attrs["task"] = EPISODES_FORMAT, suite, task
        file.attrs["payload"] = payload
        file.attrs["frame_spec"] = json.dumps(spec.model_dump(mode="json"), sort_keys=True)
        # a long text does not fit an attribute of the compact kind
        text = np.frombuffer(json.dumps(lineage or {}, sort_keys=True).encode(), np.uint8)
        file.create_dataset("lineage", data=text, track_times=False, fletcher32=True, chunks=(max(len(text), 1),))
        for name, episodes in groups.items():
            _write_group(file.create_group(name), episodes, payload, clip, f"{place}: {name}")


def _write_group(group: h5py.Group, episodes: Iterable[Episode], payload: str, clip: int, place: str) -> None:
    data = None
    lengths: list[int] = []
    rewards: list[np.ndarray] = []
    seeds: list[int] = []
    kinds: list[int] = []
    for number, episode in enumerate(episodes):
        frames = np.asarray(episode.frames)
        if frames.dtype != PAYLOADS[payload] or not len(frames):
            raise BadData(f"{place}: episode {number}: {payload} are {frames.dtype} {frames.shape}")
        if len(episode.rewards) != len(frames):
            raise BadData(f"{place}: episode {number}: {len(episode.rewards)} rewards for {len(frames)} frames")
        if data is None:
            shape = frames.shape[1:]
            data = group.create_dataset(
                payload,
                (0, *shape),
                frames.dtype,
                maxshape=(None, *shape),
                chunks=(clip, *shape),
                fletcher32=True,
                track_times=False,
                **hdf5plugin.LZ4(),
            )
        if frames.shape[1:] != data.shape[1:]:
            raise BadData(f"{place}: episode {number} has frames of {frames.shape[1:]}, those before {data.shape[1:]}")
        total = sum(lengths)
        data.resize(total + len(frames), 0)
        data[total:] = frames
        lengths.append(len(frames))
        rewards.append(np.asarray(episode.rewards, np.float32))
        seeds.append(episode.seed)
        kinds.append(KINDS.index(episode.kind))

    def table(name: str, values: Sequence[object] | np.ndarray, dtype: type) -> None:
        array: np.ndarray = np.asarray(values, dtype)
        group.create_dataset(
            name,
            data=array,
            track_times=False,
            fletcher32=bool(array.size),
            chunks=array.shape if array.size else None,
        )

    table("starts", np.concatenate([[0], np.cumsum(lengths)]), np.int64)
    table("rewards", np.concatenate(rewards) if rewards else [], np.float32)
    table("seeds", np.array(seeds, np.uint64).astype(np.int64), np.int64)
    table("kinds", kinds, np.int8)


class EpisodeFile:
    """A reader. Only tables are read until an episode or a clip is asked for."""

    def __init__(self, path: Path | str, verify_checksum: bool = True) -> None:
        """verify_checksum: read the file once to see that it is as it was written (about 1 GB/s).

        Raises BadData if it is missing, unreadable, damaged or of another format.
        """
        self.path = Path(path)
        if verify_checksum:
            check_checksum(self.path)
        try:
            self._file = h5py.File(self.path, "r")
            found = self._file.attrs.get("format")
        except OSError as error:
            raise BadData(f"{path}: not a readable HDF5 file ({error})") from error
        if found != EPISODES_FORMAT:
            raise BadData(
                f"{path}: attribute format is {found!r}, not '{EPISODES_FORMAT}'; convert videos with `viper import`"
            )
        try:
            self.suite, self.task = str(self._file.attrs["suite"]), str(self._file.attrs["task"])
            self.payload = str(self._file.attrs["payload"])
            self.spec = FrameSpec.model_validate_json(self._file.attrs["frame_spec"])
            self.lineage = json.loads(self._file["lineage"][()].tobytes() or b"{}")
            self.groups = tuple(name for name in self._file if isinstance(self._file[name], h5py.Group))
        except DAMAGE as error:
            raise BadData(f"{path}: {error}") from error

    def group(self, name: str) -> EpisodeGroup:
        """The episodes called `name`; an absent group has none."""
        group = self._file[name] if name in self.groups else None
        return EpisodeGroup(group, f"{self.path}: {name}", self.payload)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class EpisodeGroup:
    """Some episodes of one task."""

    def __init__(self, group: h5py.Group | None, place: str, payload: str) -> None:
        self.place, self._payload = place, payload
        try:
            self._data = None if group is None or payload not in group else group[payload]
            self.starts = np.zeros(1, np.int64) if group is None else group["starts"][()]
            self.rewards = np.zeros(0, np.float32) if group is None else group["rewards"][()]
            self.seeds = np.zeros(0, np.int64) if group is None else group["seeds"][()]
            self.kinds = tuple(KINDS[i] for i in ([] if group is None else group["kinds"][()]))
        except DAMAGE as error:
            raise BadData(f"{place}: {error}") from error

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[Episode]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Episode:
        if not 0 <= i < len(self):
            raise IndexError(i)
        begin, end = int(self.starts[i]), int(self.starts[i + 1])
        return Episode(self.read(begin, end), self.rewards[begin:end], int(self.seeds[i]), self.kinds[i])

    @property
    def lengths(self) -> np.ndarray:
        """Frames of each episode, (N,)."""
        return np.diff(self.starts)

    @property
    def returns(self) -> np.ndarray:
        """True return of each episode, (N,); NaN where unknown."""
        return np.array([self.rewards[a:b].sum(dtype=np.float64) for a, b in pairwise(self.starts)])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame or of its codes; () if there are none."""
        return () if self._data is None else self._data.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        """Of frames or codes."""
        return np.dtype(PAYLOADS[self._payload])

    def read(self, begin: int, end: int) -> np.ndarray:
        """Frames begin..end-1 of all frames laid end to end."""
        if self._data is None:
            raise BadData(f"{self.place}: has no episodes")
        try:
            return self._data[begin:end]
        except DAMAGE as error:
            raise BadData(f"{self.place}: frames {begin} to {end - 1} are damaged ({error})") from error


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
        raise BadData(f"{place}: frames are {shape}, the frame specification says {size} x {size} with colors")
    if file.payload == "codes" and shape and len(shape) != 2:
        raise BadData(f"{place}: codes are {shape}, not a grid (h, w)")
    if file.payload == "latents" and shape and len(shape) != 3:
        raise BadData(f"{place}: latents are {shape}, not a grid of vectors (h, w, D)")


def _read_all(group: EpisodeGroup, payload: str, place: str, total: int) -> None:
    stored = 0 if group._data is None else len(group._data)
    if stored != total:
        raise BadData(f"{place}: {payload} holds {stored} frames, starts speak of {total}")
    for begin in range(0, total, BLOCK):
        block = group.read(begin, min(begin + BLOCK, total))
        if block.dtype != PAYLOADS[payload]:
            raise BadData(f"{place}: {payload} are {block.dtype}, not {np.dtype(PAYLOADS[payload])}")


class ConcatEpisodes:
    """Like an EpisodeFile; a group holds the episodes of that group of every file, file after file."""

    def __init__(self, files: Sequence[EpisodeFile]) -> None:
        self.files = list(files)

    def group(self, name: str) -> ConcatGroup:
        """The episodes called `name`."""
        return ConcatGroup([file.group(name) for file in self.files])


class ConcatGroup:
    """Like an EpisodeGroup."""

    def __init__(self, groups: Sequence[EpisodeGroup]) -> None:
        self.groups = list(groups)
        self.place = ", ".join(group.place for group in self.groups)
        ends = np.cumsum([0, *(int(group.starts[-1]) for group in self.groups)])
        self._bounds = list(pairwise(int(end) for end in ends))
        starts = [begin + group.starts[:-1] for (begin, _), group in zip(self._bounds, self.groups, strict=True)]
        self.starts = np.concatenate([*starts, ends[-1:]])

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, i: int) -> Episode:
        for group in self.groups:
            if 0 <= i < len(group):
                return group[i]
            i -= len(group)
        raise IndexError(i)

    @property
    def lengths(self) -> np.ndarray:
        """Frames of each episode, (N,)."""
        return np.diff(self.starts)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame or of its codes."""
        return next((group.shape for group in self.groups if len(group)), ())

    @property
    def dtype(self) -> np.dtype:
        """Of frames or codes."""
        return self.groups[0].dtype

    def read(self, begin: int, end: int) -> np.ndarray:
        """Frames begin..end-1 of all frames laid end to end."""
        parts = [
            group.read(max(begin, first) - first, min(end, last) - first)
            for (first, last), group in zip(self._bounds, self.groups, strict=True)
            if begin < last and end > first
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def read_lineage(path: Path) -> str:
    """The lineage that an HDF5 file carries, as JSON; empty for one that has none. Raises BadData if it is damaged."""
    if begins_as_episodes(path):
        check_checksum(path)  # HDF5 may read without end where a file is damaged
    try:
        with h5py.File(path, "r") as file:
            text = file["lineage"][()].tobytes() if "lineage" in file else file.attrs.get("lineage", "")
            return text.decode() if isinstance(text, bytes) else str(text)
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: its lineage cannot be read ({error})") from error
