"""RLBench's tasks: those of Fig 10, and which arm does which in the experiment with two arms (paper 4.1 and 4.3)."""

from __future__ import annotations

PAPER = (
    "lamp_on",
    "push_button",
    "reach_target",
    "take_lid_off_saucepan",
    "take_umbrella_out_of_umbrella_stand",
    "toilet_seat_down",
)
"""The six of Fig 10."""

HELD_OUT = "panda_take_lid_off_saucepan"
"""The arm and task that no model of the experiment with two arms is trained on (Figs 7, 8 and 18)."""

# The paper names none of these: 30 tasks for Panda, 23 for Sawyer, 20 of them for both, is all it says. The choice is
# this project's: the paper's own six and easy tasks, with the two that the paper's pictures settle (the saucepan is
# Sawyer's, the umbrella Panda's).
SHARED = (
    "close_box",
    "close_drawer",
    "close_fridge",
    "close_grill",
    "close_laptop_lid",
    "close_microwave",
    "lamp_off",
    "lamp_on",
    "meat_off_grill",
    "open_box",
    "open_drawer",
    "open_grill",
    "pick_and_lift",
    "pick_up_cup",
    "push_button",
    "put_rubbish_in_bin",
    "reach_target",
    "slide_block_to_target",
    "take_umbrella_out_of_umbrella_stand",
    "toilet_seat_down",
)
PANDA = (
    *SHARED,
    "basketball_in_hoop",
    "close_door",
    "meat_on_grill",
    "open_door",
    "open_microwave",
    "phone_on_base",
    "push_buttons",
    "put_knife_on_chopping_board",
    "sweep_to_dustpan",
    "unplug_charger",
)
SAWYER = (*SHARED, "press_switch", "reach_and_drag", "take_lid_off_saucepan")

ARMS = {"panda": PANDA, "sawyer": SAWYER}
PAIRS = tuple(f"{arm}_{task}" for arm, tasks in ARMS.items() for task in tasks)
"""The 53 pairs that the models with two arms are trained on."""
TASKS = {f"{arm}_{task}": (arm, task) for task in sorted({*PAPER, *PANDA, *SAWYER}) for arm in ("panda", "sawyer")}
"""Every task with either arm: <arm>_<task> -> (arm, RLBench's name)."""
