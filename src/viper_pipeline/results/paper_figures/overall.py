"""Fig 3: each suite's mean over tasks against frames, and the whole distribution of scores that the mean hides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from viper_pipeline.results.aggregates import Table, mean, performance_profile, profile_band, stratified_interval
from viper_pipeline.results.evidence import Evidence
from viper_pipeline.results.inputs import RunResult
from viper_pipeline.results.normalise import unit
from viper_pipeline.results.paper import paper_lines
from viper_pipeline.results.paper_figures.curves import capital, ink_of, legend, paper_line, shown_as
from viper_pipeline.results.paper_figures.entry import Drawn, Part, budget, runs_part
from viper_pipeline.results.paper_tasks import TASKS
from viper_pipeline.results.style import axes, colour, panels_of
from viper_pipeline.results.suite_metrics import score_tables


@dataclass(frozen=True)
class Panel:
    """One of the four."""

    name: str  # in the table of the paper's curves
    suite: str
    agents: tuple[str, ...]
    methods: tuple[str, ...]
    title: str
    label: str


PANELS = (
    Panel("dmc_drq", "dmc", ("drq",), ("oracle", "viper", "amp_multi"), "DMC, DrQ", "return"),
    Panel("dmc_dreamerv3", "dmc", ("dreamer",), ("oracle", "viper", "amp", "amp_multi"), "DMC, DreamerV3", "return"),
    Panel("atari_dreamerv3", "atari", ("dreamer", "drq"), ("oracle", "viper", "amp"), "Atari", "human-normalised mean"),
    Panel("rlbench_dreamerv3", "rlbench", ("dreamer", "drq"), ("oracle", "viper", "amp"), "RLBench", "success rate"),
)


WORDS = (
    "Means over the tasks that have runs; where these are fewer than the paper's, heights cannot be compared with the "
    "paper's dashed lines; nor, where a line says that it has fewer than its panel, with ours. Bands: 95 % by the "
    "bootstrap, seeds drawn anew within each task."
)


def parts(evidence: Evidence) -> list[Part]:
    """Every run of every panel."""
    return [
        part_of(runs_part(evidence, p.suite, task, method, p.agents, p.agents[0]), p)
        for p in PANELS
        for method in p.methods
        for task in TASKS[p.suite]
    ]


def part_of(part: Part, panel: Panel) -> Part:
    """Named with its panel."""
    return Part(f"{panel.title}: {part.name}", part.have, part.need, part.note, part.sources)


def curve(runs: list[RunResult]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Runs of several tasks and seeds -> (frames (S,), means (S,), band (2, S) or None).

    Between its evaluations a run is interpolated; nothing is carried past the end of the shortest.
    """
    ends = [(r.steps[0] * r.action_repeat, r.steps[-1] * r.action_repeat) for r in runs]
    frames = np.geomspace(max(max(a for a, _ in ends), 1), min(b for _, b in ends), 12)
    tasks: dict[str, list[np.ndarray]] = {}
    for r in runs:
        values = shown_as(r.suite, r.task, r.returns)
        tasks.setdefault(r.task, []).append(np.interp(frames, r.steps * r.action_repeat, values))
    tables: list[Table] = [[np.array(rows)[:, i] for rows in tasks.values()] for i in range(len(frames))]
    bands = [stratified_interval(mean, table) for table in tables]
    means = np.array([float(mean(table)) for table in tables])
    return frames, means, None if bands[0] is None else np.array(bands).T


def draw(evidence: Evidence) -> Drawn:
    """Fig 3."""
    figure, panels = panels_of(len(PANELS), len(PANELS), 3.1, 2.7)
    shown: list[RunResult] = []
    for axis, panel in zip(panels, PANELS, strict=True):
        found = {(r.task, r.method) for r in evidence.runs if r.suite == panel.suite and r.agent in panel.agents}
        tasks = {task for task, method in found if method in panel.methods}
        lines = paper_lines("fig3_v2", panel=panel.name)
        for method in panel.methods:
            if method in lines:
                paper_line(axis, lines[method], colour(method))
            chosen = {r.task for r in evidence.runs if r.suite == panel.suite}
            mine = [r for task in sorted(chosen) for r in evidence.runs_of(panel.suite, task, method, panel.agents)]
            if mine:
                frames, means, band = curve(mine)
                axis.plot(frames, means, color=colour(method), lw=2.2)
                if band is not None:
                    axis.fill_between(frames, *band, color=colour(method), alpha=0.2, lw=0)
                if few := fewer(len({r.task for r in mine}), len(tasks)):
                    axis.annotate(
                        few, (frames[-1], means[-1]), color=colour(method), fontsize=7, ha="right", va="bottom"
                    )
                shown += mine
        many = f" ({len(tasks)} of {len(TASKS[panel.suite])} tasks)" if tasks else " (no runs)"
        axis.set_title(panel.title + many, fontsize=9, color=ink_of(bool(tasks)))
        axis.set(xscale="log", xlabel="environment frames", ylabel=panel.label)
    legend(figure, PANELS[1].methods)
    return Drawn(figure, f"{capital(budget(shown))}. {WORDS}")


def fewer(mine: int, tasks: int) -> str:
    """What is to be said of a mean over fewer tasks than the others'; else nothing."""
    return f"{mine} of {tasks} tasks" if mine < tasks else ""


def draw_profiles(suite: str, runs: list[RunResult]) -> object | None:
    """Not in the paper: for each method the share of runs that exceed a score, and every aggregate's interval."""
    tables = {(a, m): list(tasks.values()) for (s, a, m), tasks in score_tables(runs).items() if s == suite}
    if not tables:
        return None
    figure, (left, right) = axes(2, 4.6, 3.2)
    scores = np.concatenate([np.concatenate(table) for table in tables.values()])
    thresholds = np.linspace(min(0.0, scores.min()), max(1.0, scores.max()), 201)
    for number, ((agent, method), table) in enumerate(tables.items()):
        ink, dashes = colour(method), "-" if agent == next(iter(tables))[0] else "-."
        shares = performance_profile(table, thresholds)
        left.plot(thresholds, shares, color=ink, lw=2, ls=dashes, label=f"{method}, {agent}")
        band = profile_band(table, thresholds)
        if band is not None:
            left.fill_between(thresholds, *band, color=ink, alpha=0.12, lw=0)
        middle = float(mean(table))
        low, high = stratified_interval(mean, table) or (middle, middle)
        right.errorbar([middle], [number], xerr=[[middle - low], [high - middle]], fmt="o", color=ink, capsize=4)
        few = fewer(len(table), max(map(len, tables.values())))
        said = f"{method}, {agent}: {middle:.2f}{few and f', {few}'}"
        right.text(middle, number + 0.16, said, color=ink, ha="center", fontsize=8)
    left.set(xlabel=f"score ({unit(suite)})", ylabel="share of runs above it", title="performance profiles")
    left.legend(frameon=False, fontsize=8, handlelength=3)
    right.set(xlabel=f"mean over tasks ({unit(suite)})", yticks=[], ylim=(-0.6, len(tables) - 0.2))
    right.set_title("the mean, with its 95 % interval")
    return figure
