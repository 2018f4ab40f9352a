"""Stages as the text of dvc.yaml files: one a suite, and one at the root for what spans suites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.core.errors import BadParams
from viper_pipeline.graph.stages import Stage, Wiring
from viper_pipeline.graph.symbols import DATASETS, SOURCE, SYMBOL, list_of, spread, symbolic, symbols_in
from viper_pipeline.graph.verify import own_axes, verify

HEADER = (
    "# Written by `viper dvc sync` from src/viper_pipeline/pipelines and conf/base/catalog.yml.\n"
    "# Do not edit: `viper dvc check` fails when this file and the pipelines differ.\n"
)
FLAGS = ("cache", "persist", "push", "desc", "remote")
PLOT = ("x", "y", "title", "template", "x_label", "y_label")


def generate(root: Path, params: Mapping[str, Any]) -> dict[Path, str]:
    """The text of every dvc.yaml. Raises BadParams if the pipelines treat one task or seed unlike the others."""
    import yaml

    wiring = Wiring(root)
    templates = wiring.stages(symbolic(params), params)
    verify(templates, wiring.stages(params, params), params)
    documents: dict[str, dict[str, Any]] = {}
    for stage in templates:
        document = documents.setdefault(stage.group, {})
        if own_file(stage.group, params):
            document.setdefault("vars", ["../../params.yaml"])
        document.setdefault("stages", {})[stage.name] = body(stage, params)
    for stage in templates:
        if plots := list(_plots(stage, params)):
            documents[stage.group].setdefault("plots", []).extend(plots)
    return {
        root / file_of(group, params): HEADER + yaml.safe_dump(document, sort_keys=False, width=110)
        for group, document in documents.items()
    }


def file_of(group: str, params: Mapping[str, Any]) -> str:
    """The dvc.yaml that a pipeline's stages stand in."""
    return f"pipelines/{group}/dvc.yaml" if own_file(group, params) else "dvc.yaml"


def own_file(group: str, params: Mapping[str, Any]) -> bool:
    """Whether a pipeline's stages stand in a file of their own: those of a suite, and of a block about a suite."""
    block = params.get(group)
    return group in params["suites"] or (isinstance(block, Mapping) and "suite" in block)


def body(stage: Stage, params: Mapping[str, Any]) -> dict[str, Any]:
    """What dvc.yaml says of a template."""
    own = own_axes(stage)
    looked_up = symbols_in(stage.deps).get(SOURCE)
    if looked_up and set(own) != {"task"}:
        raise BadParams(f"{stage.node}: a stage that reads a task's source runs over tasks and nothing else")
    words = {kind: "${key}" if looked_up else f"${{item.{kind}}}" for kind in own} | {SOURCE: "${item.path}"}

    def template(text: str) -> str:
        return SYMBOL.sub(lambda match: words.get(match["kind"], match.group()), text)

    def fan_in(texts: Iterable[str]) -> list[str]:
        return [one for text in texts for one in spread(template(text), params)]

    said: dict[str, Any] = {"cmd": template(f"viper stage {stage.group} {stage.node}")}
    if own_file(stage.group, params):
        said["wdir"] = "../.."
    said["deps"] = [*stage.code, *fan_in(stage.deps)]
    # the lists that a fan-in runs over decide what is read, so they are inputs too
    lists = {
        list_of(kind, suite)
        for dep in stage.deps
        for kind, suite in symbols_in([dep]).items()
        if kind != SOURCE and kind not in own
    }
    if wanted := sorted({*fan_in(stage.params), *lists}):
        said["params"] = wanted
    for path, meta in sorted(stage.outs.items()):
        flags = {name: template(meta[name]) if name == "desc" else meta[name] for name in FLAGS if name in meta}
        section = "metrics" if meta.get("kind") == "metric" else "outs"
        said.setdefault(section, []).append({template(path): flags} if flags else template(path))
    if looked_up:
        return {"foreach": _from_params(DATASETS.format(suite=looked_up)), "do": said}
    if own:
        return {
            "matrix": {kind: _from_params(list_of(kind, suite)) for kind, suite in own.items()},
            **said,
        }
    return said


def _from_params(path: str) -> str:
    return f"${{{path}}}"


def _plots(stage: Stage, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Plots cannot be templates: every file is named; the files of one stage share one plot."""
    up = "../../" if own_file(stage.group, params) else ""
    plots = {path: meta for path, meta in stage.outs.items() if meta.get("kind") == "plot"}
    for path, meta in plots.items():
        settings = {name: meta[name] for name in PLOT if name in meta}
        if own_axes(stage):
            columns = {up + one: meta.get("y") for one in spread(path, params)}
            which = f" {Path(SYMBOL.sub('', path)).stem}" if len(plots) > 1 else ""
            yield {f"{stage.group} {stage.name}{which}": {**settings, "y": columns}}
        else:
            yield {up + path: settings}
