"""The paper's own curves, digitized from its vector figures: means of three seeds, bands of one standard deviation.

Their x axes are environment frames (for DMC: control steps); many end in a constant tail of runs stopped early.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd

from viper_pipeline.envs.atari import GAMES
from viper_pipeline.envs.dmc import PAPER_NAMES
from viper_pipeline.envs.rlbench import PAPER

DATA = Path(__file__).parent / "data"
PAPER_FIGURES = {"dmc": "fig12", "atari": "fig11", "rlbench": "fig10"}
"""Suite -> the figure that shows it task by task."""
PAPER_SEEDS = 3
"""Of each run in the paper."""


@functools.cache
def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / name)


def paper_score(suite: str, task: str, method: str) -> float | None:
    """The paper's final return: mean of the last tenth of its curve; of Atari in points."""
    table = _table("paper_scores.csv")
    rows = table[
        (table.figure == PAPER_FIGURES.get(suite))
        & (table.task == PAPER_NAMES.get(task, task))
        & (table.method == method)
    ]
    if not len(rows):
        return None
    final = float(rows.final_mean.iloc[0])
    if suite == "atari":
        game = GAMES[task]
        return game.random + final * (game.human - game.random)
    return final


def paper_methods(suite: str, task: str) -> list[str]:
    """The methods whose curves the paper shows on a task, by its names; none for tasks that it does not have."""
    figure = PAPER_FIGURES.get(suite)
    return list(paper_lines(figure, task)) if figure else []


def paper_lines(figure: str, task: str | None = None, panel: str | None = None) -> dict[str, pd.DataFrame]:
    """Every curve of a figure's panel by its method: columns step, mean, low, high (NaN where no band is drawn)."""
    table = _table("paper_curves.csv")
    rows = table[table.figure == figure]
    if task is not None:
        rows = rows[rows.task == PAPER_NAMES.get(task, task)]
    if panel is not None:
        rows = rows[rows.panel == panel]
    return {str(method): lines.sort_values("step") for method, lines in rows.groupby("method", sort=False)}


def paper_trajectories() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Fig 5's right panel: kind -> (task returns, VIPER returns), one of each per trajectory."""
    table = _table("paper_fig5_scatter.csv")
    return {str(k): (t.task_return.to_numpy(), t.viper_return.to_numpy()) for k, t in table.groupby("method")}


DMC_IN_PAPER = (
    "cartpole_balance",
    "cartpole_swingup",
    "cheetah_run",
    "ball_in_cup_catch",
    "finger_spin",
    "finger_turn_hard",
    "hopper_stand",
    "pendulum_swingup",
    "point_mass_easy",
    "point_mass_hard",
    "quadruped_run",
    "quadruped_walk",
    "reacher_easy",
    "reacher_hard",
    "walker_walk",
)
ATARI = ("assault", "atlantis", "boxing", "freeway", "kangaroo", "pong", "zaxxon")
PAPER_TASKS = {"dmc": DMC_IN_PAPER, "atari": ATARI, "rlbench": PAPER}
