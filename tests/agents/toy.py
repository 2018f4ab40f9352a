"""A world of few pixels and no simulator: a bright square on a line, whose right end is home."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from viper_pipeline.rewards.base import StoredReward

SIZE = 16


class Toy(gym.Env):
    """An action moves the square a little; the true reward is its place from 0 (left) to 1 (right)."""

    def __init__(self, seed: int, length: int = 12, ends_at: float | None = None) -> None:
        """length: steps until the episode is cut; ends_at: it terminates when the place is beyond this."""
        self.observation_space = gym.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
        self.action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
        self.length, self.ends_at = length, ends_at
        self.made_with = seed

    def _frame(self) -> np.ndarray:
        frame = np.zeros((SIZE, SIZE, 3), np.uint8)
        at = int(self.place * (SIZE - 4))
        frame[6:10, at : at + 4] = 255
        return frame

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = float(self.np_random.uniform(0, 0.5)), 0
        return self._frame(), {}

    def step(self, action):
        self.place = float(np.clip(self.place + 0.15 * float(action[0]), 0, 1))
        self.steps += 1
        terminated = self.ends_at is not None and self.place > self.ends_at
        return self._frame(), self.place, terminated, self.steps >= self.length, {}


class Brightness(StoredReward):
    """A reward: light in the right half of the next frame; logs all it is given."""

    def __init__(self, frame_shape=None) -> None:
        self.log: list[tuple] = []

    def start(self, frames):
        self.log.append(("start", frames.copy()))

    def restart(self, i, frame):
        self.log.append(("restart", i, frame.copy()))

    def step(self, frames, true_rewards):
        self.log.append(("step", frames.copy()))
        return brightness(frames)


def brightness(frames) -> np.ndarray:
    return (frames[:, :, SIZE // 2 :].mean(axis=(1, 2, 3)) / 32).astype(np.float32)
