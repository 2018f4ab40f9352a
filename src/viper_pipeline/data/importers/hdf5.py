"""HDF5 files of any layout: their datasets are named by the entry of `datasets`, or by `viper import --layout`.

One group per episode, such as robomimic's data/demo_0/obs/agentview_image:

    camera: {episodes: "data/*", frames: obs/agentview_image, rewards: rewards}

All frames end to end, with the length of each episode or the places where episodes end:

    camera: {frames: images, lengths: episode_lengths, returns: episode_returns}

A file without `lengths` and `ends` is one episode, or several if its frames have five axes (E, T, H, W, 3). A plain
text, `camera: images`, is {frames: images}. Nothing outside of a file is read: links to other files are refused.

Of T rewards for T frames, reward t was given on the way to frame t + 1, and the last one is added to the last frame's;
of T - 1 rewards each leads to its frame. A return becomes the last frame's reward.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from pydantic import Field, ValidationError, model_validator

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.data.episode import Episode, resized, unknown_rewards
from viper_pipeline.data.hdf5 import DAMAGE
from viper_pipeline.data.importers import checked_frames
from viper_pipeline.data.importers.spool import collected

BLOCK = 64
"""Frames that are read at a time."""
LISTED = 12
"""Datasets that a message names."""


class Hdf5Layout(Config):
    """Where the parts of an HDF5 file are. Names are paths in the file, or in each episode's group."""

    frames: str | None = Field(None, description="dataset of the frames, uint8; default: the only one of pictures")
    episodes: str | None = Field(None, description="groups that hold one episode each, such as data/*; * is any name")
    lengths: str | None = Field(None, description="dataset with the number of frames of each episode")
    ends: str | None = Field(None, description="dataset with the place behind the last frame of each episode")
    rewards: str | None = Field(None, description="dataset with a reward per frame, or per transition")
    returns: str | None = Field(
        None, description="dataset with the return of each episode; of groups: a number in each"
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> Hdf5Layout:
        for one, other in (("lengths", "ends"), ("rewards", "returns"), ("episodes", "lengths"), ("episodes", "ends")):
            if getattr(self, one) and getattr(self, other):
                raise ValueError(f"{one} and {other} say the same; give one of them")
        return self


def read_hdf5(
    path: Path, size: int, *, source_camera: str | Mapping[str, str] | None = None, **_: object
) -> Iterator[Episode]:
    """Every episode of a file; of groups in the order of their names, demo_2 before demo_10.

    source_camera: the layout, see above. Raises BadData naming the file and the dataset, BadParams for a layout.
    """
    layout = layout_of(source_camera)
    if not path.is_file():
        raise BadData(f"{path}: is no file; kind hdf5 reads one HDF5 file")
    try:
        with h5py.File(path, "r", locking=False) as content:
            read = _of_groups if layout.episodes else _of_one_array
            yield from read(content, layout, path, size)
    except BadData:
        raise
    except DAMAGE as error:
        raise BadData(f"{path}: damaged, or no HDF5 file ({error})") from error


def layout_of(said: str | Mapping[str, str] | None) -> Hdf5Layout:
    """A layout, of what `camera` says. Raises BadParams."""
    try:
        return Hdf5Layout.model_validate({"frames": said} if isinstance(said, str) else dict(said or {}))
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'layout'}: {one['msg']}" for one in error.errors())
        raise BadParams(f"kind hdf5: {lines}; known are {', '.join(Hdf5Layout.model_fields)}") from error


