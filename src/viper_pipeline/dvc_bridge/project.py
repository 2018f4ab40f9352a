"""Where the project is, what its parameters say, and its pipeline_registry."""

from __future__ import annotations

import importlib
import os
import sys
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.dvc_bridge.estimates import Cost

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline


@dataclass(frozen=True)
class Part:
    """Which entries of a registry a stage uses: all that it can reach count as code otherwise.

    value: the entry's name, or path: where params.yaml has it (a name, or a list of names). Both may hold values that
    the pipeline binds, as `{model}` or `suites.{suite}.tokenizer.kind`. The first part of a registry holds that a
    node's bound values can fill in.
    """

    registry: str  # `module:NAME`
    value: str = ""
    path: str = ""
    default: str = ""  # where there is nothing at `path`


@dataclass(frozen=True)
class Lookup:
    """A value that depends on the value of an axis: `table` in params.yaml has one block for each of them."""

    axis: str
    table: str  # `suites.{block}.datasets`
    field: str  # `path`


@dataclass(frozen=True)
class Project:
    """What a project says of itself: `PROJECT` in its pipeline_registry. See README.md in this folder."""

    build: Callable[[JsonView], Mapping[str, Pipeline]]
    """Every pipeline by name, from the values of params.yaml."""
    symbolic: Callable[[JsonView, Callable[[str, str], str]], JsonView]
    """The parameters with each list of an axis replaced by one symbol: called with a maker of symbols, which takes the
    block of params.yaml (`all`, if there is but one such list) and the axis."""
    axes: Mapping[str, str]
    """Axis -> the list in params.yaml that it runs over; `{block}` stands for the block, and an axis that ends in `*`
    for all axes with this beginning, where `{*}` is the rest of its name."""
    every: Mapping[str, str] = field(default_factory=dict)
    """Name of a symbol -> axis, where a stage that runs over an axis reads something for all values of it."""
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    """Name of a symbol -> what it stands for, where a path depends on an axis' value."""
    at_root: Collection[str] = ()
    """Pipelines whose stages stand in the dvc.yaml at the root; others have a file of their own."""
    sources: Callable[[JsonView], Mapping[str, str]] = lambda params: {}
    """Dataset -> the file or folder that params.yaml names for it."""
    check: Callable[[JsonView], None] = lambda params: None
    """Raises BadParams before any work."""
    lacks: Callable[[JsonView], Sequence[str]] = lambda params: ()
    """What this machine lacks for these parameters, a line each: asked before stages run on it."""
    default: Callable[[JsonView], Sequence[str]] = lambda params: ()
    """Targets of `viper run` without any; none: every stage."""
    after_default: Callable[[Path], Iterable[str]] = lambda root: ()
    """What `viper run` does when these targets are up to date; the lines that it prints."""
    committed_costs: Callable[[Path], Mapping[str, Cost]] = lambda root: {}
    """What the nodes of committed results took, for the estimates of a first run."""
    parts: Sequence[Part] = ()
    neutral: Collection[str] = ()
    """Dotted names of parameters that change no result: they stand neither in dvc.yaml nor in the provenance."""
    libraries: Collection[str] = ()
    """Distributions whose versions shape results; the provenance names those that are installed."""
    readers: Mapping[str, Callable[[Path], str]] = field(default_factory=dict)
    """Suffix of a file -> what reads the provenance (JSON) that it carries; "" where it has none."""


def project_root(start: Path | None = None) -> Path:
    """The nearest folder upwards that holds params.yaml beside a pyproject.toml."""
    here = Path(start or os.environ.get("VIPER_ROOT") or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "pyproject.toml").is_file():
            return folder
    raise BadParams(f"{here}: no project here: no params.yaml beside a pyproject.toml, nor in any folder above")


def read_params(path: Path | str) -> Json:
    """The values in a YAML file, as DVC and Kedro read them. Raises BadParams if it cannot be read, or in two ways."""
    from viper_pipeline.core.yaml_files import read_yaml

    return read_yaml(path)


MISSING = object()
"""What stands where there is no such parameter; equal to no value."""


def param_at(params: JsonView, dotted: str) -> Any:
    """The value at a dotted path such as `suites.dmc.tasks`, or MISSING."""
    value: Any = params
    for key in dotted.split("."):
        value = value.get(key, MISSING) if isinstance(value, Mapping) else MISSING
    return value


@cache
def _settings(root: Path) -> Json:
    try:
        return tomllib.loads((root / "pyproject.toml").read_text())["tool"]["kedro"]
    except KeyError as error:
        raise BadParams(f"{root / 'pyproject.toml'}: has no [tool.kedro] table, so it is no Kedro project") from error


def package_name(root: Path) -> str:
    """The package that holds the pipelines, from pyproject.toml."""
    return str(_settings(root)["package_name"])


def source_folder(root: Path) -> Path:
    """The folder that the package lies in; it exists in a checkout."""
    return root / str(_settings(root).get("source_dir", "src"))


def bootstrap(root: Path) -> None:
    """Make Kedro see the project, with its plain logging."""
    os.environ.setdefault("KEDRO_DISABLE_TELEMETRY", "1")
    if (logging := root / "conf" / "logging.yml").exists():
        os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(logging))
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(root)


def project_of(root: Path) -> Project:
    """What the project at `root` says of itself, installed or not. Raises BadParams if it says nothing."""
    folder = str(source_folder(root))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.import_module(f"{package_name(root)}.pipeline_registry")
    project = getattr(module, "PROJECT", None)
    if not isinstance(project, Project):
        raise BadParams(f"{module.__file__}: has no `PROJECT = Project(...)`; see dvc_bridge/README.md")
    return project
