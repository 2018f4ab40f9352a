"""Templates, expanded over params.yaml, must be exactly the real pipelines: only then can dvc.yaml describe them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from viper_pipeline.core.errors import BadParams
from viper_pipeline.graph.stages import Stage
from viper_pipeline.graph.symbols import assignments, is_axis, put, spread, symbols_in

SHOWN = 6
"""Differences that the message lists."""


def own_axes(stage: Stage) -> dict[str, str]:
    """The axes that a stage runs over: axis -> suite."""
    return {kind: suite for kind, suite in symbols_in(stage.texts).items() if is_axis(kind)}


def expand(stage: Stage, params: Mapping[str, Any]) -> Iterable[Stage]:
    """A template as the real stages that it stands for."""
    for values in assignments(own_axes(stage), params):

        def every(texts: Iterable[str], values: dict[str, str] = values) -> tuple[str, ...]:
            return tuple(sorted({one for text in texts for one in spread(put(text, values, params), params)}))

        outs = {put(path, values, params): meta for path, meta in stage.outs.items()}
        item = put(stage.item, values, params)
        yield Stage(
            stage.group,
            stage.name,
            item,
            stage.function,
            every(stage.deps),
            stage.code,
            every(stage.params),
            outs,
        )


def verify(templates: Iterable[Stage], real: Iterable[Stage], params: Mapping[str, Any]) -> None:
    """Raise BadParams if code treats one task, model, agent or seed unlike the others."""
    said = {one.node: one for stage in templates for one in expand(stage, params)}
    wired = {stage.node: stage for stage in real}
    problems = []
    for node in sorted({*said, *wired}):
        if node not in wired:
            problems.append(f"{node} is missing")
        elif node not in said:
            problems.append(f"{node} is there, though the grid has no place for it")
        elif unlike := _differences(said[node], wired[node]):
            problems.append(f"{node}: {unlike}")
    if problems:
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise BadParams(
            "the pipelines are not the same for every task, model, agent and seed, so no dvc.yaml can say what they "
            "are (what differs from task to task belongs in params.yaml):\n  " + "\n  ".join(problems[:SHOWN]) + more
        )


def _differences(said: Stage, wired: Stage) -> str:
    pairs = {
        "function": ({said.function}, {wired.function}),
        "reads": (set(said.deps), set(wired.deps)),
        "parameters": (set(said.params), set(wired.params)),
        "writes": (set(said.outs), set(wired.outs)),
        "code": (set(said.code), set(said.code) | set(wired.code)),
    }
    return "; ".join(
        f"{what} {', '.join(sorted(b - a)) or 'nothing'}, not {', '.join(sorted(a - b)) or 'nothing'}"
        for what, (a, b) in pairs.items()
        if a != b
    )
