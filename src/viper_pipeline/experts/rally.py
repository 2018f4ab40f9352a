"""A script that wins at Pong: where the ball will be, where the bat will rest, and which end of it to use.

The script of Pong in scripts.py plays about even, since its bat swings about the place where it should be.
Numbers are in the units of the console's memory; distances and speeds were found by watching it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from viper_pipeline.experts.base import Expert, ExpertConfig
from viper_pipeline.experts.policies import Policy
from viper_pipeline.experts.scripts import LEFT, RIGHT, STAY

if TYPE_CHECKING:  # recording processes need no torch
    from viper_pipeline.training.artifacts import ModelArtifact

LOW, HIGH, HERE = 44.0, 206.0, 188.0
"""The ball between the walls, and at the bat."""
MIDDLE, END = 6.5, 5.0
"""How far the ball is beyond the bat's number where the bat's middle hits it, and from there to where an end does."""
SPEEDS = 12.0
"""Of the ball across, in a step at most; what is more is a new ball."""
GLIDE, SWINGING = 0.8, 5.0
"""What the bat still goes after a step, as a share of that step, if it went at least so far."""


def rally(memory: np.ndarray, change: np.ndarray) -> int:
    """memory, and how it changed in the last step, both (128,) -> an ALE action.

    Of the bat's ends it uses the one that sends the ball back past the opponent, who cannot follow a steep one. A step
    moves the bat by 20, half of that after the step, so a place between is reached by going past it and back, for which
    sticky actions see; near the end of the ball's way there is no time for that.
    """
    across, ball, bat, opponent = memory[49], memory[54], memory[51], memory[50]
    speed, rise, drift = change[49], change[54], change[51]
    if ball == 0:  # there is none
        return STAY
    rest = bat + (GLIDE * drift if abs(drift) >= SWINGING else 0.0)
    if 0 < speed <= SPEEDS and across < HERE + 2:
        steps = (HERE - across) / speed
        arrives = bounced(ball + steps * (whole_lines(rise) if LOW + 6 < ball < HIGH - 6 else rise))
        miss = arrives - MIDDLE + (-END if opponent > arrives else END) - rest
        near = 11.0 if steps < 4 else 6.0 if steps < 6 else 2.0
    else:
        miss, near = ball - MIDDLE - rest, 12.0
    if abs(miss) <= near:
        return STAY
    return LEFT if miss > 0 else RIGHT


def whole_lines(rise: float) -> float:
    """The ball moves by whole lines per emulator frame, of which a step has four; a bounce or a start blurs that."""
    return float(4 * np.round(rise / 4))


def bounced(place: float) -> float:
    """Where a ball comes out that flies to `place` as if there were no walls."""
    for _ in range(8):
        place = 2 * LOW - place if place < LOW else 2 * HIGH - place if place > HIGH else place
    return place


@dataclass(frozen=True)
class RallyPolicy:
    """The script as a policy: memory and its change (E, 256) -> preferences (E, actions), float32 in [-1, 1]."""

    noise: float
    actions: int = 18

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """Noise stays when `deterministic`: without it all games may be the same."""
        preferences = np.full((len(states), self.actions), -1.0, np.float32)
        for row, state in zip(preferences, states, strict=True):
            chosen = rally(*np.split(np.asarray(state, np.float64), 2))
            row[int(rng.integers(self.actions)) if rng.random() < self.noise else chosen] = 1.0
        return preferences


class RallyConfig(ExpertConfig):
    """The only setting."""

    algorithm: Literal["rally"] = "rally"
    noise: float = Field(0.02, gt=0, lt=1, description="share of actions drawn at random, so that episodes differ")


class RallyExpert(Expert):
    """Wins at Pong, by a script on the console's memory. Nothing is learned."""

    Config = RallyConfig
    needs = frozenset({"scripts"})

    def problem(self) -> str | None:
        """Also for any game but Pong."""
        if (found := super().problem()) or (self.suite.name, self.task) == ("atari", "pong"):
            return found
        return "rally plays pong of suite atari only"

    def policy(self, learned: ModelArtifact) -> Policy:
        """The script with `noise`."""
        return RallyPolicy(self.config.noise)
