"""Fig 9: one part of VIPER changed at a time: the bonus' weight, the video model, its context."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from viper_pipeline.reporting.metrics import interval
from viper_pipeline.reporting.paper_data import DATA, paper_lines
from viper_pipeline.reporting.paper_figures.base import Drawn, Part, budget, run_source
from viper_pipeline.reporting.paper_figures.curves import capital, our_line, paper_line
from viper_pipeline.reporting.plots import as_png, axes, colour, embed, on_common_steps
from viper_pipeline.reporting.results import AblationRun, Evidence, Floors, RunResult

AXES = {"beta": "exploration", "model": "video_model", "context": "context_length"}
"""Axis -> the panel in the table of the paper's curves."""
TITLES = {"beta": "weight of the exploration bonus", "model": "video model", "context": "context frames"}
INKS = ("#009E73", "#0072B2", "#E69F00", "#CC79A7", "#56B4E9")
VALUES = {"beta": ("1.0", "0.5", "0.0"), "model": ("videogpt", "byol", "maskgit"), "context": ("16", "8", "2")}
"""The paper's, its own configuration first."""


def own(evidence: Evidence) -> tuple[list[RunResult], dict[str, str]]:
    """VIPER's runs as the first suite has them, and what they are on each axis.

    Beside ablations, those of their task and agent; else every task's, by the agent that has most.
    """
    suite = next((r.suite for r in evidence.runs if r.method == "viper"), "dmc")
    block = evidence.settings.get(suite, {})
    model = str(block.get("reward", {}).get("model", "videogpt"))
    window = block.get(model, {}).get("window")
    values = {"beta": "1.0", "model": model, "context": str(window - 1) if window else "16"}
    mine = [r for r in evidence.runs if (r.suite, r.method) == (suite, "viper")]
    if evidence.ablations:
        places = {(a.task, a.agent) for a in evidence.ablations}
        return [r for r in mine if (r.task, r.agent) in places], values
    agents = Counter(r.agent for r in mine)
    return [r for r in mine if r.agent == agents.most_common(1)[0][0]], values


def parts(evidence: Evidence) -> list[Part]:
    """The paper's values on every axis; another context stands in for the paper's, and is named."""
    runs, values = own(evidence)
    changed = {(a.axis, a.value) for a in evidence.ablations}
    made = []
    for axis, wanted in VALUES.items():
        for number, value in enumerate(wanted):
            ours = values[axis] if number == 0 else next_value(axis, value, number, changed)
            count = (
                runs_count(runs) if number == 0 else sum((a.axis, a.value) == (axis, ours) for a in evidence.ablations)
            )
            note = "" if ours == value and count else f"{ours} in its place" if count else "no ablation has been run"
            sources = tuple(run_source(r) for r in runs) if number == 0 else ()
            made.append(Part(f"{axis} {value}", count, 3, note, sources))
    return made


def runs_count(runs: list[RunResult]) -> int:
    """Seeds of the task that has most."""
    return max((sum(r.task == task for r in runs) for task in {r.task for r in runs}), default=0)


def next_value(axis: str, value: str, number: int, changed: set[tuple[str, str]]) -> str:
    """The paper's value if we have it; of contexts, which are smaller here, the one in the same place."""
    mine = sorted((v for a, v in changed if a == axis), key=lambda v: -float(v) if axis == "context" else 0)
    if axis == "beta":
        return next((v for v in mine if float(v) == float(value)), value)
    if axis == "model":
        return value
    return mine[number - 1] if len(mine) >= number else value


