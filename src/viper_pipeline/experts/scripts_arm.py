"""Experts for arms, written by hand: each task of the tabletop says where the hand goes next (paper 4.1).

They have no memory: after a push, a slip or a random action they go on from the present state. They begin slowly, as
motion planners do: the paper keeps every fourth frame because of such frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from viper_pipeline.envs.tabletop.suite import CLOCK, PROPRIOCEPTION, Tabletop, pair
from viper_pipeline.envs.tabletop.tasks import TASKS

GAIN = 16.0
"""Action per meter of distance: the hand slows down within 6 cm of where it goes."""
SPEED = 0.6
"""The greatest movement of a control step, as an action: agents may be faster than experts."""
STILL = 4
"""Control steps for which the hand keeps still at first."""
RAMP = 8
"""Control steps in which it then comes to full speed."""
ARM_SCRIPTS = frozenset(Tabletop().tasks())
"""The pairs that have a script: all."""


@dataclass(frozen=True)
class ArmScript:
    """A task's waypoints as a policy: states (E, 6 + 3 n) of the suite -> actions (E, 4) in [-1, 1]."""

    task: str
    """A pair's name, <arm>_<task>; both arms do alike."""
    noise: float

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """A share `noise` of the movements is random, also when `deterministic`; the gripper's never is."""
        waypoint = TASKS.get(pair(self.task)[1])().waypoint
        actions = np.empty((len(states), 4), np.float32)
        for action, state in zip(actions, np.asarray(states, np.float64), strict=True):
            step, grip = waypoint(state[:3], state[4] > 0.5, state[PROPRIOCEPTION:].reshape(-1, 3))
            pace = np.clip((round(state[5] * CLOCK) - STILL + 1) / RAMP, 0, 1)
            random = rng.random() < self.noise
            action[:3] = pace * (rng.uniform(-1, 1, 3) if random else direct(GAIN * step))
            action[3] = grip
        return actions


def direct(step: np.ndarray) -> np.ndarray:
    """A movement (3,) in the direction of `step`, no part of it beyond SPEED."""
    return step * min(1.0, SPEED / max(SPEED, float(np.abs(step).max())))
