"""Fig 9, one part of VIPER changed at a time: the paper's figure, and the page of the pipeline `ablations`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.reporting.comparisons import ALPHA, p_text
from viper_pipeline.reporting.paper_data import PAPER_SEEDS, paper_lines
from viper_pipeline.reporting.paper_figures.base import Drawn, FigurePart, budget_text, run_rows
from viper_pipeline.reporting.paper_figures.curves import capital, our_line, paper_line
from viper_pipeline.reporting.plots import color_of, legend_below, on_common_steps, panels_of
from viper_pipeline.reporting.results import Baselines, Evidence, Metrics, RunResult
from viper_pipeline.reporting.statistics import ENOUGH, permutation_test, t_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER_PANELS = {"beta": "exploration", "model": "video_model", "context": "context_length"}
"""Axis -> the panel in the table of the paper's curves."""
PAPER_VALUES = {"beta": ("1.0", "0.5", "0.0"), "model": ("videogpt", "byol", "maskgit"), "context": ("16", "8", "2")}
"""The paper's values of each axis, its own configuration first."""
AXIS_TITLES = {"beta": "weight of the exploration bonus", "model": "video model", "context": "context frames"}
AXIS_TEXTS = {
    "beta": "weight of the exploration bonus, as a share of the suite's own",
    "model": "video model that the reward is made of",
    "context": "context frames k of the video model",
    "scoring": "how videogpt_streaming, which has a KV cache, is scored; the paper has no such comparison",
}
INKS = ("#009E73", "#0072B2", "#E69F00", "#CC79A7", "#56B4E9")
"""The suite's own configuration has the first."""


@dataclass(frozen=True)
class Variant:
    """One value of an axis, on one task."""

    value: str
    runs: Sequence[RunResult]  # one per seed
    reward: JsonView  # how well the reward separates experts from others
    own: bool = False  # the suite's own value, with which the others are compared


Variants = Mapping[str, Sequence[Variant]]
"""Axis -> its values, the suite's own first."""


@dataclass(frozen=True)
class AxisLine:
    """A curve in the panel of an axis."""

    label: str
    frames: np.ndarray  # (S,) environment frames
    returns: np.ndarray  # (seeds, S)
    ink: str


def ablation_metrics(task: str, variants: Variants, levels: Baselines) -> Json:
    """reports/ablations/metrics.json: task, baselines, and {axis: {value: final return, interval, seeds, AUROC}}."""
    table: Json = {}
    for axis, several in variants.items():
        for variant in several:
            values = [run.final_return for run in variant.runs]
            low, high = t_interval(values) or (None, None)
            name = "auroc_window" if variant.reward["mode"] == "joint" else "auroc_frame"
            table.setdefault(axis, {})[variant.value] = {
                "own": variant.own,
                "final_return": float(np.mean(values)),
                "ci95_low": low,
                "ci95_high": high,
                "seeds": len(values),
                "per_seed": values,
                "episodes": sum(run.final_episodes for run in variant.runs),
                "steps": variant.runs[0].budget,
                "auroc": variant.reward[name],
                "spearman": variant.reward["spearman"].get("contrast", {}).get("value"),
            }
    ends = {"random": levels.random, "idle": levels.idle, "expert": levels.expert}
    known = {name: value for name, value in ends.items() if value is not None and not np.isnan(value)}
    modes = {v.reward["mode"] for several in variants.values() for v in several}
    return {"task": task, "mode": "joint" if "joint" in modes else "conditional", "axes": table, "baselines": known}


def ablation_sentences(metrics: Metrics) -> list[str]:
    """What may be said of the values of each axis, by the permutation test over seeds against the suite's own."""
    said, untested = [], []
    for axis, values in metrics["axes"].items():
        own = next((row for row in values.values() if row["own"]), next(iter(values.values())))
        for value, row in values.items():
            if row is own:
                continue
            if min(row["seeds"], own["seeds"]) < ENOUGH:
                untested.append(f"{axis} {value}")
                continue
            test = permutation_test(row["per_seed"], own["per_seed"])
            where = "above" if row["final_return"] > own["final_return"] else "below"
            found = f"is {where} the suite's own" if test.p < ALPHA else "shows no difference from the suite's own"
            said.append(f"{axis} {value} {found} ({p_text(test.p)}, {test.name} over seeds).")
    if untested:
        said.append(
            f"Fewer than {ENOUGH} seeds, so that nothing can be said of which value is better: {', '.join(untested)}."
        )
    return said