class _Place(NamedTuple):
    """A group of a file, for messages, too."""

    group: h5py.Group
    file: Path

    def __str__(self) -> str:
        return f"{self.file}: {self.group.name.strip('/')}" if self.group.name != "/" else f"{self.file}"

    def dataset(self, name: str) -> h5py.Dataset:
        """Raises BadData, listing what there is, for a name that is no dataset, and for what lies in other files."""
        node: h5py.Group | h5py.Dataset = self.group
        for part in name.strip("/").split("/"):
            link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
            if isinstance(link, h5py.ExternalLink):
                raise BadData(f"{self}: {name} lies in another file, {link.filename}; copy it into this one (h5repack)")
            if link is None or (found := node.get(part)) is None:
                raise BadData(f"{self}: holds no dataset '{name}'{self._near(name)}")
            node = found
        if not isinstance(node, h5py.Dataset):
            raise BadData(f"{self}: {name} is a group and no dataset{self._near(name)}")
        if node.external or node.is_virtual:
            raise BadData(f"{self}: {name} has its content in other files; copy it into this one (h5repack)")
        return node

    def datasets(self) -> dict[str, h5py.Dataset]:
        """By their paths in the group; links are not followed."""
        found: dict[str, h5py.Dataset] = {}
        self.group.visititems(lambda name, node: found.update({name: node}) if isinstance(node, h5py.Dataset) else None)
        return found

    def contents(self) -> str:
        """Some of its datasets, with types and shapes."""
        found = [f"{name} {node.dtype} {node.shape}" for name, node in self.datasets().items()]
        return (", ".join(found[:LISTED]) or "none") + (
            f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
        )

    def _near(self, name: str) -> str:
        near = did_you_mean(name, self.datasets())
        return near if "did you mean" in near else f" (datasets: {self.contents()})"

    def frames(self, name: str | None, axes: tuple[int, ...] = (4,)) -> h5py.Dataset:
        """The frames' dataset, uint8 with three channels."""
        if name is None:
            fitting = [one for one, node in self.datasets().items() if _is_picture(node, axes)]
            if len(fitting) != 1:
                what = f"{len(fitting)} datasets may be frames" if fitting else "no dataset looks like frames"
                raise BadData(f"{self}: {what}; name one with `frames` (datasets: {self.contents()})")
            name = fitting[0]
        found = self.dataset(name)
        if not _is_picture(found, axes):
            wanted = " or ".join(f"({', '.join(('E', 'T', 'H', 'W', '3')[-n:])})" for n in axes)
            remedy = "; store (255 * frames).round().astype(np.uint8)" if found.dtype.kind == "f" else ""
            raise BadData(f"{self}: {name} is {found.dtype} {found.shape}, not uint8 {wanted}{remedy}")
        return found

    def numbers(self, name: str, count: int | None = None) -> np.ndarray:
        """A dataset of finite numbers as a list, float64. Raises BadData for another length than `count`."""
        found = self.dataset(name)
        if found.dtype.kind not in "iufb":
            raise BadData(f"{self}: {name} is {found.dtype} {found.shape} and holds no numbers")
        values = np.asarray(found[()], np.float64).reshape(-1)
        if not np.isfinite(values).all():
            raise BadData(f"{self}: {name} holds numbers that are not finite")
        if count is not None and len(values) != count:
            raise BadData(f"{self}: {name} has {len(values)} values for {count} episodes")
        return values


def _is_picture(node: h5py.Dataset, axes: tuple[int, ...]) -> bool:
    return node.dtype == np.uint8 and len(node.shape) in axes and 3 in (node.shape[-1], node.shape[-3])


def _of_groups(content: h5py.File, layout: Hdf5Layout, file: Path, size: int) -> Iterator[Episode]:
    parts = str(layout.episodes).strip("/").split("/")
    groups = [_Place(content, file)]
    for part in parts:
        groups = [_Place(inner, file) for place in groups for inner in _matching(place, part)]
    if not groups:
        raise BadData(f"{file}: no group is called {layout.episodes} (at the top: {', '.join(content) or 'nothing'})")
    for place in groups:
        data = place.frames(layout.frames)
        frames = _read(data, 0, data.shape[0], f"{place}/{_short(data, place)}", size)
        if layout.rewards:
            rewards = _rewards(place.numbers(layout.rewards), len(frames), f"{place}: {layout.rewards}")
        else:
            rewards = _return(place.numbers(layout.returns, 1)[0] if layout.returns else None, len(frames))
        yield Episode(frames, rewards)