def draw(evidence: Evidence) -> Drawn:
    """A panel an axis."""
    figure, panels = axes(len(AXES), 3.7, 3.5)
    runs, values = own(evidence)
    repeat = runs[0].action_repeat if runs else 1
    for panel, (axis, name) in zip(panels, AXES.items(), strict=True):
        lines = paper_lines("fig9", panel=name)
        for ink, value in zip(INKS, VALUES[axis], strict=False):
            line = lines[f"{axis}={value}"]
            paper_line(panel, line, ink)
            panel.plot([], [], color=ink, lw=0.9, ls="--", label=f"paper: {value}")
        changed = [a for a in evidence.ablations if a.axis == axis]
        tasks = {r.task for r in runs}
        if runs:
            frames, returns = mean_over_tasks(runs)
            our_line(panel, frames, returns, INKS[0])
            over = f"{len(tasks)} tasks" if len(tasks) > 1 else next(iter(tasks))
            panel.plot([], [], color=INKS[0], lw=2, label=f"ours: {values[axis]} ({over}, n = {runs_count(runs)})")
        for value, ink in inks(axis, [a.value for a in changed]).items():
            mine = [a for a in changed if a.value == value]
            frames, returns = together(mine)
            our_line(panel, frames * repeat, returns, ink)
            panel.plot([], [], color=ink, lw=2, label=f"ours: {value} (n = {len(mine)})")
        panel.set(xscale="log", xlabel="environment frames", ylabel="return", title=TITLES[axis])
        panel.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    changed = [a for a in evidence.ablations if a.axis in AXES]
    more = f"{len(changed)} runs with a part changed" if changed else "no run with a part changed"
    return Drawn(figure, f"{capital(budget(runs))}; {more}. The paper does not name the tasks that it averages.")


def inks(axis: str, ours: Sequence[str]) -> dict[str, str]:
    """Our values, in order -> ink: that of the paper's value, or of that in whose place it is; or a new one."""
    changed = {(axis, value) for value in ours}
    theirs = {next_value(axis, v, i, changed): INKS[i] for i, v in enumerate(VALUES[axis]) if i}
    rest = iter(INKS[len(VALUES[axis]) :])
    return {value: theirs.get(value) or next(rest, INKS[-1]) for value in dict.fromkeys(ours)}


def mean_over_tasks(runs: list[RunResult]) -> tuple[np.ndarray, np.ndarray]:
    """(frames, returns (seeds, S)): a seed's mean over tasks, on the steps that all its runs share."""
    tasks = {r.task for r in runs}
    whole = [s for s in sorted({r.seed for r in runs}) if {r.task for r in runs if r.seed == s} == tasks]
    kept = [r for r in runs if r.seed in whole]
    steps, returns = on_common_steps(kept)
    rows = [np.mean([y for r, y in zip(kept, returns, strict=True) if r.seed == s], axis=0) for s in whole]
    return steps * kept[0].action_repeat, np.array(rows)


def together(runs: list[AblationRun]) -> tuple[np.ndarray, np.ndarray]:
    """(agent steps, returns (seeds, S)) on the steps that all seeds share."""
    first, last = max(a.steps[0] for a in runs), min(a.steps[-1] for a in runs)
    steps = np.unique(np.concatenate([a.steps for a in runs]))
    steps = steps[(steps >= first) & (steps <= last)]
    return steps, np.stack([np.interp(steps, a.steps, a.returns) for a in runs])


PAGE_AXES = {
    "beta": "weight of the exploration bonus, as a share of the suite's own",
    "model": "video model that pays",
    "context": "context frames k of the video model",
    "scoring": "how videogpt_streaming, which has a KV cache, is scored; the paper has no such comparison",
}
PAGE = Path(__file__).parents[1] / "templates" / "ablations.html.jinja"
PAGE_COLORS = ("#009E73", "#0072B2", "#E69F00", "#CC79A7", "#56B4E9")
REWARD = ("auroc_step", "auroc_episode", "spearman_return")
PAPER = {"beta": ("1.0", "0.5", "0.0"), "model": ("videogpt", "maskgit", "byol"), "context": ("16", "8", "2")}


@dataclass(frozen=True)
class Variant:
    """One value of an axis."""

    value: str
    runs: Sequence[RunResult]  # a seed each
    reward: Mapping[str, Any]  # how well the reward tells experts from others
    own: bool = False  # the suite's own, with which the others are compared


Variants = Mapping[str, Sequence[Variant]]
"""axis -> its values, the suite's own first"""


