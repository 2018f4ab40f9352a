"""Pickles of somebody else, read as plain records: no name in them is ever imported, and nothing is called.

A pickle is a program. RLBench keeps a demonstration's low-dimensional half in one, VIPER's authors keep settings,
classes and masks of their models in three, and both read them with `pickle.load`. Here the few names that such a file
needs stand for records that only keep what they are given; others are refused.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from viper_pipeline.core.errors import BadData

LARGEST = 64 * 2**20
"""Bytes; a demonstration of a thousand steps takes about 4 MiB."""


class Record:
    """What a pickle wanted to be an object: the arguments it was made of, and its state. It has no behavior."""

    __slots__ = ("arguments", "state")
    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: object) -> Self:
        """Keep the arguments."""
        record = super().__new__(cls)
        record.arguments, record.state = arguments, None
        return record

    def __setstate__(self, state: object) -> None:
        """Keep the state. That this is here also keeps pickles from setting attributes."""
        self.state = state


class Demo(Record):
    """rlbench.demo.Demo."""

    __slots__ = ()


class Observation(Record):
    """rlbench.backend.observation.Observation."""

    __slots__ = ()


class Namespace(Record):
    """argparse.Namespace."""

    __slots__ = ()


class Array(Record):
    """A NumPy array, its type or its scalar."""

    __slots__ = ()


class Rebuilt(Array):
    """An array whose state follows."""

    __slots__ = ()


class Buffer(Array):
    """An array of a buffer, as protocol 5 writes it."""

    __slots__ = ()


class Scalar(Array):
    """A single number with a type."""

    __slots__ = ()


class Dtype(Array):
    """A type of numbers."""

    __slots__ = ()


class Text(Record):
    """Bytes, which protocol 2 writes as text and a codec."""

    __slots__ = ()


NUMPY = ("numpy._core", "numpy.core")
"""New and old name of the same module."""
Names = Mapping[tuple[str, str], type[Record]]
NUMBERS: Names = {
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): Dtype,
    **{(f"{core}.multiarray", "_reconstruct"): Rebuilt for core in NUMPY},
    **{(f"{core}.multiarray", "scalar"): Scalar for core in NUMPY},
    **{(f"{core}.numeric", "_frombuffer"): Buffer for core in NUMPY},
    ("_codecs", "encode"): Text,
}
"""What NumPy's numbers need."""
NAMES: Names = {
    ("rlbench.demo", "Demo"): Demo,
    ("rlbench.backend.observation", "Observation"): Observation,
    **NUMBERS,
}
"""All that a demonstration's pickle may name."""
SETTINGS: Names = {("argparse", "Namespace"): Namespace, **NUMBERS}
"""All that a model's settings, classes and masks may name."""


class _SafeUnpickler(pickle.Unpickler):
    def __init__(self, content: bytes, names: Names, what: str) -> None:
        super().__init__(io.BytesIO(content))
        self.names, self.what = names, what

    def find_class(self, module: str, name: str) -> type[Record]:
        if (module, name) not in self.names:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no {self.what} needs")
        return self.names[module, name]


def read_safely(
    path: Path, names: Names = NAMES, what: str = "demonstration", expected: tuple[type, ...] = (object,)
) -> Any:
    """The content of a pickle, protocols 2 to 5, with records in place of objects. Raises BadData naming the file.

    names: all that it may name; what: what the file is, for messages; expected: the types that such a file may hold.
    """
    if (size := path.stat().st_size) > LARGEST:
        raise BadData(f"{path}: {size} bytes, more than the {LARGEST} of the longest {what}")
    try:
        content = path.read_bytes()
        _refuse_leftovers(content)
        found = _SafeUnpickler(content, names, what).load()
        if not isinstance(found, expected):
            wanted = " or ".join(kind.__name__ for kind in expected)
            raise pickle.UnpicklingError(f"it is not a {what}: it holds a {type(found).__name__}, not a {wanted}")
    except Exception as error:  # a damaged or hostile pickle fails in every way there is
        raise BadData(f"{path}: refused, and nothing in it was run: {error or type(error).__name__}") from error
    return found


class _Nowhere(io.StringIO):
    """Where the listing of a pickle goes."""

    def write(self, text: str) -> int:
        """Drop it."""
        return len(text)


def _refuse_leftovers(content: bytes) -> None:
    """Raise where a pickle is no single value: bytes after its end, or values left on its stack, which no pickler does.

    The program is only read here, one instruction after the other.
    """
    stream = io.BytesIO(content)
    pickletools.dis(stream, _Nowhere())
    if stream.tell() != len(content):
        raise pickle.UnpicklingError(f"{len(content) - stream.tell()} bytes follow its end")


DEEPEST = 16
"""Containers in containers; settings have three."""


def as_values(found: Any, depth: int = DEEPEST) -> Any:
    """What `read_safely` found, as plain values: settings as dictionaries, numbers as NumPy's, containers anew.

    Raises ValueError for records that stand for anything else, or that hold what NumPy would not have written.
    """
    if depth == 0:
        raise ValueError("it is nested too deeply")
    if found is None or isinstance(found, bool | int | float | str | bytes):
        return found
    if isinstance(found, Namespace) and isinstance(found.state, dict):
        return as_values(found.state, depth)
    if isinstance(found, dict):
        return {as_values(key, 1): as_values(value, depth - 1) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return type(found)(as_values(value, depth - 1) for value in found)
    if isinstance(found, Rebuilt) and isinstance(found.state, tuple) and len(found.state) == 5:
        _, shape, kind, transposed, content = found.state
        return _array(content, kind, shape, "F" if transposed else "C")
    if isinstance(found, Buffer) and len(found.arguments) == 4:
        content, kind, shape, order = found.arguments
        return _array(content, kind, shape, order)
    if isinstance(found, Scalar) and len(found.arguments) == 2:
        kind, content = found.arguments
        return _array(content, kind, (), "C")[()]
    raise ValueError(f"it holds a {type(found).__name__}, which is no setting and no array of numbers")


def _array(content: object, kind: object, shape: Any, order: Any) -> np.ndarray:
    if isinstance(content, Text):
        text, codec = content.arguments
        if not isinstance(text, str) or codec != "latin1":
            raise ValueError("it holds bytes in an unknown form")
        content = text.encode("latin1")
    if not isinstance(kind, Dtype) or not re.fullmatch("b1|[iu][1248]|f[248]", str(kind.arguments[0])):
        raise ValueError("it holds an array of something else than numbers")
    swapped = isinstance(kind.state, tuple) and kind.state[1] == ">"
    dtype = np.dtype(kind.arguments[0]).newbyteorder(">" if swapped else "<")
    if not isinstance(content, bytes | bytearray) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError("it holds an array without numbers")
    if len(content) != math.prod(shape) * dtype.itemsize or order not in ("C", "F"):
        raise ValueError(f"it holds {len(content)} bytes where shape {shape} needs another number")
    return np.frombuffer(content, dtype).reshape(shape, order=order).astype(dtype.newbyteorder("="))
