"""Checkpoints of flax, read without flax: msgpack with NumPy arrays in it, as trees of dictionaries.

Only data can stand in such a file. What is not an array of plain numbers is refused all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import torch
from torch import Tensor

from viper_pipeline.core.errors import BadData

ARRAY, SCALAR = 1, 3
"""Codes of flax's own msgpack types; 2 is a complex number, which no model of ours has."""
TYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool")


def read_flax(path: Path) -> dict[str, Any]:
    """The tree that `flax.serialization.msgpack_serialize` wrote to a file. Raises BadData naming the file."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({error.strerror})") from error
    try:
        tree = msgpack.unpackb(content, ext_hook=_extension, raw=False, strict_map_key=True)
    except Exception as error:  # a damaged file fails in every way there is
        raise BadData(f"{path}: no checkpoint of flax ({error or type(error).__name__})") from error
    if not isinstance(tree, dict):
        raise BadData(f"{path}: no checkpoint of flax (it holds a {type(tree).__name__}, not a tree)")
    return tree


def latest_checkpoint(folder: Path) -> Path:
    """`checkpoints/checkpoint_<step>` of the most steps in a model's folder. Raises BadData if there is none."""
    root = Path(folder) / "checkpoints"
    steps = {
        int(number): path
        for path in (root.iterdir() if root.is_dir() else ())
        if (number := path.name.removeprefix("checkpoint_")) != path.name and number.isdecimal()
    }
    if not steps:
        raise BadData(f"{root}: holds no file checkpoint_<step>; give a folder that the authors' training wrote")
    path = steps[max(steps)]
    if path.is_dir():
        raise BadData(
            f"{path}: is a folder of orbax, and only flax's older single files are read; write it again after "
            "flax.config.update('flax_use_orbax_checkpointing', False)"
        )
    return path


def _extension(code: int, content: bytes) -> Any:
    if code not in (ARRAY, SCALAR):
        raise ValueError(f"it holds a value of type {code}, which no model needs")
    shape, name, numbers = msgpack.unpackb(content, raw=False)
    if name not in TYPES:
        raise ValueError(f"it holds numbers of type {name!r}; known: {', '.join(TYPES)}")
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"it holds an array of shape {shape}")
    array = np.frombuffer(numbers, np.dtype(name).newbyteorder("<"))
    if array.size != math.prod(shape):
        raise ValueError(f"it holds {array.size} numbers where shape {shape} asks for {math.prod(shape)}")
    return array.reshape(shape) if code == ARRAY else array.reshape(())[()]


class Parameters:
    """Arrays of a flax model by path, each to be taken once with the shape that is expected."""

    def __init__(self, tree: Mapping[str, Any], where: str) -> None:
        """where: the file and what of it this is, for messages."""
        self.where = where
        self._left = dict(_flat(tree))

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, *shape: int) -> Tensor:
        """The array `name` as float32. Raises BadData if it is missing or has another shape."""
        if name not in self._left:
            raise BadData(f"{self.where}: {name} is missing; is this a model of the kind that was asked for?")
        value = np.asarray(self._left.pop(name))
        if value.shape != shape:
            raise BadData(f"{self.where}: {name} has shape {value.shape}, and the file `args` asks for {shape}")
        return torch.from_numpy(value.astype(np.float32))

    def finish(self) -> None:
        """Raises BadData if anything was not taken: the model would not be the one in the file."""
        if self._left:
            some = ", ".join(sorted(self._left)[:3])
            raise BadData(f"{self.where}: {len(self._left)} arrays have no place in this model, such as {some}")


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value
