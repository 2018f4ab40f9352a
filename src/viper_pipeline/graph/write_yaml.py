"""Stages as the text of dvc.yaml files: one a suite, and one at the root for what spans suites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.errors import BadParams
from viper_pipeline.graph.stages import Stage, Wiring
from viper_pipeline.graph.symbols import (
    AXES,
    DATASETS,
    SOURCE,
    SYMBOL,
    assignments,
    put,
    spread,
    symbolic,
    symbols_in,
)

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
        if stage.group in params["suites"]:
            document.setdefault("vars", ["../../params.yaml"])
        document.setdefault("stages", {})[stage.name] = _body(stage, params)
        if plots := list(_plots(stage, params)):
            document.setdefault("plots", []).extend(plots)
    return {
        root / _file(group, params): HEADER + yaml.safe_dump(document, sort_keys=False, width=110)
        for group, document in documents.items()
    }


def _file(group: str, params: Mapping[str, Any]) -> str:
    return f"pipelines/{group}/dvc.yaml" if group in params["suites"] else "dvc.yaml"


def own_axes(stage: Stage) -> dict[str, str]:
    """The axes that a stage runs over: axis -> suite."""
    return {kind: suite for kind, suite in symbols_in(stage.texts).items() if kind in AXES}


def _body(stage: Stage, params: Mapping[str, Any]) -> dict[str, Any]:
    own = own_axes(stage)
    looked_up = symbols_in(stage.deps).get(SOURCE)
    if looked_up and set(own) != {"task"}:
        raise BadParams(f"{stage.node}: a stage that reads a task's source runs over tasks and nothing else")

    def template(text: str) -> str:
        words = {kind: "${key}" if looked_up else f"${{item.{kind}}}" for kind in own} | {SOURCE: "${item.path}"}
        return SYMBOL.sub(lambda m: words.get(m["kind"], m.group()), text)

    def fan_in(texts: Iterable[str]) -> list[str]:
        return [one for text in texts for one in spread(template(text), params)]

    body: dict[str, Any] = {"cmd": template(f"viper stage {stage.group} {stage.node}")}
    if stage.group in params["suites"]:
        body["wdir"] = "../.."
    body["deps"] = [*stage.code, *fan_in(stage.deps)]
    # the lists that a fan-in runs over decide what is read, so they are inputs too
    lists = {
        AXES[kind].format(suite=suite)
        for dep in stage.deps
        for kind, suite in symbols_in([dep]).items()
        if kind in AXES and kind not in own
    }
    if wanted := sorted({*fan_in(stage.params), *lists}):
        body["params"] = wanted
    for path, meta in sorted(stage.outs.items()):
        flags = {name: template(meta[name]) if name == "desc" else meta[name] for name in FLAGS if name in meta}
        section = "metrics" if meta.get("kind") == "metric" else "outs"
        body.setdefault(section, []).append({template(path): flags} if flags else template(path))
    if looked_up:
        return {"foreach": "${%s}" % DATASETS.format(suite=looked_up), "do": body}
    if own:
        return {"matrix": {kind: "${%s}" % AXES[kind].format(suite=suite) for kind, suite in own.items()}, **body}
    return body


def _plots(stage: Stage, params: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Plots cannot be templates: every file is named."""
    up = "../../" if stage.group in params["suites"] else ""
    for path, meta in stage.outs.items():
        if meta.get("kind") == "plot":
            for one in spread(path, params):
                yield {up + one: {name: meta[name] for name in PLOT if name in meta}}


def expand(stage: Stage, params: Mapping[str, Any]) -> Iterable[Stage]:
    """A template as the real stages that it stands for."""
    for values in assignments(own_axes(stage), params):

        def every(texts: Iterable[str], values: dict[str, str] = values) -> tuple[str, ...]:
            return tuple(sorted(one for text in texts for one in spread(put(text, values, params), params)))

        outs = {put(path, values, params): meta for path, meta in stage.outs.items()}
        item = put(stage.item, values, params)
        yield Stage(stage.group, stage.name, item, every(stage.deps), stage.code, every(stage.params), outs)


def verify(templates: list[Stage], real: list[Stage], params: Mapping[str, Any]) -> None:
    """Refuse pipelines whose templates, expanded, are not exactly the real pipelines."""

    def key(stage: Stage) -> tuple:
        return (stage.node, stage.deps, stage.params, tuple(sorted(stage.outs)))

    expanded = {key(one) for stage in templates for one in expand(stage, params)}
    wanted = {key(stage) for stage in real}
    if expanded != wanted:
        differing = sorted({k[0] for k in expanded ^ wanted})
        raise BadParams(
            "the pipelines are not the same for every task, model, agent and seed, so no dvc.yaml can say what they "
            f"are; these stages differ: {', '.join(differing[:6])}"
        )
