"""Fig 6: Pong with its scoreboard hidden from the video model and without, and what is hidden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from viper_pipeline.results.evidence import Evidence
from viper_pipeline.results.figures import on_common_steps
from viper_pipeline.results.inputs import RunResult
from viper_pipeline.results.paper import paper_lines
from viper_pipeline.results.paper_figures.curves import AGENTS, capital, our_line, paper_line, shown_as
from viper_pipeline.results.paper_figures.entry import Drawn, Part, budget, runs_part
from viper_pipeline.results.style import axes, show_frames
from viper_pipeline.suites.frames import blacken

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


def parts(evidence: Evidence) -> list[Part]:
    """Three curves, and the picture of what is hidden, which the paper describes."""
    games = masked_games(evidence)[:1]
    sources = tuple("__".join(("experts", *key)) for key in games)
    note = "" if games else "no masked expert set of suite atari"
    curves = [line_part(evidence, line)[0] for line in LINES]
    return [*curves, Part("picture of the mask", len(games), 1, note, sources)]


def draw(evidence: Evidence) -> Drawn:
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
