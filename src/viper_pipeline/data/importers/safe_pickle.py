"""Pickles of somebody else, read as plain records: no name in them is ever imported, and nothing is called.

A pickle is a program. RLBench keeps a demonstration's low-dimensional half in one, and reads it with `pickle.load`.
Here the few names that such a file needs stand for records that only keep what they are given; others are refused.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from viper_pipeline.core.errors import BadData

LARGEST = 64 * 2**20
"""Bytes; a demonstration of a thousand steps takes about 4 MiB."""


class Record:
    """What a pickle wanted to be an object: the arguments it was made of, and its state. It has no behaviour."""

    __slots__ = ("arguments", "state")
    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> Any:
        """Keep the arguments."""
        record = super().__new__(cls)
        record.arguments, record.state = arguments, None
        return record

    def __setstate__(self, state: Any) -> None:
        """Keep the state. That this is here also keeps pickles from setting attributes."""
        self.state = state


class Demo(Record):
    """rlbench.demo.Demo."""

    __slots__ = ()


class Observation(Record):
    """rlbench.backend.observation.Observation."""

    __slots__ = ()


class Array(Record):
    """A NumPy array, its type or its scalar."""

    __slots__ = ()


class Text(Record):
    """Bytes, which protocol 2 writes as text and a codec."""

    __slots__ = ()


NUMPY = ("numpy._core", "numpy.core")
"""New and old name of the same module."""
NAMES: dict[tuple[str, str], type[Record]] = {
    ("rlbench.demo", "Demo"): Demo,
    ("rlbench.backend.observation", "Observation"): Observation,
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): Array,
    **{(f"{core}.multiarray", name): Array for core in NUMPY for name in ("_reconstruct", "scalar")},
    **{(f"{core}.numeric", "_frombuffer"): Array for core in NUMPY},
    ("_codecs", "encode"): Text,
}
"""All that a pickle may name."""


class _Inert(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[Record]:
        if (module, name) not in NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no demonstration needs")
        return NAMES[module, name]


def read_inert(path: Path) -> Any:
    """The content of a pickle, protocols 2 to 5, with records in place of objects. Raises BadData naming the file."""
    if (size := path.stat().st_size) > LARGEST:
        raise BadData(f"{path}: {size} bytes, more than the {LARGEST} of the longest demonstration")
    try:
        return _Inert(io.BytesIO(path.read_bytes())).load()
    except Exception as error:  # a damaged or hostile pickle fails in every way there is
        raise BadData(f"{path}: refused, and nothing in it was run: {error or type(error).__name__}") from error