def ablation_metrics(task: str, variants: Variants, floors: Floors) -> dict[str, Any]:
    """{axes: {axis: {value: final return, interval, seeds, AUROC}}, floors, task}."""
    table: dict[str, Any] = {}
    for axis, several in variants.items():
        for variant in several:
            returns = [run.final_returns for run in variant.runs]
            low, high = interval(returns)
            table.setdefault(axis, {})[variant.value] = {
                "own": variant.own,
                "final_return": float(np.mean([np.mean(r) for r in returns])),
                "ci95_low": low,
                "ci95_high": high,
                "seeds": len(returns),
                "episodes": sum(len(r) for r in returns),
                "steps": variant.runs[0].budget,
                **{name: variant.reward[name] for name in REWARD},
            }
    values = {"random": floors.random, "idle": floors.idle, "expert": floors.expert}
    known = {name: value for name, value in values.items() if value is not None and not np.isnan(value)}
    return {"task": task, "axes": table, "floors": known}


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What `dvc metrics` shows: {axis: {value: final return}}."""
    return {
        axis: {value: round(row["final_return"], 1) for value, row in values.items()}
        for axis, values in metrics["axes"].items()
    }


def curve_rows(variants: Variants) -> list[dict[str, Any]]:
    """A row a point of every curve."""
    return [
        {"axis": axis, "value": v.value, "seed": r.seed, "step": int(step), "return_mean": round(float(value), 3)}
        for axis, several in variants.items()
        for v in several
        for r in v.runs
        for step, value in zip(r.steps, r.returns, strict=True)
    ]


def draw_ablations(task: str, variants: Variants, floors: Floors) -> bytes:
    """A panel an axis: true return of evaluation episodes against agent steps, mean over seeds and each seed."""
    figure, panels = axes(len(variants), 4.4)
    for panel, (axis, several) in zip(panels, variants.items(), strict=True):
        for ink, variant in zip(_inks(len(several)), several, strict=True):
            final = np.mean([np.mean(run.final_returns) for run in variant.runs])
            steps, returns = on_common_steps(variant.runs)
            for run in variant.runs:
                panel.plot(run.steps / 1000, run.returns, color=ink, lw=0.7, alpha=0.5)
            own = ", the suite's own" if variant.own else ""
            label = f"{variant.value}: {final:.0f} at the end{own}"
            panel.plot(steps / 1000, returns.mean(0), color=ink, lw=2.2 if variant.own else 1.6, label=label)
        for name in ("random", "idle"):
            panel.axhline(getattr(floors, name), color=colour(name), ls=":", lw=1.2, label=name)
        panel.set(xlabel="thousand agent steps", ylabel="true return", title=f"{task}: {axis}", ylim=(0, None))
        panel.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8)
    return as_png(figure)


def draw_paper() -> bytes:
    """The paper's Fig 9: means of three seeds over tasks that it does not name."""
    table = pd.read_csv(DATA / "paper_curves.csv")
    table = table[table.figure == "fig9"]
    figure, panels = axes(len(PAPER), 4.4)
    for panel, axis in zip(panels, PAPER, strict=True):
        for ink, value in zip(_inks(len(PAPER[axis])), PAPER[axis], strict=True):
            rows = table[table.method == f"{axis}={value}"]
            panel.plot(rows.step / 1e6, rows["mean"], color=ink, label=f"{value}: {rows['mean'].iloc[-2:].mean():.0f}")
            panel.fill_between(rows.step / 1e6, rows.low, rows.high, color=ink, alpha=0.12, lw=0)
        panel.set(xlabel="million environment frames", ylabel="true return", title=f"the paper: {axis}", ylim=(0, 1000))
        panel.legend(frameon=False, fontsize=8)
    return as_png(figure)


def render(profile: str, metrics: Mapping[str, Any], figures: Mapping[str, bytes]) -> str:
    """The page as HTML text with its pictures inside."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["embed"] = embed
    page = environment.from_string(PAGE.read_text())
    return page.render(profile=profile, metrics=metrics, figures=figures, axes=PAGE_AXES)


def _inks(count: int) -> list[str]:
    """The suite's own is green everywhere."""
    return [PAGE_COLORS[i % len(PAGE_COLORS)] for i in range(count)]
