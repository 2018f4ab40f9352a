"""What every check is written in: a rule that must hold, a call that must work, and values that must be equal."""

from __future__ import annotations

import os
import pickle
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import ValidationError

from viper_pipeline.core.config import Config, ParamsBlock
from viper_pipeline.core.errors import ContractError, ViperError
from viper_pipeline.core.files import Json
from viper_pipeline.core.registry import Registry
from viper_pipeline.training.artifacts import ModelArtifact, load_artifact, save_artifact
from viper_pipeline.training.checkpoints import load_checkpoint, save_checkpoint

T = TypeVar("T")
C = TypeVar("C", bound=Config)
ParamsOrConfig = ParamsBlock | Config
"""A block of params.yaml, or the configuration it becomes."""
Size = int | str
"""A dimension's size, or a letter for one of any size."""


class Contract:
    """The contract of one part; every broken rule is a ContractError that names the part."""

    def __init__(self, part: str) -> None:
        """part: kind and name, for messages."""
        self.part = part

    def require(self, kept: bool, rule: str, found: str, remedy: str) -> None:
        """Raise ContractError unless the rule is kept."""
        if not kept:
            raise ContractError(self.part, rule, found, remedy)

    def call(self, name: str, function: Callable[..., T], *args: object, **keywords: object) -> T:
        """What `function` returns; an exception in it breaks the rule that it works."""
        try:
            return function(*args, **keywords)
        except Exception as error:
            what = f"it raised {type(error).__name__}: {error}"
            raise ContractError(self.part, f"{name} works", what, f"mend {name}, see the exception above") from error

    def refuses(
        self, error: type[ViperError], rule: str, function: Callable[..., object], *args: object, **keywords: object
    ) -> None:
        """`function` must raise `error`, and no other exception."""
        remedy = f"raise core.errors.{error.__name__} with a message that names the remedy"
        try:
            function(*args, **keywords)
        except error:
            return
        except Exception as other:
            raise ContractError(self.part, rule, f"{type(other).__name__} was raised: {other}", remedy) from other
        raise ContractError(self.part, rule, "nothing was raised", remedy)

    def config(self, part: Any, base: type[C], block: ParamsOrConfig) -> C:
        """The configuration of a block, by the `Config` that must stand on the part's class."""
        kind = getattr(part, "Config", None)
        self.require(
            isinstance(kind, type) and issubclass(kind, base),
            f"the class has a Config, a {base.__name__}",
            f"its Config is {kind}",
            f"write class Config({base.__name__}) on the part's class",
        )
        assert kind is not None
        self.require(
            bool(kind.model_config.get("frozen")) and kind.model_config.get("extra") == "forbid",
            "a Config is frozen and refuses unknown keys",
            f"its model_config is {kind.model_config}",
            "inherit core.config.Config and leave model_config as it is",
        )
        if isinstance(block, kind):
            return block
        values = block.model_dump() if isinstance(block, Config) else dict(block)
        try:
            return kind.model_validate(values)
        except ValidationError as error:
            what = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            remedy = "give the check settings that fit the part's Config"
            raise ContractError(self.part, "the settings are read by Config", what, remedy) from error

    def array(
        self,
        name: str,
        value: Any,
        dtype: str,
        shape: Sequence[Size],
        within: tuple[float, float] | None = None,
        note: str = "",
    ) -> None:
        """`value` must be an array or tensor of this type and shape, finite, and within (lowest, highest)."""
        sizes = [str(size) for size in shape]
        words = f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
        rule = f"{name} is {dtype} {words}{note}"
        remedy = f"return {dtype} {words}"
        known = isinstance(value, np.ndarray | torch.Tensor)
        self.require(known, rule, f"it is a {type(value).__name__}", remedy)
        array = as_array(value)
        fits = array.ndim == len(shape) and all(
            isinstance(want, str) or have == want for want, have in zip(shape, array.shape, strict=True)
        )
        self.require(str(array.dtype) == dtype and fits, rule, f"it is {array.dtype} {array.shape}", remedy)
        if array.dtype.kind == "f":
            self.require(bool(np.isfinite(array).all()), f"{name} is finite", "it holds NaN or inf", "mend its formula")
        if within and array.size:
            low, high = within
            self.require(
                bool(array.min() >= low and array.max() <= high),
                f"{name} is within {low} and {high}",
                f"it goes from {array.min()} to {array.max()}",
                "clip it, or mend its formula",
            )

    def same(self, rule: str, one: Any, other: Any, remedy: str, tolerance: float = 0.0) -> None:
        """Both values, and everything in them, must be equal up to the tolerance (absolute and relative)."""
        if difference := differing(one, other, tolerance):
            raise ContractError(self.part, rule, difference, remedy)

    def pickles(self, name: str, value: T) -> T:
        """The value after a trip to another process."""
        rule = f"{name} pickles"
        try:
            return pickle.loads(pickle.dumps(value))
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            remedy = "it is sent to other processes: keep lambdas, open files and simulators out of it"
            raise ContractError(self.part, rule, what, remedy) from error

    def checkpointed(self, state: Json) -> Json:
        """A state_dict as a resumed run gets it."""
        rule = "state_dict can be stored in a checkpoint"
        remedy = "hold only tensors, numbers, strings, lists and dictionaries (arrays as tensors)"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.pt"
            try:
                save_checkpoint(path, state)
                return load_checkpoint(path) or {}
            except Exception as error:
                what = str(error).replace(folder, "").splitlines()[0]
                raise ContractError(self.part, rule, what, remedy) from error

    def on_disk(self, artifact: ModelArtifact) -> ModelArtifact:
        """What is read of a folder that `to_artifact` described."""
        self.require(
            isinstance(artifact, ModelArtifact),
            "to_artifact returns a ModelArtifact",
            f"it returned a {type(artifact).__name__}",
            "return training.artifacts.ModelArtifact(config, tensors, files)",
        )
        with tempfile.TemporaryDirectory() as folder:
            self.call("saving what to_artifact returns", save_artifact, Path(folder) / "model", artifact)
            return load_artifact(Path(folder) / "model")

    @contextmanager
    def isolated(self, generators: bool = True) -> Iterator[None]:
        """Nothing global may be changed in this block; torch's random numbers are put back.

        generators: also watch the global generators of Python and NumPy, which a training may seed.
        """
        before = global_state(generators)
        with torch.random.fork_rng(devices=[]):
            yield
        after = global_state(generators)
        for name, value in before.items():
            self.require(
                not differing(value, after[name]),
                "no global state is left behind",
                f"{name} was changed",
                "use generators and settings of your own, or restore what you set",
            )


