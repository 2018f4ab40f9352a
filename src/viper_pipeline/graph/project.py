"""Where the project is, what its parameters say, and its pipeline_registry."""

from __future__ import annotations

import importlib
import os
import sys
import tomllib
from collections.abc import Mapping, Set
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from viper_pipeline.core.errors import BadParams


def project_root(start: Path | None = None) -> Path:
    """The nearest folder upwards that holds params.yaml beside a pyproject.toml."""
    here = Path(start or os.environ.get("VIPER_ROOT") or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "pyproject.toml").is_file():
            return folder
    raise BadParams(f"{here}: no project here: no params.yaml beside a pyproject.toml, nor in any folder above")


def read_params(path: Path | str) -> dict[str, Any]:
    """The values in a YAML file. Raises BadParams if it cannot be read."""
    import yaml

    try:
        values = yaml.load(Path(path).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise BadParams(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise BadParams(f"{path}: not YAML: {error}") from error
    if not isinstance(values, dict):
        raise BadParams(f"{path}: holds no mapping of names to values")
    return values


MISSING = object()
"""What stands where there is no such parameter; equal to no value."""


def value_at(params: Mapping[str, Any], dotted: str) -> Any:
    """The value at a dotted path such as `suites.dmc.tasks`, or MISSING."""
    value: Any = params
    for key in dotted.split("."):
        value = value.get(key, MISSING) if isinstance(value, Mapping) else MISSING
    return value


@cache
def _settings(root: Path) -> dict[str, Any]:
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


def registry(root: Path) -> ModuleType:
    """The project's pipeline_registry, installed or not.

    It offers `build(params)` -> pipelines by name, `sources(params)` -> files by dataset name, `check(params)`, and the
    tables PLUGS, OPEN_PLUGS and NEUTRAL (see code.py) and NEUTRAL_PARAMS (see `neutral_params`), of which all but the
    first may be absent.
    """
    folder = str(source_folder(root))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(f"{package_name(root)}.pipeline_registry")


def neutral_params(registry: ModuleType) -> Set[str]:
    """Dotted names of parameters that change no result: neither DVC nor a recipe is told of them."""
    return getattr(registry, "NEUTRAL_PARAMS", set())
