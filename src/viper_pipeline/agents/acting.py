"""How an agent acts: exploration noise while it trains, deterministic episodes while it is evaluated.

A policy (`AgentPolicy`) is given standard normal numbers to sample its action with, or none to act deterministically.
The numbers come from one place, `ExplorationNoise`, so that they can be correlated from step to step and so that a
resumed run draws the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from viper_pipeline.agents.base import Agent
from viper_pipeline.agents.vector_env import VectorEnv


class ExplorationNoise:
    """Standard normal numbers (E, A), one per environment and action, correlated from step to step (AR(1))."""

    def __init__(self, envs: int, actions: int, correlation: float, rng: np.random.Generator) -> None:
        """correlation: between one step and the next; 0 is white noise."""
        self.correlation, self.rng = correlation, rng
        self.values = self._white((envs, actions))

    def _white(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.rng.standard_normal(shape, np.float32)

    def restart(self) -> None:
        """Forget the last step: all environments start episodes."""
        self.values = self._white(self.values.shape)

    def step(self) -> np.ndarray:
        """The next numbers (E, A); each has mean 0 and standard deviation 1, whatever the correlation."""
        white = self._white(self.values.shape)
        self.values = np.float32(self.correlation) * self.values + np.float32((1 - self.correlation**2) ** 0.5) * white
        return self.values

    def random_actions(self) -> np.ndarray:
        """The next numbers as actions (E, A), each uniform in [-1, 1]."""
        return (2 * ndtr(self.step()) - 1).astype(np.float32)


def one_hot_actions(scores: np.ndarray) -> np.ndarray:
    """Scores (E, A) -> discrete actions (E, A): 1 for the greatest score of each row, -1 for the others."""
    actions = np.full_like(scores, -1)
    np.put_along_axis(actions, scores.argmax(1)[:, None], 1, 1)
    return actions


def evaluate(agent: Agent, envs: VectorEnv, seeds: Sequence[int]) -> tuple[list[float], np.ndarray]:
    """Run one deterministic episode per seed, E at a time.

    Returns the true returns (sums of the task's own rewards), and the frames (T, H, W, C) of the first episode.
    """
    returns: list[float] = []
    video: list[np.ndarray] = []
    for begin in range(0, len(seeds), len(envs)):
        group = list(seeds[begin : begin + len(envs)])
        group_returns, frames = _evaluate_group(agent, envs, group)
        returns += group_returns
        video = video or frames
    return returns, np.stack(video)


def _evaluate_group(agent: Agent, envs: VectorEnv, seeds: list[int]) -> tuple[list[float], list[np.ndarray]]:
    """As `evaluate`, of up to E seeds side by side."""
    policy = agent.policy(len(seeds))
    frames = np.stack([envs.reset(i, seed) for i, seed in enumerate(seeds)])
    for i, frame in enumerate(agent.preprocess(frames)):
        policy.start(i, frame, seeds[i])
    video = [frames[0].copy()]
    returns, running = np.zeros(len(seeds)), np.ones(len(seeds), bool)
    while running.any():
        result = envs.step(policy.act())
        returns += result.rewards
        if running[0]:
            video.append(result.frames[0].copy())
        running = ~result.over
        policy.push(agent.preprocess(result.frames))
    return returns.tolist(), video
