"""One training by itself, in this process, for a debugger: neither a Kedro session nor DVC takes part.

The stage's own node function is called with the parameters of params.yaml (and `key=value` overrides) and with the
artifacts that lie under data/. Its result goes to a folder of its own, so no versioned artifact is touched.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from viper_pipeline.core.config import ParamsBlock, value_at
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.core.files import Json
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.pipelines.profiles import read_profile

OUT = Path(".viper/single_runs")
"""Where results go unless the caller says otherwise, below the project's root."""


def overridden(params: ParamsBlock, suite: str, overrides: Sequence[str]) -> Json:
    """Parameters with `key=value` texts applied; values are YAML.

    A key is a dotted name of params.yaml, or one inside the suite's block: `drq.batch_size=32`.
    Raises BadParams for a text without `=` and for a key that leads nowhere. The values are checked by `validate`.
    """
    from viper_pipeline.core.yaml_files import parse_yaml

    changed = copy.deepcopy(dict(params))
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise BadParams(f"{text}: not an override; write key=value, such as drq.batch_size=32")
        path = key.split(".")
        if path[0] not in changed:
            path = ["suites", suite, *path]
        place: Any = changed
        for depth, part in enumerate(path[:-1]):
            if not isinstance(place.get(part), dict):
                known = [name for name, inner in place.items() if isinstance(inner, dict)]
                raise BadParams(f"{text}: no block {'.'.join(path[: depth + 1])}{did_you_mean(part, known)}")
            place = place[part]
        place[path[-1]] = parse_yaml(value, text)
    return changed


def run_single(
    root: Path, suite: str, stage: str, item: str, overrides: Sequence[str] = (), out: Path | None = None
) -> Path:
    """Run the node `<suite>.<stage>.<item>` and return the folder that holds its result.

    out: that folder; default: .viper/single_runs/<suite>/<stage>/<item>. Checkpoints lie beside it while the run goes
    on, under a name that follows from the parameters: the same command resumes, another one begins anew.
    Raises BadParams if there is no such node, BadData if an input has not been made yet.
    """
    from kedro.io import DataCatalog

    from viper_pipeline import pipeline_registry as project
    from viper_pipeline.pipelines.params_check import validate

    params = overridden(read_profile(root / "params.yaml"), suite, overrides)
    validate(params)
    node = _node(project.build(params), suite, f"{suite}.{stage}.{item}")
    catalog = DataCatalog.from_config(_catalog_config(root))
    out = out or root / OUT / suite / stage / item
    settings = {
        name: value_at(params, name.removeprefix("params:")) for name in node.inputs if name.startswith("params:")
    }
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    scratch = out.with_name(f"{out.name}.checkpoints-{key}")
    scratch.mkdir(parents=True, exist_ok=True)
    arguments: Json = dict(settings)
    for dataset in set(node.inputs) - set(settings):
        if dataset == "scratch":
            arguments[dataset] = scratch
        else:
            arguments[dataset] = _load(catalog.get(dataset), dataset, root)
    (output,) = node.outputs
    result = node.run(arguments)[output]
    target: Any = catalog.get(output)
    target._filepath = type(target._filepath)(out)
    target.save(result)
    shutil.rmtree(scratch)
    return out


def first_of(root: Path, dotted: str) -> Any:
    """The first entry of a list in params.yaml. Raises BadParams if there is none."""
    try:
        return value_at(read_profile(root / "params.yaml"), dotted)[0]
    except (KeyError, IndexError, TypeError) as error:
        raise BadParams(f"params.yaml: {dotted}: names none") from error


def _node(built: ParamsBlock, suite: str, name: str) -> Any:
    if suite not in built:
        raise BadParams(f"--suite {suite}: params.yaml has no block suites.{suite}{did_you_mean(suite, built)}")
    nodes = {node.name: node for node in built[suite].nodes}
    if name not in nodes:
        stage = name.rpartition(".")[0]
        alike = [other for other in nodes if other.rpartition(".")[0] == stage] or list(nodes)
        raise BadParams(f"params.yaml asks for no run {name}{did_you_mean(name, alike)}")
    return nodes[name]


def _catalog_config(root: Path) -> Json:
    import yaml

    config = yaml.safe_load((root / "conf/base/catalog.yml").read_text())
    for entry in config.values():
        if "filepath" in entry:
            entry["filepath"] = str(root / entry["filepath"])
    return config


def _load(dataset: Any, name: str, root: Path) -> Any:
    if not dataset.exists():
        path = dataset.path.relative_to(root) if dataset.path.is_relative_to(root) else dataset.path
        raise BadData(f"{path}: {name} has not been made yet; `dvc repro` or `viper run` makes it")
    return dataset.load()
