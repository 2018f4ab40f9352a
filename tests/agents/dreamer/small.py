"""A Dreamer of a few thousand weights, and a world with discrete actions."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from tests.agents.toy import Toy
from viper_pipeline.agents.dreamer.config import DreamerConfig

SMALL = DreamerConfig(
    pixels=16, depth=8, deter=48, stoch=6, classes=6, hidden=48, layers=1, batch_size=12, batch_length=12,
    model_rate=2e-3, policy_rate=1e-3, horizon=6, gamma=0.9, ensemble_size=3, slow_every=1, slow_step=0.05,
)  # fmt: skip


class Discrete(Toy):
    """The toy with three discrete actions: stay, left, right."""

    def __init__(self, seed: int, length: int = 12) -> None:
        super().__init__(seed, length)
        self.action_space = gym.spaces.Box(-1, 1, (3,), np.float32)

    def step(self, action):
        return super().step(np.array([(0, -1, 1)[int(np.argmax(action))]]))


def optimum(seed: int, length: int = 12) -> float:
    """The greatest return of the toy from the start that `seed` gives: always to the right."""
    env = Toy(0, length)
    env.reset(seed=seed)
    return sum(env.step(np.ones(1))[1] for _ in range(length))
