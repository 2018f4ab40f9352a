"""Learning curves task by task (Figs 10 to 12): ours thick, the paper's dashed, on a logarithmic axis of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from viper_pipeline.envs.base import blacken
from viper_pipeline.reporting.metrics import (
    Table,
    interval,
    mean,
    normalised,
    performance_profile,
    profile_band,
    score_tables,
    stratified_interval,
    unit,
)
from viper_pipeline.reporting.paper_data import FIGURES, TASKS, paper_lines
from viper_pipeline.reporting.paper_figures.base import Drawn, Part, budget, runs_part
from viper_pipeline.reporting.plots import axes, colour, on_common_steps, panels_of, show_frames
from viper_pipeline.reporting.results import Evidence, RunResult

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


LINES = {"mask=on": ("viper", "#009E73"), "mask=off": ("viper", "#D55E00"), "oracle": ("oracle", "#555555")}
PAPER = "pong"
COLUMNS = 4
WHY = "no such run: a suite's models see one set of masks; keep runs of the other (docs/atari.md)"


def masked_games(evidence: Evidence) -> list[tuple[str, ...]]:
    """Atari tasks whose models see a mask, Pong first."""
    keys = [key for key, file in evidence.experts.items() if key[0] == "atari" and file.spec.mask]
    return sorted(keys, key=lambda key: key[1] != PAPER)


def game(evidence: Evidence) -> str:
    """Pong, or the first game that VIPER has played in its place: with and without mask, if there is one."""
    both = [
        [r.task for r in runs if (r.suite, r.method) == ("atari", "viper")]
        for runs in (evidence.runs, evidence.other_mask)
    ]
    played = [*(task for task in both[0] if task in both[1]), *both[0], *both[1]]
    return PAPER if PAPER in played else next(iter(played), PAPER)


def line_part(evidence: Evidence, line: str) -> tuple[Part, list[RunResult]]:
    """A curve's runs: this graph's, or kept ones of the other mask."""
    task, (method, _) = game(evidence), LINES[line]
    own = method == "oracle" or (("atari", task) in masked_games(evidence)) == (line == "mask=on")
    source = evidence if own else replace(evidence, runs=evidence.other_mask)
    part = runs_part(source, "atari", task, method, AGENTS)
    if part.have:
        note = part.note or (f"{task} in the place of {PAPER}" if task != PAPER else "")
    else:
        note = "" if method == "oracle" else WHY
    part = replace(part, name=f"{PAPER} {line}", note=note, sources=part.sources if own else ())
    return part, source.runs_of("atari", task, method, AGENTS)


def mask_parts(evidence: Evidence) -> list[Part]:
    """Three curves, and the picture of what is hidden, which the paper describes."""
    games = masked_games(evidence)[:1]
    sources = tuple("__".join(("experts", *key)) for key in games)
    note = "" if games else "no masked expert set of suite atari"
    curves = [line_part(evidence, line)[0] for line in LINES]
    return [*curves, Part("picture of the mask", len(games), 1, note, sources)]


def draw_masks(evidence: Evidence) -> Drawn:
    """Left: frames as played, and as models see them. Right: returns."""
    figure, (left, right) = axes(2, 4.4, 3.2)
    task, games = game(evidence), masked_games(evidence)
    if games:
        shown = next((key for key in games if key[1] == task), games[0])
        show_frames(left, both_views(evidence, shown), f"{shown[1]}: as played, and as the models see it")
    else:
        left.set_visible(False)
    drawn: list[list[RunResult]] = [[]]
    lines = paper_lines("fig6")
    for line, (_, ink) in LINES.items():
        paper_line(right, lines[line], ink)
        right.plot([], [], color=ink, lw=0.9, ls="--", label=f"paper, {PAPER}: {line}")
        if runs := line_part(evidence, line)[1]:
            steps, returns = on_common_steps(runs)
            our_line(right, steps * runs[0].action_repeat, shown_as("atari", task, returns), ink)
            right.plot([], [], color=ink, lw=2, label=f"ours, {task}: {line} (n = {len(runs)})")
            drawn.append(runs)
    right.set(xscale="log", xlabel="environment frames", ylabel="human-normalised score", title=task)
    right.legend(frameon=False, fontsize=7)
    return Drawn(figure, f"{capital(budget(max(drawn, key=len)))}. The agent always sees the unmasked frames.")


def both_views(evidence: Evidence, key: tuple[str, ...]) -> np.ndarray:
    """Random play above, the same frames masked below: (2 H, COLUMNS W, 3)."""
    group = evidence.baselines[key].group("episodes")
    begin, length = int(group.starts[0]), int(group.lengths[0])
    at = np.linspace(0, length - 1, COLUMNS).astype(int)
    frames = np.concatenate([group.read(begin + t, begin + t + 1) for t in at])
    views = (frames, blacken(frames, evidence.experts[key].spec.mask))
    return np.concatenate([np.concatenate(list(view), 1) for view in views])


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


def overall_parts(evidence: Evidence) -> list[Part]:
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


def draw_overall(evidence: Evidence) -> Drawn:
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
