"""Experts that learn nothing: scripts written by hand, from state to action, and the planner of a suite (paper 4.1).

Scripts of games read the memory and choose ALE actions; those of arms stand in scripts_arm.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import gymnasium
import numpy as np
from pydantic import Field

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.data.episode import Kind
from viper_pipeline.envs.base import FrameSpec, Settings
from viper_pipeline.experts.base import Expert, ExpertConfig
from viper_pipeline.experts.policies import Policy, ZeroPolicy
from viper_pipeline.experts.scripts_arm import ARM_SCRIPTS, ArmScript

if TYPE_CHECKING:  # recording processes need no torch
    from viper_pipeline.training.artifacts import ModelArtifact


class ScriptConfig(ExpertConfig):
    """A script's only setting."""

    algorithm: Literal["script"] = "script"
    noise: float = Field(0.02, gt=0, lt=1, description="share of actions drawn at random, so that episodes differ")


class ScriptExpert(Expert):
    """Plays by the task's script. Nothing is learned."""

    Config = ScriptConfig
    needs = frozenset({"scripts"})

    def problem(self) -> str | None:
        """Also where no script is written for the task."""
        known = ATARI_SCRIPTS if self.suite.discrete else ARM_SCRIPTS
        if (found := super().problem()) or self.task in known:
            return found
        return "no script is written for this task"

    def policy(self, learned: ModelArtifact) -> Policy:
        """The task's script with `noise`."""
        return script_for(self.task, self.config.noise)


def script_for(task: str, noise: float) -> AtariScript | ArmScript:
    """The script of a game or of an arm's task. Raises BadParams where none is written."""
    if task in ARM_SCRIPTS:
        return ArmScript(task, noise)
    if task not in ATARI_SCRIPTS:
        raise BadParams(f"there is no script for task '{task}'{did_you_mean(task, ATARI_SCRIPTS)}; use algorithm ppo")
    return AtariScript(task, noise)


class PlannerConfig(ExpertConfig):
    """The planner has no settings."""

    algorithm: Literal["planner"] = "planner"


class PlannerExpert(Expert):
    """Records the demonstrations of `Suite.make_demos`. Nothing is learned, and actions change nothing."""

    Config = PlannerConfig
    needs = frozenset({"planner"})
    kinds: ClassVar[tuple[Kind, ...]] = ("expert",)

    def policy(self, learned: ModelArtifact) -> Policy:
        """Zero actions: the planner has acted already."""
        return ZeroPolicy(len(self.suite.idle_action(self.task)))

    def recording_env(self, env: Settings, frames: FrameSpec) -> Callable[[int], gymnasium.Env]:
        """seed -> an environment that plays demonstrations."""
        return partial(self.suite.make_demos, self.task, env=env, frames=frames)


STAY, UP, RIGHT, LEFT, DOWN = 0, 2, 3, 4, 5
DIRECTIONS = [(0, 0), (-1, 0), (0, 1), (0, -1), (1, 0), (-1, 1), (-1, -1), (1, 1), (1, -1)]
"""(down, right) of ALE's nine directions, in the order of its actions."""
STEPPING = dict(zip(DIRECTIONS, (STAY, UP, RIGHT, LEFT, DOWN, 6, 7, 8, 9), strict=True))
PUNCHING = dict(zip(DIRECTIONS, (1, 10, 11, 12, 13, 14, 15, 16, 17), strict=True))
"""The action of a direction, without and with the button."""


def boxing(memory: np.ndarray, change: np.ndarray) -> int:
    """Move beside the opponent, one fist above or below him, where punches land; then punch.

    The distances were found by trial: 10 across and 17 along the ring, in the memory's units.
    """
    x, y, other_x, other_y = memory[32], memory[34], memory[33], memory[35]
    across, to_go = abs(other_x - x), other_y + (17 if y > other_y else -17) - y
    up_down = 0 if abs(to_go) <= 2 else int(np.sign(to_go))
    towards = 1 if other_x >= x else -1
    left_right = 0 if abs(across - 10) <= 4 else towards * int(np.sign(across - 10))
    punches = across <= 22 and abs(to_go) <= 8
    return (PUNCHING if punches else STEPPING)[up_down, left_right]


def freeway(memory: np.ndarray, change: np.ndarray) -> int:
    """Upwards, but not under a car: wait for it to pass, or step back."""
    y, cars, speed = memory[14], memory[108:118], (change[108:118] + 80) % 160 - 80
    lanes = 22 + 16 * np.arange(10)

    def danger(at: float, steps: int) -> bool:
        x = (cars + speed * steps - 3) % 160
        return bool(((np.abs(at - lanes) < 11) & (x > 32) & (x < 54)).any())

    if not (danger(y + 4, 1) or danger(y + 8, 2)):
        return UP
    if not (danger(y, 1) or danger(y, 2)):
        return STAY
    return UP if danger(y - 4, 1) else DOWN


def kangaroo(memory: np.ndarray, change: np.ndarray) -> int:
    """To the ladder of the floor, up it, and to the next one: right, left, right, and left to the child at the top.

    Floors are at heights 18, 12, 6 and 0, ladders at 119 and 9 across, in the memory's units.
    """
    x, height = memory[17], memory[16]
    if height > 12 or 0 < height <= 6:
        return RIGHT if x < 119 else UP
    if height > 6:
        return LEFT if x > 9 else UP
    return LEFT


def pong(memory: np.ndarray, change: np.ndarray) -> int:
    """To where the ball will arrive, and hit it with an end of the bat, so that it flies steeply."""
    x, y, bat = memory[49], memory[54], memory[51]
    fast, rise, drift = change[49], change[54], change[51]
    if y == 0 or y > 250:
        return STAY
    target = y
    if 0 < fast <= 40 and x < 190:
        low, high = 44.0, 205.0
        target = y + rise * (190 - x) / fast
        for _ in range(8):  # it bounces off the walls
            target = 2 * low - target if target < low else 2 * high - target if target > high else target
        target += 4 if rise > 0 else -4
    miss = target - (bat + drift + 4)  # the bat does not stop at once
    if abs(miss) < 6:
        return STAY
    return LEFT if miss > 0 else RIGHT


ATARI_SCRIPTS: dict[str, Callable[[np.ndarray, np.ndarray], int]] = {
    "boxing": boxing,
    "freeway": freeway,
    "kangaroo": kangaroo,
    "pong": pong,
}


@dataclass(frozen=True)
class AtariScript:
    """A script as a policy: memory and its change (E, 256) -> preferences (E, actions), float32 in [-1, 1]."""

    task: str
    noise: float
    actions: int = 18

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """Noise stays when `deterministic`: without it all games of a script may be the same."""
        preferences = np.full((len(states), self.actions), -1.0, np.float32)
        for row, state in zip(preferences, states, strict=True):
            chosen = ATARI_SCRIPTS[self.task](*np.split(np.asarray(state, np.float64), 2))
            row[int(rng.integers(self.actions)) if rng.random() < self.noise else chosen] = 1.0
        return preferences
