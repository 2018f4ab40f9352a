"""Learning curves: task by task (Figs 10 to 12), suites as a whole (Fig 3), with and without a mask (Fig 6).

Ours are thick, the paper's dashed, on a logarithmic axis of environment frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from viper_pipeline.envs.base import blacken
from viper_pipeline.reporting.metrics import normalized, score_tables, unit
from viper_pipeline.reporting.paper_data import PAPER_FIGURES, PAPER_TASKS, paper_lines, paper_methods
from viper_pipeline.reporting.paper_figures.base import Drawn, FigurePart, budget_text, runs_part
from viper_pipeline.reporting.plots import (
    color_of,
    legend_below,
    method_of,
    method_style,
    on_common_steps,
    panels_of,
    shade_interval,
    show_frames,
)
from viper_pipeline.reporting.results import Evidence, Row, RunResult, TaskKey
from viper_pipeline.reporting.statistics import (
    ScoreTable,
    aggregate_interval,
    over_seeds,
    performance_profile,
    task_mean,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER_AGENTS = ("dreamer", "drq")
"""The paper's agent first; another stands in where it has no runs, and the figure says so."""
RETURN_LABELS = {"dmc": "return", "atari": "human-normalized score", "rlbench": "success rate"}


def shown_as(suite: str, task: str, returns: np.ndarray) -> np.ndarray:
    """Returns in the unit of the paper's axis: Atari human-normalized, everything else as it is."""
    return np.vectorize(lambda r: normalized(suite, task, r))(returns) if suite == "atari" else returns


def methods_of_suite(suite: str) -> list[str]:
    """The methods that the paper's figure of a suite shows, the true reward's agent first."""
    labels = dict.fromkeys(label for task in PAPER_TASKS[suite] for label in paper_methods(suite, task))
    order = ("oracle", "viper", "amp", "amp_multi")
    return [method_of(label) for label in sorted(labels, key=order.index)]


def shown_methods(evidence: Evidence, suite: str, paper: Sequence[str]) -> list[str]:
    """The paper's methods, then every other of the suite's `methods`, then whatever else was run."""
    run = (r.method for r in evidence.runs if r.suite == suite)
    return list(dict.fromkeys([*paper, *evidence.settings.get(suite, {}).get("methods", ()), *run]))


def suite_curve_parts(evidence: Evidence, suite: str) -> list[FigurePart]:
    """Every curve that the paper's figure has."""
    return [
        runs_part(evidence, suite, task, method, PAPER_AGENTS)
        for task in PAPER_TASKS[suite]
        for method in methods_of_suite(suite)
        if method_style(method).label in paper_methods(suite, task)
    ]


def draw_suite_curves(evidence: Evidence, suite: str) -> Drawn:
    """One panel per task. Tasks without runs show the paper's curves alone."""
    tasks, methods = PAPER_TASKS[suite], shown_methods(evidence, suite, methods_of_suite(suite))
    figure, panels = panels_of(len(tasks), 5 if suite == "dmc" else 4, 2.6, 2.1)
    shown: list[RunResult] = []
    for panel, task in zip(panels, tasks, strict=True):
        shown += draw_task(panel, evidence, suite, task, methods)
    figure.supxlabel("environment frames, logarithmic", fontsize=9)
    figure.supylabel(RETURN_LABELS[suite], fontsize=9)
    legend(figure, methods)
    return Drawn(figure, f"{capital(budget_text(shown))}. {BAND}")


BAND = (
    "Thick: ours, mean over seeds, shaded their 95 % t-interval from 3 seeds on, each seed thin; dashed: the paper's "
    "mean, band one standard deviation. Panels without a thick line have no runs."
)


def draw_task(panel: Axes, evidence: Evidence, suite: str, task: str, methods: Sequence[str]) -> list[RunResult]:
    """Draw one panel; return the runs that it shows."""
    paper = paper_lines(PAPER_FIGURES[suite], task)
    shown: list[RunResult] = []
    for method in methods:
        if (label := method_style(method).label) in paper:
            paper_line(panel, paper[label], color_of(method))
        runs = evidence.runs_of(suite, task, method, PAPER_AGENTS)
        if runs:
            steps, returns = on_common_steps(runs)
            our_line(panel, steps * runs[0].action_repeat, shown_as(suite, task, returns), color_of(method))
            shown += runs
    panel.set_xscale("log")
    panel.set_title(
        task.replace("_", " ") + ("" if shown else " (no runs)"), fontsize=8, color=title_color(bool(shown))
    )
    panel.tick_params(labelsize=7)
    return shown


