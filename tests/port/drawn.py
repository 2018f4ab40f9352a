"""Weights and inputs that are the same numbers on every machine, so that fixtures hold only what came out.

Whole numbers of NumPy's frozen `RandomState`, over powers of two: no rounding is left to chance.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np


def whole(name: str, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
    """Integers from low to high (inclusive), by name."""
    return np.random.RandomState(zlib.crc32(name.encode())).randint(low, high + 1, shape)


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A weight by its flax path, float32, of about the size that training gives it."""
    part, last = name.split("/")[-2:]
    unit = whole(name, shape, -64, 64) / 64
    if last == "scale":
        return (1 + unit / 4).astype(np.float32)
    if last == "bias" or last.startswith("d_") or last == "sos":
        return (unit / 4).astype(np.float32)
    if last == "embeddings" or (part.startswith("Dense_") and "LayerNorm" in name):
        return (unit / 2).astype(np.float32)
    fan_in = shape[0] if part == "DenseGeneral_0" else math.prod(shape[:-1])
    return (unit * 2.0 ** round(math.log2(math.sqrt(3 / fan_in)))).astype(np.float32)


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """All of them, by flax path."""
    return {name: weight(name, tuple(shape)) for name, shape in shapes.items()}


def nested(flat: Mapping[str, np.ndarray]) -> dict:
    """`a/b/c` -> value as dictionaries in dictionaries, as flax keeps its parameters."""
    tree: dict = {}
    for name, value in flat.items():
        *folders, last = name.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return tree


def flattened(tree: Mapping, prefix: str = "") -> dict:
    """The inverse of `nested`."""
    flat = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{name}/")
        else:
            flat[prefix + name] = value
    return flat


def video(name: str, frames: int, size: int) -> np.ndarray:
    """uint8 (frames, size, size, 3): blocks of color, of which a few change with time."""
    blocks = whole(name, (1, size // 4, size // 4, 3), 0, 255)
    moves = whole(f"{name} moves", (frames, size // 4, size // 4, 1), 0, 5) == 0
    blocks = np.where(moves, whole(f"{name} after", (frames, size // 4, size // 4, 3), 0, 255), blocks)
    return np.ascontiguousarray(blocks.repeat(4, 1).repeat(4, 2).astype(np.uint8))
