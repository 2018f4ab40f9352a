"""Kept runs beside those of the graph: only with the same settings, and never in the place of one of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from viper_pipeline.graph.project import value_at
from viper_pipeline.results.evidence import AblationRun
from viper_pipeline.results.inputs import RunResult
from viper_pipeline.results.kept import KeptRun, kept_runs
from viper_pipeline.results.paper_figures.entry import shortened


@dataclass(frozen=True)
class Kept:
    """The files of reports/runs, as a report takes them."""

    shown: Sequence[RunResult]
    other_mask: Sequence[RunResult]  # paid by models that saw what today's do not, or vice versa (Fig 6)
    ablations: Sequence[AblationRun]  # with one part changed (Fig 9)
    left_out: Mapping[str, int]  # why -> how many


def kept_beside(
    own: Sequence[RunResult], files: Mapping[str, bytes], settings: Mapping[str, Mapping[str, Any]]
) -> Kept:
    """Runs of the settings' suites and tasks; files: name -> content; settings: suite -> its block of params.yaml."""
    there = {(r.suite, r.task, r.method, r.agent, r.seed) for r in own}
    shown: list[RunResult] = []
    other_mask: list[RunResult] = []
    ablations: list[AblationRun] = []
    left_out: dict[str, int] = {}
    for run in kept_runs(files):
        block = settings.get(run.suite)
        if block is None or run.task not in block["tasks"]:
            continue
        names = differing(run, block)
        if names and not run.axis and all(mask_alone(run, block, name) for name in names):
            other_mask.append(run.result())
        elif run.key in there and not run.axis:
            continue
        elif names:
            reason = f"another value of {shortened(names)}"
            left_out[reason] = left_out.get(reason, 0) + 1
        elif run.axis:
            ablations.append(run.ablation())
        else:
            shown.append(run.result())
    return Kept(shown, other_mask, ablations, left_out)


def differing(run: KeptRun, block: Mapping[str, Any]) -> list[str]:
    """What the run and all that it comes from read of its suite's block, and has another value today."""
    own = f"suites.{run.suite}."
    return [
        name.removeprefix(own)
        for name, value in run.params.items()
        if name.startswith(own) and value_at(block, name.removeprefix(own)) != value
    ]


def mask_alone(run: KeptRun, block: Mapping[str, Any], name: str) -> bool:
    """Whether this is the block of a dataset, and the same but for its mask."""
    if not name.startswith("datasets."):
        return False
    mine, todays = run.params[f"suites.{run.suite}.{name}"], value_at(block, name) or {}
    return {**mine, "mask": None} == {**todays, "mask": None}
