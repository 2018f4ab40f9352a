"""The paper's own curves, digitised from its vector figures; means of three seeds, bands of one deviation.

Their x axes are environment frames (for DMC: control steps); many end in a constant tail of runs stopped early.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(__file__).parent / "data"
NAMES = {
    "ball_in_cup_catch": "cup_catch",
    "point_mass_easy": "pointmass_easy",
    "point_mass_hard": "pointmass_hard",
}
"""Our names of tasks -> the paper's, where they differ."""
FIGURES = {"dmc": "fig12", "atari": "fig11", "rlbench": "fig10"}


@functools.cache
def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / name)


def paper_curve(suite: str, task: str, method: str) -> tuple[np.ndarray, np.ndarray] | None:
    """(environment frames, mean return) of the paper's DreamerV3 run, or None where it shows none."""
    table = _table("paper_curves.csv")
    rows = table[
        (table.figure == FIGURES.get(suite)) & (table.task == NAMES.get(task, task)) & (table.method == method)
    ]
    return (rows.step.to_numpy(), rows["mean"].to_numpy()) if len(rows) else None


def paper_score(suite: str, task: str, method: str) -> float | None:
    """The paper's final return: mean of the last tenth of its curve."""
    table = _table("paper_scores.csv")
    rows = table[
        (table.figure == FIGURES.get(suite)) & (table.task == NAMES.get(task, task)) & (table.method == method)
    ]
    return float(rows.final_mean.iloc[0]) if len(rows) else None
