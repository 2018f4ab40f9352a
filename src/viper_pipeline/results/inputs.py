"""What the figures and tables are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RunResult:
    """One agent run: suite x task x method x agent x seed."""

    suite: str
    task: str
    method: str
    agent: str
    seed: int
    steps: np.ndarray  # agent steps of the evaluations on the way
    returns: np.ndarray  # their mean true returns
    final_returns: tuple[float, ...]  # of fresh episodes at the end; of some kept runs their mean alone
    budget: int  # agent steps of training
    action_repeat: int
    episodes: int = 0  # how many fresh episodes there were, where `final_returns` does not tell
    origin: str = ""  # of a kept run: the commit and the machine that made it

    @property
    def judged(self) -> int:
        """The number of fresh episodes at the end."""
        return self.episodes or len(self.final_returns)


@dataclass(frozen=True)
class Floors:
    """What a task returns to those who have learned nothing, and to its expert videos; None where unknown."""

    suite: str
    task: str
    random: float
    idle: float
    expert: float | None
