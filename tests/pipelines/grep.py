"""All numbers that an object holds, however deep, as bytes: to grep what reaches a reward or an agent."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, MethodType, ModuleType

import numpy as np
import torch

from viper_pipeline.data.hdf5 import EpisodeFile, EpisodeGroup


def numbers(value: object, seen: set[int] | None = None) -> Iterator[bytes]:
    """Arrays and tensors as they lie in memory; single numbers and lists of them as float64.

    Raises AssertionError for an open file of episodes and for a path, through which anything could be read.
    """
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, (str, bytes, type, ModuleType, type(None))):
        return
    seen.add(id(value))
    assert not isinstance(value, (EpisodeFile, EpisodeGroup, Path)), value
    if isinstance(value, torch.Tensor):
        yield value.detach().contiguous().numpy().tobytes()
    elif isinstance(value, np.ndarray):
        yield value.tobytes()
    elif isinstance(value, (int, float, np.generic)):
        yield np.float64(value).tobytes()
    else:
        if isinstance(value, (list, tuple)) and value and all(isinstance(v, (int, float)) for v in value):
            yield np.array(value, np.float64).tobytes()
        for part in parts(value):
            yield from numbers(part, seen)


def parts(value: object) -> list[object]:
    """What an object holds: items, attributes, what a function has closed over."""
    held: list[object] = []
    if isinstance(value, Mapping):
        held += [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        held += list(value)
    if isinstance(value, functools.partial):
        held += [value.func, value.args, value.keywords]
    if isinstance(value, MethodType):
        held += [value.__self__, value.__func__]
    if isinstance(value, FunctionType):
        held += [value.__defaults__, value.__kwdefaults__]
        held += [cell.cell_contents for cell in value.__closure__ or ()]
    if not isinstance(value, (FunctionType, MethodType)):
        held += [vars(value)] if hasattr(value, "__dict__") else []
        names = {name for kind in type(value).__mro__ for name in np.atleast_1d(getattr(kind, "__slots__", ()))}
        held += [getattr(value, name) for name in names if hasattr(value, name)]
    return held


def found(needles: list[np.ndarray], hay: bytes) -> list[np.ndarray]:
    """Those rows of numbers that stand in `hay`, in single or double precision."""
    return [row for row in needles if any(row.astype(kind).tobytes() in hay for kind in (np.float32, np.float64))]