def title_color(there: bool) -> str:
    """Gray if a panel shows none of our runs."""
    return "black" if there else "#777777"


def paper_line(panel: Axes, lines: pd.DataFrame, ink: str) -> None:
    """The paper's mean and band; lines: columns step, mean, low, high."""
    panel.plot(lines.step, lines["mean"], color=ink, lw=0.9, ls="--", alpha=0.9)
    with_band = lines.dropna(subset=["low", "high"])
    panel.fill_between(with_band.step, with_band.low, with_band.high, color=ink, alpha=0.1, lw=0)


def our_line(panel: Axes, frames: np.ndarray, returns: np.ndarray, ink: str) -> None:
    """frames (S,), returns (seeds, S): the mean, each seed thin, and the interval if there are seeds for one."""
    for row in returns:
        panel.plot(frames, row, color=ink, lw=0.5, alpha=0.5)
    panel.plot(frames, returns.mean(0), color=ink, lw=2.0)
    shade_interval(panel, frames, returns, ink)


def legend(figure: Figure, methods: Sequence[str]) -> None:
    """One legend for all panels, above them."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=color_of(m), lw=2, label=method_style(m).label) for m in methods]
    lines += [
        Line2D([], [], color="#777777", lw=2, label="ours"),
        Line2D([], [], color="#777777", lw=0.9, ls="--", label="paper"),
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=len(lines), fontsize=8, frameon=False)


def capital(text: str) -> str:
    """With a capital letter at the beginning."""
    return text[:1].upper() + text[1:]


MASK_LINES = {"mask=on": ("viper", "#009E73"), "mask=off": ("viper", "#D55E00"), "oracle": ("oracle", "#555555")}
"""The paper's curves: its name of the method, and a color."""
MASK_GAME = "pong"
MASK_FRAMES = 4
NO_OTHER_MASK = "no such run: a suite's models see one set of masks; export runs of the other (docs/atari.md)"


def masked_games(evidence: Evidence) -> list[TaskKey]:
    """Atari tasks whose models see a mask, Pong first."""
    keys = [key for key, file in evidence.experts.items() if key[0] == "atari" and file.spec.mask]
    return sorted(keys, key=lambda key: key[1] != MASK_GAME)


def mask_game(evidence: Evidence) -> str:
    """Pong, or the first game that VIPER has played in its place: with and without mask, if there is one."""
    both = [
        [r.task for r in runs if (r.suite, r.method) == ("atari", "viper")]
        for runs in (evidence.runs, evidence.other_mask)
    ]
    played = [*(task for task in both[0] if task in both[1]), *both[0], *both[1]]
    return MASK_GAME if MASK_GAME in played else next(iter(played), MASK_GAME)


def mask_line(evidence: Evidence, line: str) -> tuple[FigurePart, list[RunResult]]:
    """A curve of Fig 6 and its runs: the graph's own, or run records of the other mask."""
    task, (label, _) = mask_game(evidence), MASK_LINES[line]
    method = method_of(label)
    own = label == "oracle" or (("atari", task) in masked_games(evidence)) == (line == "mask=on")
    source = evidence if own else replace(evidence, runs=evidence.other_mask)
    part = runs_part(source, "atari", task, method, PAPER_AGENTS)
    if part.have:
        note = part.note or (f"{task} in the place of {MASK_GAME}" if task != MASK_GAME else "")
    else:
        note = "" if label == "oracle" else NO_OTHER_MASK
    part = replace(part, name=f"{MASK_GAME} {line}", note=note, sources=part.sources if own else ())
    return part, source.runs_of("atari", task, method, PAPER_AGENTS)


def mask_parts(evidence: Evidence) -> list[FigurePart]:
    """Three curves, and the picture of what is hidden, which the paper describes."""
    games = masked_games(evidence)[:1]
    sources = tuple(Row("experts", key) for key in games)
    note = "" if games else "no masked expert set of suite atari"
    curves = [mask_line(evidence, line)[0] for line in MASK_LINES]
    return [*curves, FigurePart("picture of the mask", len(games), 1, note, sources)]


