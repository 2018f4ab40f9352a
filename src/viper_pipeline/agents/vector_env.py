"""E environments stepped together, here (`VectorEnv`) or in one process each (`ProcessVectorEnv`), and how agents act.

Both give the same results: an episode depends on its seed and its actions alone. Unlike gymnasium's vector
environments they never reset by themselves: every episode is started with a seed of its own, and one that is over
stands still until then, so that the others can finish theirs.

A policy (`AgentPolicy`) is given standard normal numbers to sample its action with, or none to act deterministically.
The numbers come from one place, `ExplorationNoise`, so that they can be correlated from step to step and so that a
resumed run draws the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from scipy.special import ndtr

from viper_pipeline.agents.base import Agent
from viper_pipeline.envs.base import Info
from viper_pipeline.training.checkpoints import derive

MakeEnv = Callable[[int], gym.Env]
"""Seed -> environment of uint8 frames (H, W, C) and actions (A,) in [-1, 1]; reset(seed=) fixes the whole episode."""


@dataclass(frozen=True)
class StepResult:
    """What n environments returned for one action each."""

    frames: np.ndarray  # (n, H, W, C) uint8
    rewards: np.ndarray  # (n,) float64, the task's own
    terminated: np.ndarray  # (n,) bool: the episode reached an end
    truncated: np.ndarray  # (n,) bool: the episode was cut at its time limit
    success: np.ndarray | None = None  # (n,) bool: the task was done by now; None if its tasks do not say so

    @property
    def over(self) -> np.ndarray:
        """(n,) bool: terminated or truncated."""
        return self.terminated | self.truncated


class FreezeAtEnd(gym.Wrapper):
    """An environment that repeats its last frame, with reward 0, after the end of an episode until it is reset."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        black = np.zeros(env.observation_space.shape or (), np.uint8)
        self.end: tuple[np.ndarray, bool, bool] | None = (black, False, True)

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, Info]:
        """Start an episode."""
        self.end = None
        return self.env.reset(**kwargs)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, SupportsFloat, bool, bool, Info]:
        """One step, unless the episode is over."""
        if self.end:
            frame, terminated, truncated = self.end
            return frame, 0.0, terminated, truncated, {}
        frame, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            self.end = (frame, terminated, truncated)
        return frame, reward, terminated, truncated, info


class VectorEnv:
    """E environments of one kind, stepped one after another."""

    actions: int
    """Dimensions of an action."""
    frame_shape: tuple[int, int, int]
    """(H, W, C)."""

    def __init__(self, make_env: MakeEnv, count: int, seed: int) -> None:
        self.envs: list[FreezeAtEnd] = []
        try:
            for i in range(count):
                self.envs.append(FreezeAtEnd(make_env(derive(seed, "env", i))))
        except BaseException:
            self.close()
            raise
        self._read_spaces(self.envs[0].action_space, self.envs[0].observation_space)

    def _read_spaces(self, actions: gym.Space, frames: gym.Space) -> None:
        if not isinstance(actions, gym.spaces.Box):
            raise TypeError(f"actions must be a Box within [-1, 1], not {actions}")
        self.actions = int(np.prod(actions.shape))
        height, width, colors = frames.shape or ()
        self.frame_shape = (height, width, colors)

    def __len__(self) -> int:
        return len(self.envs)

    def reset(self, i: int, seed: int) -> np.ndarray:
        """Start an episode in environment `i` -> its first frame (H, W, C)."""
        return self.envs[i].reset(seed=seed)[0]

    def step(self, actions: np.ndarray) -> StepResult:
        """Step the first n environments with actions (n, A). Those whose episode is over stand still."""
        results = [env.step(action) for env, action in zip(self.envs[: len(actions)], actions, strict=True)]
        frames, rewards, terminated, truncated, infos = zip(*results, strict=True)
        success = [info.get("success", False) for info in infos] if any("success" in info for info in infos) else None
        return StepResult(
            np.stack(frames),
            np.array(rewards),
            np.array(terminated),
            np.array(truncated),
            None if success is None else np.array(success, bool),
        )

    def close(self) -> None:
        """Free the simulators."""
        for env in self.envs:
            env.close()


