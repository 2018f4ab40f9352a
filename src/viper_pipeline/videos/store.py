"""Episodes in HDF5: fast to read clips from, whole or absent, and byte for byte the same for the same episodes.

A file has named groups of episodes. In each, all frames lie end to end in one dataset whose chunks are as long as
a training clip (LZ4 and a checksum a chunk); `starts` (N + 1) says where episodes begin. LZ4 alone would hide most
flipped bits; the fletcher32 checksum and the newest file format find them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from viper_pipeline.errors import BadData
from viper_pipeline.files import atomic_path
from viper_pipeline.seals import FORMAT, SEAL, check_seal, seal
from viper_pipeline.suites.frames import FrameSpec
from viper_pipeline.videos.episode import Episode

KINDS = ("expert", "noisy", "random", "idle")
DAMAGE = (KeyError, ValueError, OSError, IndexError, TypeError, AttributeError, RuntimeError)
"""What h5py raises on damaged files, by the place of the damage."""
PAYLOADS = {"frames": np.uint8, "codes": np.int16}


def write_groups(
    path: Path,
    groups: Mapping[str, Iterable[Episode]],
    *,
    suite: str,
    task: str,
    spec: FrameSpec,
    lineage: Mapping[str, Any] | None = None,
    payload: str = "frames",
    clip: int = 16,
) -> None:
    """Write groups of episodes; they may be iterators, of which one episode at a time is in memory.

    clip: frames a chunk. Raises BadData for an empty group of frames of different shapes or dtypes.
    """
    with atomic_path(Path(path)) as temporary:
        _write(temporary, groups, suite, task, spec, lineage, payload, clip, str(path))
        seal(temporary)


def _write(
    temporary: Path,
    groups: Mapping[str, Iterable[Episode]],
    suite: str,
    task: str,
    spec: FrameSpec,
    lineage: Mapping[str, Any] | None,
    payload: str,
    clip: int,
    place: str,
) -> None:
    with h5py.File(temporary, "w", libver="latest", userblock_size=SEAL) as file:
        file.attrs["format"], file.attrs["suite"], file.attrs["task"] = FORMAT, suite, task
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

    def table(name: str, values: Any, dtype: type) -> None:
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
    """A reader. Nothing but tables is read before an episode or a clip is asked for."""

    def __init__(self, path: Path | str, sealed: bool = True) -> None:
        """sealed: read the file once to see that it is as it was written (about 1 GB/s).

        Raises BadData if it is missing, unreadable, damaged or of another format.
        """
        self.path = Path(path)
        if sealed:
            check_seal(self.path)
        try:
            self._file = h5py.File(self.path, "r")
            found = self._file.attrs.get("format")
        except OSError as error:
            raise BadData(f"{path}: not a readable HDF5 file ({error})") from error
        if found != FORMAT:
            raise BadData(f"{path}: attribute format is {found!r}, not '{FORMAT}'; convert videos with `viper import`")
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
        """Let go of the file."""
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
    def dtype(self) -> np.dtype[Any]:
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
