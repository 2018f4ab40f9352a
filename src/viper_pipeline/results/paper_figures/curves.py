"""Learning curves task by task (Figs 10 to 12): ours thick, the paper's dashed, on a logarithmic axis of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from viper_pipeline.results.evidence import Evidence
from viper_pipeline.results.figures import on_common_steps
from viper_pipeline.results.inputs import RunResult
from viper_pipeline.results.normalise import normalised
from viper_pipeline.results.paper import FIGURES, paper_lines
from viper_pipeline.results.paper_figures.entry import Drawn, Part, budget, runs_part
from viper_pipeline.results.paper_tasks import TASKS
from viper_pipeline.results.statistics import interval
from viper_pipeline.results.style import colour, panels_of

METHODS = {
    "dmc": ("oracle", "viper", "amp", "amp_multi"),
    "atari": ("oracle", "viper", "amp"),
    "rlbench": ("oracle", "viper", "amp"),
}
AGENTS = ("dreamer", "drq")
"""The paper's agent first; another stands in where it has no runs, and says so."""
LABELS = {"dmc": "return", "atari": "human-normalised score", "rlbench": "success rate"}


def shown_as(suite: str, task: str, returns: np.ndarray) -> np.ndarray:
    """Returns in the unit of the paper's axis: Atari human-normalised, everything else as it is."""
    return np.vectorize(lambda r: normalised(suite, task, r))(returns) if suite == "atari" else returns


def suite_parts(evidence: Evidence, suite: str) -> list[Part]:
    """Every curve that the paper's figure has."""
    return [
        runs_part(evidence, suite, task, method, AGENTS)
        for task in TASKS[suite]
        for method in METHODS[suite]
        if method in paper_lines(FIGURES[suite], task)
    ]


def draw_suite(evidence: Evidence, suite: str) -> Drawn:
    """A panel a task, also for tasks without runs: there the paper's curves stand alone."""
    figure, panels = panels_of(len(TASKS[suite]), 5 if suite == "dmc" else 4, 2.6, 2.1)
    shown: list[RunResult] = []
    for panel, task in zip(panels, TASKS[suite], strict=True):
        shown += draw_task(panel, evidence, suite, task, METHODS[suite])
    figure.supxlabel("environment frames, logarithmic", fontsize=9)
    figure.supylabel(LABELS[suite], fontsize=9)
    legend(figure, METHODS[suite])
    return Drawn(figure, f"{capital(budget(shown))}. {BAND}")


BAND = (
    "Thick: ours, mean and 95 % interval over seeds, each seed thin; dashed: the paper's mean, band one standard "
    "deviation. Panels without a thick line have no runs."
)


def draw_task(panel: Any, evidence: Evidence, suite: str, task: str, methods: Sequence[str]) -> list[RunResult]:
    """One panel; returns the runs that it shows."""
    paper, shown = paper_lines(FIGURES[suite], task), []
    for method in methods:
        if method in paper:
            paper_line(panel, paper[method], colour(method))
        runs = evidence.runs_of(suite, task, method, AGENTS)
        if runs:
            steps, returns = on_common_steps(runs)
            our_line(panel, steps * runs[0].action_repeat, shown_as(suite, task, returns), colour(method))
            shown += runs
    panel.set_xscale("log")
    panel.set_title(task.replace("_", " ") + ("" if shown else " (no runs)"), fontsize=8, color=ink_of(bool(shown)))
    panel.tick_params(labelsize=7)
    return shown


def ink_of(there: bool) -> str:
    """Grey where there is nothing of ours."""
    return "black" if there else "#777777"


def paper_line(panel: Any, lines: Any, ink: str) -> None:
    """The paper's mean and band; lines: columns step, mean, low, high."""
    panel.plot(lines.step, lines["mean"], color=ink, lw=0.9, ls="--", alpha=0.9)
    banded = lines.dropna(subset=["low", "high"])
    panel.fill_between(banded.step, banded.low, banded.high, color=ink, alpha=0.1, lw=0)


def our_line(panel: Any, frames: np.ndarray, returns: np.ndarray, ink: str) -> None:
    """frames (S,), returns (seeds, S): mean, each seed thin, and the interval where there are two seeds or more."""
    for row in returns:
        panel.plot(frames, row, color=ink, lw=0.5, alpha=0.5)
    panel.plot(frames, returns.mean(0), color=ink, lw=2.0)
    if len(returns) > 1 and len(frames):
        band = np.array([interval([[x] for x in column]) for column in returns.T])
        panel.fill_between(frames, band[:, 0], band[:, 1], color=ink, alpha=0.2, lw=0)


def legend(figure: Any, methods: Sequence[str]) -> None:
    """One for all panels, above them."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour(m), lw=2, label=m) for m in methods]
    lines += [
        Line2D([], [], color="#777777", lw=2, label="ours"),
        Line2D([], [], color="#777777", lw=0.9, ls="--", label="paper"),
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=len(lines), fontsize=8, frameon=False)


def capital(text: str) -> str:
    """With a capital letter at the beginning."""
    return text[:1].upper() + text[1:]