def find(part: Any, registry: Registry) -> tuple[Any, Contract]:
    """A part given by its registered name or itself, and its contract."""
    if isinstance(part, str):
        return registry.get(part), Contract(f"{registry.kind} '{part}'")
    return part, Contract(f"{registry.kind} {getattr(part, '__name__', part)}")


def global_state(generators: bool) -> Json:
    """What a process has only one of, and a part must leave alone."""
    state: Json = {
        "the working folder": os.getcwd(),
        "torch's default type": str(torch.get_default_dtype()),
        "torch's number of threads": torch.get_num_threads(),
        "torch's recording of gradients": torch.is_grad_enabled(),
        "torch's choice of deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
    }
    if generators:
        state["Python's random generator"] = random.getstate()
        state["NumPy's global random generator"] = np.random.get_state()  # noqa: NPY002 (that is what is watched)
    return state


def as_array(value: np.ndarray | torch.Tensor) -> np.ndarray:
    """An array or tensor as an array on the CPU."""
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value


def differing(one: object, other: object, tolerance: float = 0.0, place: str = "") -> str:
    """Where two nested values first differ, in words; empty if they are equal up to the tolerance."""
    where = f" at {place}" if place else ""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return f"keys differ{where}: {sorted(map(str, one.keys() ^ other.keys()))[:3]}"
        pairs = [(one[key], other[key], f"{place}.{key}".lstrip(".")) for key in one]
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return f"lengths {len(one)} and {len(other)} differ{where}"
        pairs = [(a, b, f"{place}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True))]
    elif isinstance(one, np.ndarray | torch.Tensor) and isinstance(other, np.ndarray | torch.Tensor):
        a, b = as_array(one), as_array(other)
        if a.shape != b.shape:
            return f"shapes {a.shape} and {b.shape} differ{where}"
        if np.array_equal(a, b, equal_nan=a.dtype.kind == "f") or (
            tolerance and np.allclose(a.astype(float), b.astype(float), rtol=tolerance, atol=tolerance)
        ):
            return ""
        return f"values differ{where} by up to {np.abs(a.astype(float) - b.astype(float)).max():.3g}"
    else:
        return "" if one == other else f"{one!r:.60} and {other!r:.60} differ{where}"
    return next((found for pair in pairs if (found := differing(pair[0], pair[1], tolerance, pair[2]))), "")
