"""Experts for arms, written by hand: where the hand should go next, from where it and the things are (paper 4.1).

They have no memory: after a push, a slip or a random action they go on from the present state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

OPEN, SHUT = -1.0, 1.0
GAIN = 30.0
"""Action per metre of distance."""
LIFTED = 0.95
"""Height at which a lifted cube is held; the table's top is at 0.8."""
ON_TOP = np.array([0.0, 0.0, 0.045])
"""From the centre of a cube to that of the one on it."""
PULL = 0.025
"""Metres ahead of the hand where it is sent while it pulls."""
BIN = np.array([0.1975, 0.4025, 0.865])
"""Where the can should stand: the middle of its quarter of the far bin, a little above the bottom."""
OVER_WALLS = 0.10
"""How much higher a can must be carried than it stands: the bins' walls are in the way."""
HANDLE, SLOT = np.array([-0.05, -0.1]), np.array([-0.08, -0.066])
"""Seen from above, in the frame of robosuite's door: its observed handle, and a place between lever and door."""

Command = tuple[np.ndarray, float]
"""Where to move, (3,) metres, and the gripper."""


def towards(thing: np.ndarray, place: np.ndarray, clearance: float) -> np.ndarray:
    """The way of `thing` (3,) to `place` (3,) through a funnel: the farther off sideways, the higher above.

    Below the funnel's wall it first rises, so that nothing is swept off the table.
    """
    miss = float(np.linalg.norm((place - thing)[:2]))
    way = place - thing
    way[2] += np.clip((miss - 0.008) * 6, 0, clearance)
    way[:2] *= np.clip(1 - (way[2] - 0.01) / 0.03, 0, 1)
    return way


def pick(hand: np.ndarray, thing: np.ndarray) -> Command:
    """Over the thing, down, and shut."""
    off = np.abs(thing - hand)
    return towards(hand, thing, 0.07), SHUT if off[:2].max() < 0.012 and off[2] < 0.01 else OPEN


def held(hand: np.ndarray, holds: float, thing: np.ndarray, air: float = 0.85) -> bool:
    """Whether the thing is in the hand; contacts flicker, a thing in the air at the hand's place does not."""
    return bool(holds) or (thing[2] > air and float(np.linalg.norm(hand - thing)) < 0.03)


def lift(hand: np.ndarray, holds: float, cube: np.ndarray) -> Command:
    """Pick the cube up and hold it high."""
    if held(hand, holds, cube):
        return np.array([0, 0, LIFTED - hand[2]]), SHUT
    return pick(hand, cube)


def stack(hand: np.ndarray, holds: float, cube: np.ndarray, base: np.ndarray) -> Command:
    """Put the cube on the base, let go, and leave upwards."""
    off = cube - (base + ON_TOP)
    if np.abs(off[:2]).max() < 0.025 and abs(off[2]) < 0.012:
        return np.array([0, 0, 0 if holds else base[2] + 0.18 - hand[2]]), OPEN
    if held(hand, holds, cube):
        return towards(cube, base + ON_TOP, 0.08), SHUT
    return pick(hand, cube)


def door(hand: np.ndarray, holds: float, handle: np.ndarray, middle: np.ndarray) -> Command:
    """Put the shut hand down behind the lever and pull."""
    out = (handle - middle)[:2]
    angle = np.arctan2(out[1], out[0]) - np.arctan2(HANDLE[1], HANDLE[0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    slot = np.array([*(middle[:2] + turn @ SLOT), handle[2]])
    along, across = turn.T @ (hand - slot)[:2]
    if abs(along) < 0.04 and abs(across) < 0.04 and hand[2] < handle[2] + 0.03:
        return np.array([*(turn @ [-along, -PULL]), slot[2] - hand[2]]), SHUT
    return towards(hand, slot, 0.07), SHUT


def can(hand: np.ndarray, holds: float, thing: np.ndarray) -> Command:
    """Carry the can over the walls into its bin, let go, and leave upwards."""
    off = np.abs(thing - BIN)
    if off[:2].max() < 0.04 and off[2] < 0.02:
        return np.array([0, 0, 0 if holds else BIN[2] + 0.15 - hand[2]]), OPEN
    if held(hand, holds, thing, air=BIN[2] + 0.015):
        return towards(thing, BIN, OVER_WALLS), SHUT
    return pick(hand, thing)


SCRIPTS: dict[str, Callable[..., Command]] = {"lift": lift, "stack": stack, "door": door, "can": can}
ARM_SCRIPTS: dict[str, Callable[..., Command]] = {
    f"{arm}_{name}": script for arm in ("panda", "sawyer") for name, script in SCRIPTS.items()
}
"""Task -> (hand (3,), whether it holds the thing, every thing's place (3,)) -> command. Both arms do alike."""


@dataclass(frozen=True)
class ArmScript:
    """A script as a policy: states (E, 4 + 3 n), the hand, its hold and n things -> actions (E, 4) in [-1, 1]."""

    task: str
    noise: float

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """A share `noise` of the movements is random, also when `deterministic`; the gripper's never is."""
        actions = np.empty((len(states), 4), np.float32)
        for action, state in zip(actions, np.asarray(states, np.float64), strict=True):
            way, grip = ARM_SCRIPTS[self.task](state[:3], state[3], *state[4:].reshape(-1, 3))
            random = rng.random() < self.noise
            action[:3] = rng.uniform(-1, 1, 3) if random else np.clip(GAIN * way, -1, 1)
            action[3] = grip
        return actions
