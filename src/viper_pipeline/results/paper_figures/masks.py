"""Fig 6: Pong with its scoreboard hidden from the video model and without, and what is hidden."""

from __future__ import annotations

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
COLUMNS = 4


def masked_games(evidence: Evidence) -> list[tuple[str, ...]]:
    """Atari tasks whose models see a mask, Pong first."""
    keys = [key for key, file in evidence.experts.items() if key[0] == "atari" and file.spec.mask]
    return sorted(keys, key=lambda key: key[1] != "pong")


def masked(evidence: Evidence) -> bool:
    """Whether our Pong runs were paid by a model that saw the mask."""
    return any(key[1] == "pong" for key in masked_games(evidence))


def parts(evidence: Evidence) -> list[Part]:
    """Three curves, and the picture of what is hidden, which the paper describes."""
    made = []
    for line, (method, _) in LINES.items():
        part = runs_part(evidence, "atari", "pong", method, AGENTS)
        wanted = method == "oracle" or masked(evidence) == (line == "mask=on")
        have = part.have if wanted else 0
        why = (
            part.note
            if have
            else "no such run: suite atari has one set of masks, and agents on it where methods say so"
        )
        made.append(Part(f"pong {line}", have, part.need, why, part.sources if have else ()))
    games = masked_games(evidence)[:1]
    sources = tuple("__".join(("experts", *key)) for key in games)
    note = "" if games else "no masked expert set of suite atari"
    return [*made, Part("picture of the mask", len(games), 1, note, sources)]


def draw(evidence: Evidence) -> Drawn:
    """Left: frames as played, and as models see them. Right: returns."""
    figure, (left, right) = axes(2, 4.4, 3.2)
    games = masked_games(evidence)
    if games:
        suite, task = games[0]
        show_frames(left, both_views(evidence, (suite, task)), f"{task}: as played, and as the models see it")
    else:
        left.set_visible(False)
    shown: list[RunResult] = []
    lines = paper_lines("fig6")
    for line, (method, ink) in LINES.items():
        paper_line(right, lines[line], ink)
        right.plot([], [], color=ink, lw=0.9, ls="--", label=f"paper: {line}")
        runs = evidence.runs_of("atari", "pong", method, AGENTS)
        if runs and (method == "oracle" or masked(evidence) == (line == "mask=on")):
            steps, returns = on_common_steps(runs)
            our_line(right, steps * runs[0].action_repeat, shown_as("atari", "pong", returns), ink)
            right.plot([], [], color=ink, lw=2, label=f"ours: {line}")
            shown += runs
    right.set(xscale="log", xlabel="environment frames", ylabel="human-normalised score", title="pong")
    right.legend(frameon=False, fontsize=7)
    return Drawn(figure, f"{capital(budget(shown))}. The agent always sees the unmasked frames.")


def both_views(evidence: Evidence, key: tuple[str, ...]) -> np.ndarray:
    """Random play above, the same frames masked below: (2 H, COLUMNS W, 3)."""
    group = evidence.baselines[key].group("episodes")
    begin, length = int(group.starts[0]), int(group.lengths[0])
    at = np.linspace(0, length - 1, COLUMNS).astype(int)
    frames = np.concatenate([group.read(begin + t, begin + t + 1) for t in at])
    views = (frames, blacken(frames, evidence.experts[key].spec.mask))
    return np.concatenate([np.concatenate(list(view), 1) for view in views])
