"""The tasks of the paper's panels, by our names (titles of Figs 10 to 12)."""

from __future__ import annotations

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
RLBENCH = (
    "lamp_on",
    "push_button",
    "reach_target",
    "take_lid_off_saucepan",
    "take_umbrella_out_of_umbrella_stand",
    "toilet_seat_down",
)
TASKS = {"dmc": DMC, "atari": ATARI, "rlbench": RLBENCH}
