"""What the environments look like: Fig 2 (two of each suite) and Figs 13 to 15 (what the video models learn from)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from viper_pipeline.results.evidence import Evidence
from viper_pipeline.results.paper_figures.entry import Drawn, Part
from viper_pipeline.results.paper_tasks import TASKS
from viper_pipeline.results.style import panels_of, show_frames

SHOWN = {"dmc": ("quadruped_walk", "walker_walk"), "atari": ("pong", "freeway"), "rlbench": TASKS["rlbench"][3:5]}
"""Two tasks a suite for Fig 2; others stand in where these have no videos."""


def two_of(evidence: Evidence, suite: str) -> list[tuple[str, ...]]:
    """At most two tasks of the suite that have expert videos."""
    there = [key for key in evidence.experts if key[0] == suite]
    wanted = SHOWN.get(suite, ())
    return sorted(there, key=lambda key: wanted.index(key[1]) if key[1] in wanted else len(wanted))[:2]


def overview_parts(evidence: Evidence) -> list[Part]:
    """Two pictures a suite."""
    return [
        Part(
            f"{suite} {number + 1}",
            int(len(chosen) > number),
            note="" if len(chosen) > number else "no expert set",
            sources=tuple("__".join(("experts", *key)) for key in chosen[number : number + 1]),
        )
        for suite in ("dmc", "atari", evidence.manipulation)
        for chosen in [two_of(evidence, suite)]
        for number in range(2)
    ]


def draw_overview(evidence: Evidence) -> Drawn:
    """Fig 2."""
    chosen = [key for suite in ("dmc", "atari", evidence.manipulation) for key in two_of(evidence, suite)]
    return Drawn(tiles(evidence, chosen, 6), f"{said(evidence, chosen)}", vector=False)


def of_suite(evidence: Evidence, suite: str, count: int) -> tuple[str, list[tuple[str, ...]]]:
    """The suite's name here, and the tasks that its video model has been shown; at most `count` of them."""
    name = evidence.manipulation if suite == "rlbench" else suite
    return name, [key for key in evidence.experts if key[0] == name][:count]


def suite_parts(evidence: Evidence, suite: str, count: int) -> list[Part]:
    """One picture a task; of the paper's tasks by name where it names them."""
    name, chosen = of_suite(evidence, suite, count)
    note = "" if name == suite else f"{name} in the place of {suite}"
    parts = [Part(key[1], 1, note=note, sources=("__".join(("experts", *key)),)) for key in chosen]
    there = {key[1] for key in chosen}
    absent = [task for task in TASKS[suite] if task not in there][: max(count - len(parts), 0)]
    return parts + [Part(task, 0, note="no expert set") for task in absent]


def draw_suite(evidence: Evidence, suite: str, count: int) -> Drawn:
    """Figs 13, 14 and 15."""
    _, chosen = of_suite(evidence, suite, count)
    return Drawn(tiles(evidence, chosen, 5), said(evidence, chosen), vector=False)


def tiles(evidence: Evidence, chosen: Sequence[tuple[str, ...]], columns: int) -> object:
    """A frame from the middle of a held-out expert video of each."""
    columns = min(columns, max(len(chosen), 2))
    figure, panels = panels_of(len(chosen), columns, 1.5, 1.7)
    for panel, key in zip(panels, chosen, strict=True):
        show_frames(panel, middle_frame(evidence, key), f"{key[0]}: {key[1]}".replace("_", " ", 3))
    return figure


def middle_frame(evidence: Evidence, key: tuple[str, ...]) -> np.ndarray:
    """(H, W, 3) of the first held-out expert, or of the first training video."""
    file = evidence.experts[key]
    group = file.group("held_out") if len(file.group("held_out")) else file.group("train")
    at = int(group.lengths[0]) // 2
    return group.read(at, at + 1)[0]


def said(evidence: Evidence, chosen: Sequence[tuple[str, ...]]) -> str:
    """How many videos stand behind the pictures."""
    videos = sum(len(evidence.experts[key].group(g)) for key in chosen for g in ("train", "held_out"))
    return (
        f"One frame of a held-out expert video a task, at the resolution that models see; "
        f"n = {len(chosen)} task{'s' if len(chosen) != 1 else ''}, {videos} expert videos in all."
    )