def draw_mask_figure(evidence: Evidence) -> Drawn:
    """Left: frames as played, and as models see them. Right: returns."""
    figure, (left, right) = panels_of(2, width=4.4, height=3.2)
    task, games = mask_game(evidence), masked_games(evidence)
    if games:
        shown = next((key for key in games if key[1] == task), games[0])
        show_frames(left, masked_and_unmasked(evidence, shown), f"{shown[1]}: as played, and as the models see it")
    else:
        left.set_visible(False)
    drawn: list[list[RunResult]] = [[]]
    lines = paper_lines("fig6")
    for line, (_, ink) in MASK_LINES.items():
        paper_line(right, lines[line], ink)
        right.plot([], [], color=ink, lw=0.9, ls="--", label=f"paper, {MASK_GAME}: {line}")
        if runs := mask_line(evidence, line)[1]:
            steps, returns = on_common_steps(runs)
            our_line(right, steps * runs[0].action_repeat, shown_as("atari", task, returns), ink)
            right.plot([], [], color=ink, lw=2, label=f"ours, {task}: {line} (n = {len(runs)})")
            drawn.append(runs)
    right.set(xscale="log", xlabel="environment frames", ylabel="human-normalized score", title=task)
    legend_below(right, 1)
    return Drawn(figure, f"{capital(budget_text(max(drawn, key=len)))}. The agent always sees the unmasked frames.")


def masked_and_unmasked(evidence: Evidence, key: TaskKey) -> np.ndarray:
    """Random play above, the same frames masked below: (2 H, MASK_FRAMES W, 3)."""
    group = evidence.baseline_episodes[key].group("episodes")
    begin, length = int(group.starts[0]), int(group.lengths[0])
    at = np.linspace(0, length - 1, MASK_FRAMES).astype(int)
    frames = np.concatenate([group.read(begin + t, begin + t + 1) for t in at])
    views = (frames, blacken(frames, evidence.experts[key].spec.mask))
    return np.concatenate([np.concatenate(list(view), 1) for view in views])


@dataclass(frozen=True)
class Overall:
    """One of Fig 3's four panels."""

    name: str  # in the table of the paper's curves
    suite: str
    agents: tuple[str, ...]
    methods: tuple[str, ...]  # the paper's names
    title: str
    label: str


OVERALL_PANELS = (
    Overall("dmc_drq", "dmc", ("drq",), ("oracle", "viper", "amp_multi"), "DMC, DrQ", "return"),
    Overall("dmc_dreamerv3", "dmc", ("dreamer",), ("oracle", "viper", "amp", "amp_multi"), "DMC, DreamerV3", "return"),
    Overall(
        "atari_dreamerv3", "atari", ("dreamer", "drq"), ("oracle", "viper", "amp"), "Atari", "human-normalized mean"
    ),
    Overall("rlbench_dreamerv3", "rlbench", ("dreamer", "drq"), ("oracle", "viper", "amp"), "RLBench", "success rate"),
)


OVERALL_NOTE = (
    "Means over the tasks that have runs; where these are fewer than the paper's, heights cannot be compared with the "
    "paper's dashed lines; nor, where a line says that it has fewer tasks than its panel, with ours. Bands: 95 % by "
    "Student's t, of the means over tasks of as many seeds as every task has, from 3 seeds on."
)


def overall_parts(evidence: Evidence) -> list[FigurePart]:
    """Every run of every panel."""
    return [
        named_with_panel(runs_part(evidence, p.suite, task, method_of(label), p.agents, p.agents[0]), p)
        for p in OVERALL_PANELS
        for label in p.methods
        for task in PAPER_TASKS[p.suite]
    ]


def named_with_panel(part: FigurePart, panel: Overall) -> FigurePart:
    """The part, its name with that of its panel."""
    return FigurePart(f"{panel.title}: {part.name}", part.have, part.need, part.note, part.sources)