def ablation_headline(metrics: Metrics) -> Json:
    """What `dvc metrics` shows: {axis: {value: final return}}."""
    return {
        axis: {value: round(row["final_return"], 1) for value, row in values.items()}
        for axis, values in metrics["axes"].items()
    }


def ablation_points(variants: Variants) -> list[Json]:
    """reports/ablations/curves.csv: one row per point of every curve."""
    return [
        {"axis": axis, "value": v.value, "seed": r.seed, "step": int(step), "return_mean": round(float(value), 3)}
        for axis, several in variants.items()
        for v in several
        for r in v.runs
        for step, value in zip(r.steps, r.returns, strict=True)
    ]


def draw_axes(lines: Mapping[str, Sequence[AxisLine]], levels: Baselines | None = None) -> Figure:
    """One panel per axis, true return against environment frames: ours thick, the paper's dashed, baselines dotted."""
    figure, panels = panels_of(len(lines), width=3.9, height=3.6)
    for panel, (axis, ours) in zip(panels, lines.items(), strict=True):
        paper = paper_lines("fig9", panel=PAPER_PANELS[axis]) if axis in PAPER_PANELS else {}
        for ink, value in zip(INKS, PAPER_VALUES.get(axis, ()), strict=False):
            paper_line(panel, paper[f"{axis}={value}"], ink)
            panel.plot([], [], color=ink, lw=0.9, ls="--", label=f"paper: {value}")
        for line in ours:
            our_line(panel, line.frames, line.returns, line.ink)
            panel.plot([], [], color=line.ink, lw=2, label=f"ours: {line.label} (n = {len(line.returns)})")
        for name in ("random", "idle") if levels else ():
            panel.axhline(getattr(levels, name), color=color_of(name), ls=":", lw=1.2, label=name)
        panel.set(xscale="log", xlabel="environment frames", ylabel="return", title=AXIS_TITLES.get(axis, axis))
        legend_below(panel, 2)
    return figure


def inks_of(axis: str, ours: Sequence[str]) -> dict[str, str]:
    """Our changed values, in order -> ink: that of the paper's value, or of the one it stands in for; or a new one."""
    paper, changed = PAPER_VALUES.get(axis, ("",)), {(axis, value) for value in ours}
    theirs = {value_in_place_of(axis, v, i, changed): INKS[i] for i, v in enumerate(paper) if i}
    rest = iter(INKS[len(paper) :])
    return {value: theirs.get(value) or next(rest, INKS[-1]) for value in dict.fromkeys(ours)}


def value_in_place_of(axis: str, value: str, number: int, changed: set[tuple[str, str]]) -> str:
    """The paper's value if we have it; of contexts, which are smaller here, the one in the same place."""
    mine = sorted((v for a, v in changed if a == axis), key=lambda v: -float(v) if axis == "context" else 0)
    if axis == "beta":
        return next((v for v in mine if float(v) == float(value)), value)
    if axis == "model":
        return value
    return mine[number - 1] if len(mine) >= number else value


def draw_variants(variants: Variants, levels: Baselines) -> Figure:
    """The page's figure: every axis of the pipeline `ablations`, on its one task."""
    lines: dict[str, list[AxisLine]] = {}
    for axis, several in variants.items():
        inks = inks_of(axis, [v.value for v in several if not v.own]) if any(v.own for v in several) else {}
        for number, variant in enumerate(several):
            steps, returns = on_common_steps(variant.runs)
            final = np.mean([run.final_return for run in variant.runs])
            ink = inks.get(variant.value) or INKS[number % len(INKS)]
            frames = steps * variant.runs[0].action_repeat
            lines.setdefault(axis, []).append(
                AxisLine(f"{variant.value}, {final:.0f} at the end", frames, returns, ink)
            )
    return draw_axes(lines, levels)


