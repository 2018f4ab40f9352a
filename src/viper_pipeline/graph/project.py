"""Where the project is, and what its parameters say."""

from __future__ import annotations

import importlib
import os
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

from viper_pipeline.errors import BadParams


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


def package_name(root: Path) -> str:
    """The package that holds the pipelines, from pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text())["tool"]["kedro"]["package_name"]


def registry(root: Path) -> ModuleType:
    """The project's pipeline_registry: `build(params)`, `sources(params)`, `check(params)`, PLUGS and OPEN_PLUGS."""
    return importlib.import_module(f"{package_name(root)}.pipeline_registry")
