"""Environments that step together, and episodes of evaluation in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from viper_pipeline.agents.base import Agent
from viper_pipeline.training.checkpoints import derive

MakeEnv = Callable[[int], gym.Env]


@dataclass(frozen=True)
class Arrivals:
    """What E environments answered to one action each."""

    frames: np.ndarray  # (E, H, W, C) uint8
    rewards: np.ndarray  # (E,) float64, the true ones
    terminated: np.ndarray  # (E,) bool: the episode is over for good
    truncated: np.ndarray  # (E,) bool: it was cut


class Resting(gym.Wrapper):
    """An environment that stays as it ended, without reward, until it is reset."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        nothing = np.zeros(env.observation_space.shape or (), np.uint8)
        self.ended: tuple[np.ndarray, bool, bool] | None = (nothing, False, True)

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self.ended = None
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One step, if the episode is not over."""
        if self.ended:
            frame, terminated, truncated = self.ended
            return frame, 0.0, terminated, truncated, {}
        frame, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            self.ended = (frame, terminated, truncated)
        return frame, reward, terminated, truncated, info


class Environments:
    """E environments of one kind, stepped in turn. An episode follows from its seed and actions alone."""

    def __init__(self, make_env: MakeEnv, count: int, seed: int) -> None:
        self.all: list[Resting] = []
        try:
            for i in range(count):
                self.all.append(Resting(make_env(derive(seed, "env", i))))
        except BaseException:
            self.close()
            raise
        self._measure(self.all[0].action_space, self.all[0].observation_space)

    def _measure(self, actions: gym.Space, frames: gym.Space) -> None:
        if not isinstance(actions, gym.spaces.Box):
            raise TypeError(f"actions must be a Box within [-1, 1], not {actions}")
        self.actions = int(np.prod(actions.shape))
        height, width, colours = frames.shape or ()
        self.frame_shape = (height, width, colours)

    def __len__(self) -> int:
        return len(self.all)

    def reset(self, i: int, seed: int) -> np.ndarray:
        """Begin an episode in environment `i` -> its first frame (H, W, C)."""
        return self.all[i].reset(seed=seed)[0]

    def step(self, actions: np.ndarray) -> Arrivals:
        """actions (n, A) for the first n environments. An episode that is over stays as it ended, without reward."""
        answers: list[Any] = [env.step(action) for env, action in zip(self.all[: len(actions)], actions, strict=True)]
        frames, rewards, terminated, truncated, _ = zip(*answers, strict=True)
        return Arrivals(np.stack(frames), np.array(rewards), np.array(terminated), np.array(truncated))

    def close(self) -> None:
        """Free the simulators."""
        for env in self.all:
            env.close()


def pressed(preferences: np.ndarray) -> np.ndarray:
    """preferences (E, A) -> buttons (E, A): 1 for the greatest of each row, -1 for the others."""
    buttons = np.full_like(preferences, -1)
    np.put_along_axis(buttons, preferences.argmax(1)[:, None], 1, 1)
    return buttons


def evaluate(agent: Agent, envs: Environments, seeds: Sequence[int]) -> tuple[list[float], np.ndarray]:
    """One deterministic episode a seed -> their true returns, and the first one's frames (T, H, W, C)."""
    returns: list[float] = []
    film: list[np.ndarray] = []
    for begin in range(0, len(seeds), len(envs)):
        group = list(seeds[begin : begin + len(envs)])
        totals = episode_returns(agent, envs, group, film if begin == 0 else [])
        returns += totals
    return returns, np.stack(film)


def episode_returns(agent: Agent, envs: Environments, seeds: list[int], film: list[np.ndarray]) -> list[float]:
    """One episode of each of up to E seeds, side by side; appends the first one's frames to `film`."""
    player = agent.player(len(seeds))
    frames = np.stack([envs.reset(i, seed) for i, seed in enumerate(seeds)])
    for i, frame in enumerate(agent.see(frames)):
        player.start(i, frame)
    film.append(frames[0].copy())
    totals, running = np.zeros(len(seeds)), np.ones(len(seeds), bool)
    while running.any():
        arrivals = envs.step(player.act())
        totals += arrivals.rewards
        if running[0]:
            film.append(arrivals.frames[0].copy())
        running = ~(arrivals.terminated | arrivals.truncated)
        player.push(agent.see(arrivals.frames))
    return totals.tolist()


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
