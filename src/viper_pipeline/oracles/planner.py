"""Experts that are planned, not learned: the suite's own motion planner, which knows the scene (paper 4.1, RLBench)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from viper_pipeline.configs import Config

FORMAT = "viper planner 1"


class PlannerConfig(Config):
    """An expert that is not learned: the planner that comes with the suite."""

    algorithm: Literal["planner"] = "planner"


@dataclass(frozen=True)
class Planned:
    """A policy for environments whose episodes are planned already; what it does changes nothing."""

    actions: int

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """States (E, D) -> zeros (E, A)."""
        return np.zeros((len(states), self.actions), np.float32)