def own_runs(evidence: Evidence) -> tuple[list[RunResult], dict[str, str]]:
    """VIPER's runs with nothing changed, and their value on each axis.

    If there are ablations: the runs of their task and agent; else of every task, by the agent that has most runs.
    """
    suite = next((r.suite for r in evidence.runs if r.method == "viper"), "dmc")
    block = evidence.settings.get(suite, {})
    model = str(block.get("reward", {}).get("model", "videogpt"))
    window = block.get(model, {}).get("window")
    values = {"beta": "1.0", "model": model, "context": str(window - 1) if window else "16"}
    mine = [r for r in evidence.runs if (r.suite, r.column) == (suite, "viper")]
    if evidence.ablations:
        places = {(a.task, a.agent) for a in evidence.ablations}
        return [r for r in mine if (r.task, r.agent) in places], values
    agents = Counter(r.agent for r in mine)
    return [r for r in mine if r.agent == agents.most_common(1)[0][0]], values


def ablation_parts(evidence: Evidence) -> list[FigurePart]:
    """The paper's values on every axis; another context stands in for the paper's, and is named."""
    runs, values = own_runs(evidence)
    changed = {(a.axis, a.value) for a in evidence.ablations}
    made = []
    for axis, wanted in PAPER_VALUES.items():
        for number, value in enumerate(wanted):
            ours = value_in_place_of(axis, value, number, changed) if number else values[axis]
            same = sum((a.axis, a.value) == (axis, ours) for a in evidence.ablations)
            count = same if number else most_seeds(runs)
            note = "" if ours == value and count else f"{ours} in its place" if count else "no ablation has been run"
            made.append(FigurePart(f"{axis} {value}", count, PAPER_SEEDS, note, () if number else run_rows(runs)))
    return made


def most_seeds(runs: Sequence[RunResult]) -> int:
    """Seeds of the task that has most."""
    return max(Counter(r.task for r in runs).values(), default=0)


def draw_ablation_figure(evidence: Evidence) -> Drawn:
    """Fig 9: the paper's three axes, ours beside them."""
    runs, values = own_runs(evidence)
    repeat = runs[0].action_repeat if runs else 1
    lines: dict[str, list[AxisLine]] = {axis: [] for axis in PAPER_PANELS}
    for axis, ours in lines.items():
        if runs:
            tasks = sorted({r.task for r in runs})
            over = f"{len(tasks)} tasks" if len(tasks) > 1 else tasks[0]
            ours.append(AxisLine(f"{values[axis]}, {over}", *mean_over_tasks(runs), INKS[0]))
        changed = [a for a in evidence.ablations if a.axis == axis]
        for value, ink in inks_of(axis, [a.value for a in changed]).items():
            steps, returns = on_common_steps([a for a in changed if a.value == value])
            ours.append(AxisLine(value, steps * repeat, returns, ink))
    count = sum(a.axis in PAPER_PANELS for a in evidence.ablations)
    more = f"{count} runs with a part changed" if count else "no run with a part changed"
    caption = f"{capital(budget_text(runs))}; {more}. The paper does not name the tasks that it averages."
    return Drawn(draw_axes(lines), caption)


def mean_over_tasks(runs: Sequence[RunResult]) -> tuple[np.ndarray, np.ndarray]:
    """(frames (S,), returns (seeds, S)): each seed's mean over tasks, for seeds that have every task."""
    tasks = {r.task for r in runs}
    complete = [s for s in sorted({r.seed for r in runs}) if {r.task for r in runs if r.seed == s} == tasks]
    averaged = [r for r in runs if r.seed in complete]
    steps, returns = on_common_steps(averaged)
    rows = [np.mean([y for r, y in zip(averaged, returns, strict=True) if r.seed == s], axis=0) for s in complete]
    return steps * averaged[0].action_repeat, np.array(rows)