def _matching(place: _Place, pattern: str) -> list[h5py.Group]:
    """Groups in a group whose names fit, in the order of the numbers in them; links to other files are passed over."""
    names = [name for name in place.group if fnmatch.fnmatchcase(name, pattern)]
    names.sort(key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])
    own = [name for name in names if not isinstance(place.group.get(name, getlink=True), h5py.ExternalLink)]
    return [node for name in own if isinstance(node := place.group.get(name), h5py.Group)]


def _of_one_array(content: h5py.File, layout: Hdf5Layout, file: Path, size: int) -> Iterator[Episode]:
    top = _Place(content, file)
    data = top.frames(layout.frames, (4, 5))
    name = f"{file}: {_short(data, top)}"
    many = len(data.shape) == 5
    lengths = _lengths(top, layout, data.shape, name)
    count, total = len(lengths), sum(lengths)
    returns = top.numbers(layout.returns, count) if layout.returns else [None] * count
    rewards = top.numbers(layout.rewards) if layout.rewards else None
    stored = data.shape[0] * data.shape[1] if many else total
    if rewards is not None and len(rewards) != stored:
        raise BadData(f"{top}: {layout.rewards} has {len(rewards)} values for {stored} frames")
    begin = 0
    for number, (length, ret) in enumerate(zip(lengths, returns, strict=True)):
        at = number * data.shape[1] if many else begin
        where = (number,) if many else ()
        frames = _read(data, 0 if many else begin, length, f"{name}, episode {number}", size, where)
        if rewards is None:
            yield Episode(frames, _return(ret, length))
        else:
            yield Episode(frames, _rewards(rewards[at : at + length], length, f"{top}: {layout.rewards}"))
        begin += length


def _lengths(top: _Place, layout: Hdf5Layout, shape: tuple[int, ...], name: str) -> list[int]:
    """Frames of each episode."""
    said = layout.lengths or layout.ends
    if said is None:
        return [shape[1]] * shape[0] if len(shape) == 5 else [shape[0]]
    values = top.numbers(said, shape[0] if len(shape) == 5 else None)
    lengths = values if layout.lengths else np.diff(values, prepend=0)
    if not len(values) or (lengths < 1).any() or (values % 1).any():
        raise BadData(
            f"{top}: {said} must hold whole numbers {'above 0' if layout.lengths else 'that rise from above 0'}"
        )
    if len(shape) == 5 and lengths.max() > shape[1]:
        raise BadData(f"{top}: {said} speaks of {int(lengths.max())} frames, {name} has {shape[1]} per episode")
    if len(shape) == 4 and lengths.sum() != shape[0]:
        raise BadData(f"{top}: {said} speaks of {int(lengths.sum())} frames in all, {name} has {shape[0]}")
    return [int(length) for length in lengths]


def _read(
    data: h5py.Dataset, begin: int, length: int, place: str, size: int, where: tuple[int, ...] = ()
) -> np.ndarray:
    """Frames begin..begin + length - 1, (length, size, size, 3), some at a time. where: their place on earlier axes."""
    turned = data.shape[-1] != 3

    def frames() -> Iterator[np.ndarray]:
        for first in range(begin, begin + length, BLOCK):
            block = data[(*where, slice(first, min(first + BLOCK, begin + length)))]
            yield from resized(np.ascontiguousarray(np.moveaxis(block, 1, -1) if turned else block), size)

    return checked_frames(collected(frames()), Path(place))


def _rewards(values: np.ndarray, length: int, place: str) -> np.ndarray:
    """Rewards (length,), each of the transition into its frame."""
    if len(values) == length - 1:
        return np.concatenate([[0.0], values]).astype(np.float32)
    if len(values) != length:
        raise BadData(
            f"{place} has {len(values)} values for {length} frames; one per frame or per transition is expected"
        )
    shifted = np.concatenate([[0.0], values[:-1]])
    shifted[-1] += values[-1]
    return shifted.astype(np.float32)


def _return(value: float | None, length: int) -> np.ndarray:
    rewards = unknown_rewards(length)
    if value is not None:
        rewards = np.zeros(length, np.float32)
        rewards[-1] = value
    return rewards


def _short(data: h5py.Dataset, place: _Place) -> str:
    return str(data.name).removeprefix(str(place.group.name)).strip("/")
