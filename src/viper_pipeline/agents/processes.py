"""Environments in processes of their own: for machines with more cores than runs."""

from __future__ import annotations

from functools import partial

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from viper_pipeline.agents.rollout import Arrivals, Environments, MakeEnv, Resting
from viper_pipeline.training.seeding import derive


class EnvironmentProcesses(Environments):
    """As `Environments`, with the same answers; frames arrive through shared memory."""

    def __init__(self, make_env: MakeEnv, count: int, seed: int) -> None:
        self.vector = AsyncVectorEnv(
            [partial(_resting, make_env, derive(seed, "env", i)) for i in range(count)],
            autoreset_mode=AutoresetMode.DISABLED,
            context="spawn",  # who has drawn must not fork
        )
        self._measure(self.vector.single_action_space, self.vector.single_observation_space)

    def __len__(self) -> int:
        return self.vector.num_envs

    def reset(self, i: int, seed: int) -> np.ndarray:
        """Begin an episode in environment `i` -> its first frame (H, W, C)."""
        only = np.arange(len(self)) == i
        return self.vector.reset(seed=[seed] * len(self), options={"reset_mask": only})[0][i]

    def step(self, actions: np.ndarray) -> Arrivals:
        """actions (n, A) for the first n of them; the others stand still."""
        idle = np.zeros((len(self) - len(actions), *actions.shape[1:]), actions.dtype)
        answers = self.vector.step(np.concatenate([actions, idle]))
        frames, rewards, terminated, truncated = (part[: len(actions)] for part in answers[:4])
        return Arrivals(frames, rewards, terminated, truncated)

    def close(self) -> None:
        """End the processes."""
        self.vector.close()


def _resting(make_env: MakeEnv, seed: int) -> gym.Env:
    return Resting(make_env(seed))