class ProcessVectorEnv(VectorEnv):
    """As `VectorEnv`, with one process per environment; frames arrive through shared memory."""

    def __init__(self, make_env: MakeEnv, count: int, seed: int) -> None:
        self.vector = AsyncVectorEnv(
            [partial(_frozen_at_end, make_env, derive(seed, "env", i)) for i in range(count)],
            autoreset_mode=AutoresetMode.DISABLED,
            context="spawn",  # a process that has rendered must not fork
        )
        self._read_spaces(self.vector.single_action_space, self.vector.single_observation_space)

    def __len__(self) -> int:
        return self.vector.num_envs

    def reset(self, i: int, seed: int) -> np.ndarray:
        """Start an episode in environment `i` -> its first frame (H, W, C)."""
        only = np.arange(len(self)) == i
        return self.vector.reset(seed=[seed] * len(self), options={"reset_mask": only})[0][i]

    def step(self, actions: np.ndarray) -> StepResult:
        """Step the first n environments with actions (n, A).

        The others are stepped too, with action 0: they must be reset before their next use.
        """
        idle = np.zeros((len(self) - len(actions), *actions.shape[1:]), actions.dtype)
        results = self.vector.step(np.concatenate([actions, idle]))
        frames, rewards, terminated, truncated = (part[: len(actions)] for part in results[:4])
        success = results[4].get("success")
        return StepResult(
            frames, rewards, terminated, truncated, None if success is None else success[: len(actions)].astype(bool)
        )

    def close(self) -> None:
        """End the processes."""
        self.vector.close()


def _frozen_at_end(make_env: MakeEnv, seed: int) -> gym.Env:
    return FreezeAtEnd(make_env(seed))


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


class Evaluation(NamedTuple):
    """What became of some episodes."""

    returns: list[float]  # true returns, the sums of the task's own rewards
    frames: np.ndarray  # (T, H, W, C) uint8, of the first episode
    successes: list[float] | None  # 1 where the task was done, else 0; None if its tasks do not say so


def evaluate(agent: Agent, envs: VectorEnv, seeds: Sequence[int]) -> Evaluation:
    """Run one deterministic episode per seed, E at a time."""
    returns: list[float] = []
    successes: list[float] = []
    video: list[np.ndarray] = []
    for begin in range(0, len(seeds), len(envs)):
        group = list(seeds[begin : begin + len(envs)])
        group_returns, frames, done = _evaluate_group(agent, envs, group)
        returns += group_returns
        successes += done
        video = video or frames
    return Evaluation(returns, np.stack(video), successes or None)


def _evaluate_group(
    agent: Agent, envs: VectorEnv, seeds: list[int]
) -> tuple[list[float], list[np.ndarray], list[float]]:
    """As `evaluate`, of up to E seeds side by side; no successes if the environments do not tell them."""
    policy = agent.policy(len(seeds))
    frames = np.stack([envs.reset(i, seed) for i, seed in enumerate(seeds)])
    for i, frame in enumerate(agent.preprocess(frames)):
        policy.start(i, frame, seeds[i])
    video = [frames[0].copy()]
    returns, running = np.zeros(len(seeds)), np.ones(len(seeds), bool)
    done, known = np.zeros(len(seeds), bool), False
    while running.any():
        result = envs.step(policy.act())
        returns += result.rewards
        if result.success is not None:
            done, known = done | (running & result.success), True
        if running[0]:
            video.append(result.frames[0].copy())
        running = ~result.over
        policy.push(agent.preprocess(result.frames))
    return returns.tolist(), video, done.astype(float).tolist() if known else []
