"""The tasks of the paper's panels, by our names (titles of Figs 10 to 12)."""

from __future__ import annotations

from viper_pipeline.suites.rlbench_tasks import PAPER

DMC = (
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
TASKS = {"dmc": DMC, "atari": ATARI, "rlbench": PAPER}