def curve_over_tasks(runs: list[RunResult]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Runs of several tasks and seeds -> (frames (S,), means (S,), band (2, S) or None).

    Between its evaluations a run is interpolated; the curve ends where the shortest run does.
    """
    ends = [(r.steps[0] * r.action_repeat, r.steps[-1] * r.action_repeat) for r in runs]
    frames = np.geomspace(max(max(a for a, _ in ends), 1), min(b for _, b in ends), 12)
    tasks: dict[str, list[np.ndarray]] = {}
    for r in sorted(runs, key=lambda run: run.seed):
        values = shown_as(r.suite, r.task, r.returns)
        tasks.setdefault(r.task, []).append(np.interp(frames, r.steps * r.action_repeat, values))
    tables: list[ScoreTable] = [[np.array(rows)[:, i] for rows in tasks.values()] for i in range(len(frames))]
    bands = [band for table in tables if (band := aggregate_interval(task_mean, table)) is not None]
    means = np.array([over_seeds(task_mean, table).mean() for table in tables])
    return frames, means, np.array(bands).T if bands else None


def draw_overall(evidence: Evidence) -> Drawn:
    """Fig 3."""
    figure, panels = panels_of(len(OVERALL_PANELS), len(OVERALL_PANELS), 3.1, 2.7)
    shown: list[RunResult] = []
    drawn: dict[str, None] = {}
    for axis, panel in zip(panels, OVERALL_PANELS, strict=True):
        tasks = {r.task for r in evidence.runs if r.suite == panel.suite and r.agent in panel.agents}
        lines = paper_lines("fig3_v2", panel=panel.name)
        methods = shown_methods(evidence, panel.suite, [method_of(label) for label in panel.methods])
        drawn |= dict.fromkeys(methods)
        for method in methods:
            if (label := method_style(method).label) in lines:
                paper_line(axis, lines[label], color_of(method))
            chosen = {r.task for r in evidence.runs if r.suite == panel.suite}
            mine = [r for task in sorted(chosen) for r in evidence.runs_of(panel.suite, task, method, panel.agents)]
            if mine:
                frames, means, band = curve_over_tasks(mine)
                axis.plot(frames, means, color=color_of(method), lw=2.2)
                if band is not None:
                    axis.fill_between(frames, *band, color=color_of(method), alpha=0.2, lw=0)
                if few := fewer_tasks(len({r.task for r in mine}), len(tasks)):
                    axis.annotate(
                        few, (frames[-1], means[-1]), color=color_of(method), fontsize=7, ha="right", va="bottom"
                    )
                shown += mine
        many = f" ({len(tasks)} of {len(PAPER_TASKS[panel.suite])} tasks)" if tasks else " (no runs)"
        axis.set_title(panel.title + many, fontsize=9, color=title_color(bool(tasks)))
        axis.set(xscale="log", xlabel="environment frames", ylabel=panel.label)
    legend(figure, list(drawn))
    return Drawn(figure, f"{capital(budget_text(shown))}. {OVERALL_NOTE}")


def fewer_tasks(mine: int, tasks: int) -> str:
    """The note beside a mean over fewer tasks than others in the panel have; else nothing."""
    return f"{mine} of {tasks} tasks" if mine < tasks else ""


PROFILE_RUNS = 6
"""Runs of a method from which on its performance profile is drawn: of fewer, a profile is the list of the runs."""


def draw_profiles(suite: str, runs: list[RunResult]) -> Figure | None:
    """Not in the paper: for each method the share of runs above each score, and the mean with its interval.

    None if no method has enough runs.
    """
    tables = {(a, m): list(tasks.values()) for (s, a, m), tasks in score_tables(runs).items() if s == suite}
    if not any(sum(map(len, table)) >= PROFILE_RUNS for table in tables.values()):
        return None
    figure, (left, right) = panels_of(2, width=4.6, height=3.2)
    scores = np.concatenate([np.concatenate(table) for table in tables.values()])
    thresholds = np.linspace(min(0.0, scores.min()), max(1.0, scores.max()), 201)
    for number, ((agent, column), table) in enumerate(tables.items()):
        ink, dashes = color_of(column), "-" if agent == next(iter(tables))[0] else "-."
        name = f"{method_style(column).label}, {agent}"
        if sum(map(len, table)) >= PROFILE_RUNS:
            shares = performance_profile(table, thresholds)
            left.plot(thresholds, shares, color=ink, lw=2, ls=dashes, label=name)
        values, ends = over_seeds(task_mean, table), aggregate_interval(task_mean, table)
        middle = float(values.mean())
        errors = [[middle - ends[0]], [ends[1] - middle]] if ends else None
        right.errorbar([middle], [number], xerr=errors, fmt="o", color=ink, capsize=4)
        few = fewer_tasks(len(table), max(map(len, tables.values())))
        said = f"{name}: {middle:.2f}{few and f', {few}'}"
        right.text(middle, number + 0.16, said, color=ink, ha="center", fontsize=8)
    left.set(xlabel=f"score ({unit(suite)})", ylabel="share of runs above it", title="performance profiles")
    figure.legend(loc="outside lower center", ncols=3)
    right.set(xlabel=f"mean over tasks ({unit(suite)})", yticks=[], ylim=(-0.6, len(tables) - 0.2))
    right.set_title("the mean over tasks, with its 95 % t-interval from 3 seeds on")
    return figure
