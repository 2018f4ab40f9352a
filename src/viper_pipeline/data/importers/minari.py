"""Minari datasets that are stored as HDF5 and hold pictures. Minari itself is not needed.

    data/metadata.json
    data/main_data.hdf5     episode_<i>/{observations, actions, rewards, terminations, truncations}

Observations are a dataset of T + 1 pictures, or a tree of datasets of which some are; pictures are stored as arrays, or
each as a JPEG. rewards[t] belongs to the way from picture t to picture t + 1. Episodes without pictures are refused.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode, resized
from viper_pipeline.data.hdf5 import DAMAGE
from viper_pipeline.data.importers import checked_frames
from viper_pipeline.data.importers.datasets import choose_camera

DATA, ABOUT = "main_data.hdf5", "metadata.json"
SMALLEST = 32
"""Pixels; smaller arrays of bytes are no pictures to Minari either, such as the symbols of a grid world."""
JPEG = b"\xff\xd8\xff"
"""How every JPEG begins."""


def read_minari(
    path: Path, size: int, *, camera: int | str = 0, source_camera: str | None = None, **_: object
) -> Iterator[Episode]:
    """Every episode of a dataset, in the order of its numbers.

    path: the dataset's folder, its folder `data`, or the file in it. source_camera: which of several pictures, by its
    path in the observations or the last part of it.
    """
    file = _data_file(path)
    try:
        with h5py.File(file, "r", locking=False) as content:
            for number, group in _episodes(content, file):
                yield _read(group, f"{file}: episode_{number}", size, camera, source_camera)
    except BadData:
        raise
    except DAMAGE as error:
        raise BadData(f"{file}: damaged, or no file of Minari's ({error})") from error


def _data_file(path: Path) -> Path:
    if path.is_file():
        return path
    for folder in (path, path / "data"):
        if (folder / DATA).is_file():
            return folder / DATA
        if (folder / ABOUT).is_file():
            try:
                stored = json.loads((folder / ABOUT).read_text()).get("data_format", "unknown")
            except (ValueError, AttributeError) as error:
                raise BadData(f"{folder / ABOUT}: is not JSON ({error})") from error
            raise BadData(f"{folder}: is stored as {stored}; only Minari's format hdf5, {DATA}, is read here")
    inside = sorted(p.parent.parent.relative_to(path).as_posix() for p in path.rglob(DATA)) if path.is_dir() else []
    found = f" (datasets found in it: {', '.join(inside)})" if inside else ""
    raise BadData(f"{path}: holds no data/{DATA}; name the folder of one Minari dataset{found}")


def _episodes(content: h5py.File, file: Path) -> list[tuple[int, h5py.Group]]:
    numbered = {}
    for name in content:
        if found := re.fullmatch(r"episode_(\d+)", name):
            numbered[int(found[1])] = _inside(content, name, str(file))
    if not numbered:
        raise BadData(f"{file}: holds no group episode_0 (groups: {', '.join(content) or 'none'})")
    if missing := sorted(set(range(len(numbered))) - set(numbered)):
        raise BadData(f"{file}: episode_{missing[0]} is missing, but episodes go on up to {max(numbered)}")
    return [(number, numbered[number]) for number in sorted(numbered)]


def _read(group: h5py.Group, place: str, size: int, camera: int | str, source_camera: str | None) -> Episode:
    if "observations" not in group or "rewards" not in group:
        raise BadData(f"{place}: has no observations and rewards (fields: {', '.join(group)})")
    rewards = np.asarray(_inside(group, "rewards", place)[()], np.float64).reshape(-1)
    leaves = dict(_leaves(_inside(group, "observations", place), "", place))
    cameras = [name for name, leaf in leaves.items() if _is_picture(leaf)]
    if not cameras:
        seen = ", ".join(f"{name or 'observations'} {leaf.dtype} {leaf.shape}" for name, leaf in leaves.items())
        raise BadData(
            f"{place}: its observations hold no pictures ({seen}); record the dataset from an environment that "
            "observes pixels, such as gymnasium's wrapper AddRenderObservation gives"
        )
    name = choose_camera(cameras, source_camera, camera, Path(place)) if cameras != [""] else ""
    at = f"{place}: {name or 'observations'}"
    frames = np.stack([resized(picture[None], size)[0] for picture in _pictures(leaves[name], at)])
    checked_frames(frames, Path(at))
    if len(frames) != len(rewards) + 1:
        raise BadData(f"{at}: {len(frames)} pictures for {len(rewards)} rewards; one picture more is expected")
    if not np.isfinite(rewards).all():
        raise BadData(f"{place}: rewards are not finite")
    shifted = np.concatenate([[0.0], rewards]).astype(np.float32)
    return Episode(frames, shifted, _seed(group, place))


def _seed(group: h5py.Group, place: str) -> int:
    seed = group.attrs.get("seed", 0)
    try:
        return 0 if str(seed) == "None" else int(seed)
    except (TypeError, ValueError) as error:
        raise BadData(f"{place}: seed is {seed!r}, not a number") from error


def _leaves(node: h5py.Group | h5py.Dataset, name: str, place: str) -> Iterator[tuple[str, h5py.Dataset]]:
    """(path, dataset) of everything that is observed; the path of a single dataset is empty."""
    if isinstance(node, h5py.Dataset):
        yield name, node
        return
    for key in node:
        yield from _leaves(_inside(node, key, place), f"{name}/{key}" if name else key, place)


def _inside(group: h5py.Group, name: str, place: str) -> h5py.Group | h5py.Dataset:
    """What a group holds. HDF5 can lead into other files, of which a stranger's file has none to show: refused."""
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.SoftLink | h5py.ExternalLink):
        raise BadData(f"{place}: {name} is a link; copy the dataset with Minari, so that it holds everything itself")
    found = group[name]
    if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
        raise BadData(f"{place}: {name} lies in another file; copy the dataset with Minari")
    return found


def _is_picture(leaf: h5py.Dataset) -> bool:
    """Whether it holds colored pictures, as arrays or as JPEGs."""
    if not len(leaf.shape) or not leaf.shape[0]:
        return False
    if leaf.dtype == np.uint8 and len(leaf.shape) == 4:
        return leaf.shape[-1] == 3 and min(leaf.shape[1:3]) >= SMALLEST
    if h5py.check_vlen_dtype(leaf.dtype) == np.uint8 or (leaf.dtype == np.uint8 and len(leaf.shape) == 2):
        return bytes(np.asarray(leaf[0])[:3]) == JPEG
    return False


def _pictures(leaf: h5py.Dataset, place: str) -> Iterator[np.ndarray]:
    """Each picture (H, W, 3) uint8, one at a time."""
    for t in range(leaf.shape[0]):
        stored: Any = leaf[t]
        if stored.ndim == 3:
            yield stored
            continue
        try:
            with Image.open(io.BytesIO(stored.tobytes()), formats=["JPEG"]) as picture:
                decoded, mode = np.asarray(picture), picture.mode
        except Exception as error:  # decoders have many exceptions of their own
            raise BadData(f"{place}: picture {t} is not a readable JPEG ({error})") from error
        if mode != "RGB":
            raise BadData(f"{place}: picture {t} is of mode {mode}, not RGB")
        yield decoded
