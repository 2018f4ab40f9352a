"""Replay buffer: every frame is stored once; stacks, n-step returns and sequences are built when they are sampled.

Each environment has its own ring of rows. Row j holds a frame and what led to it, (x_j, a_{j-1}, r_{j-1}), so the
transition (x_t, a_t, r_t, x_{t+1}) is read from rows t and t + 1. Rows are numbered from the first one ever written.
DrQ samples `Transitions`, Dreamer `Sequences`; both can carry windows of frames, for rewards that are computed from
short videos when a batch is sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

RewardFn = Callable[[np.ndarray], np.ndarray]
"""Windows (N, window, *frame) uint8 -> rewards (N,) float32."""


@dataclass(frozen=True)
class Transitions:
    """B transitions of up to n steps: n-step rewards, and the discount of the value that follows them."""

    obs: np.ndarray  # (B, stack, *frame) uint8, oldest frame first, ends in x_t
    action: np.ndarray  # (B, A) a_t
    reward: np.ndarray  # (B,) r_t + gamma r_{t+1} + ...
    discount: np.ndarray  # (B,) gamma ** steps, 0 where the episode terminated
    next_obs: np.ndarray  # (B, stack, *frame) uint8, ends in x_{t+steps}
    weights: np.ndarray  # (B, n) factor of each step's reward in `reward`: gamma ** j, 0 after the episode's end
    windows: np.ndarray  # (B, n, window, *frame) uint8: the last frames up to each of x_{t+1}, x_{t+2}, ...
    places: np.ndarray  # (B, n) int64: where each of x_{t+1}, x_{t+2}, ... is in the replay

    def with_reward(self, reward: np.ndarray) -> Self:
        """Copy with new rewards (B,)."""
        return replace(self, reward=reward)

    def relabel(self, reward_fn: RewardFn) -> Self:
        """Copy with the n-step rewards of `reward_fn`, which is given the window of every step."""
        rewards = reward_fn(self.windows.reshape(-1, *self.windows.shape[2:])).reshape(self.weights.shape)
        return self.with_reward((self.weights * rewards).sum(1))

    def add_rewards(self, rewards: np.ndarray) -> Self:
        """Copy with these rewards (B, n) of every step added."""
        return self.with_reward(self.reward + (self.weights * rewards).sum(1))


@dataclass(frozen=True)
class Sequences:
    """B sequences of T rows, time first: a row is a frame and what led to it."""

    frames: np.ndarray  # (T, B, stack C, h, w) uint8: the last frames up to each row, the oldest one's colors first
    actions: np.ndarray  # (T, B, A), 0 on episode-start rows
    reward: np.ndarray  # (T B,), 0 on episode-start rows
    is_terminal: np.ndarray  # (T, B) bool: the episode terminated here
    is_first: np.ndarray  # (T, B) bool: the episode starts here
    windows: np.ndarray  # (T B, 1, window, *frame) uint8: the last frames up to each row
    places: np.ndarray  # (T B, 1) int64: where each row is in the replay

    def with_reward(self, reward: np.ndarray) -> Self:
        """Copy with new rewards (T B,); reward is 0 on episode-start rows."""
        return replace(self, reward=np.where(self.is_first.ravel(), 0, reward).astype(np.float32))

    def relabel(self, reward_fn: RewardFn) -> Self:
        """Copy with the rewards of `reward_fn`, which is given the window of every row."""
        return self.with_reward(reward_fn(self.windows[:, 0]))

    def add_rewards(self, rewards: np.ndarray) -> Self:
        """Copy with these rewards (T B, 1) added; reward stays 0 on episode-start rows."""
        return self.with_reward(self.reward + rewards[:, 0])


def stacked(frames: np.ndarray) -> np.ndarray:
    """Stacks of images (..., stack, C, h, w) -> images (..., stack C, h, w)."""
    return frames.reshape(*frames.shape[:-4], -1, *frames.shape[-2:])


class Replay:
    """The newest `capacity` frames of E environments, and the actions, rewards and ends that led to them.

    What is sampled never crosses the start of an episode: stacks and windows repeat its first frame instead.
    """

    def __init__(self, envs: int, capacity: int, frame_shape: tuple[int, int, int], actions: int) -> None:
        """capacity: frames over all environments; actions: dimensions of an action."""
        rows = max(capacity // envs, 2)
        self.envs, self.rows = envs, rows
        self.frames = np.zeros((envs, rows, *frame_shape), np.uint8)
        self.actions = np.zeros((envs, rows, actions), np.float32)
        self.rewards = np.zeros((envs, rows), np.float32)
        self.terminal = np.zeros((envs, rows), bool)
        self.begin = np.zeros((envs, rows), np.int64)  # number of the first row of the same episode
        self.bonus = np.full((envs, rows), np.nan, np.float32)  # of an exploration bonus; NaN: not computed yet
        self.count = np.zeros(envs, np.int64)  # rows ever written; row j is stored at j % rows

    def __len__(self) -> int:
        """Frames held."""
        return int(np.minimum(self.count, self.rows).sum())

    def start(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` starts an episode with `frame`."""
        self._write(i, frame, 0.0, 0.0, False, int(self.count[i]))

    def add(self, i: int, action: np.ndarray, reward: float, frame: np.ndarray, terminal: bool) -> None:
        """Environment `i` took `action`, received `reward` and reached `frame`; terminal: the episode terminated."""
        begin = int(self.begin[i, (self.count[i] - 1) % self.rows])
        self._write(i, frame, action, reward, terminal, begin)

    def _write(
        self, i: int, frame: np.ndarray, action: np.ndarray | float, reward: float, terminal: bool, begin: int
    ) -> None:
        at = self.count[i] % self.rows
        self.frames[i, at], self.actions[i, at], self.rewards[i, at] = frame, action, reward
        self.terminal[i, at], self.begin[i, at], self.bonus[i, at] = terminal, begin, np.nan
        self.count[i] += 1

    def used(self) -> np.ndarray:
        """A view of the frames written, (E, rows, *frame); an environment with fewer rows has black ones."""
        return self.frames[:, : int(np.minimum(self.count, self.rows).max())]

    def sample(
        self,
        rng: np.random.Generator,
        size: int,
        *,
        stack: int = 1,
        n_step: int = 1,
        gamma: float = 0.99,
        window: int = 0,
    ) -> Transitions:
        """Sample `size` transitions uniformly. A return is cut short at the episode's end, or at the newest frame.

        window: frames per window in `Transitions.windows`; 0: none are read.
        """
        env, row = self._sample_rows(rng, size, stack)
        begin = self.begin[env, row % self.rows]
        reward, discount = np.zeros(size, np.float32), np.ones(size, np.float32)
        weights = np.zeros((size, n_step), np.float32)
        last, running = row.copy(), np.ones(size, bool)
        for step in range(1, n_step + 1):
            at = (row + step) % self.rows
            running &= (row + step < self.count[env]) & (self.begin[env, at] == begin)
            weights[:, step - 1] = np.where(running, discount, 0)
            reward += np.where(running, discount * self.rewards[env, at], 0)
            discount = np.where(running, discount * gamma, discount).astype(np.float32)
            last += running
        discount[self.terminal[env, last % self.rows]] = 0
        ends = np.minimum(row[:, None] + np.arange(1, n_step + 1), last[:, None])
        return Transitions(
            obs=self._last_frames(env, row, stack),
            action=self.actions[env, (row + 1) % self.rows],
            reward=reward,
            discount=discount,
            next_obs=self._last_frames(env, last, stack),
            weights=weights,
            windows=self._last_frames(env[:, None], ends, window),
            places=self._places(env[:, None], ends),
        )

    def sample_sequences(
        self, rng: np.random.Generator, size: int, length: int, window: int = 0, *, stack: int = 1
    ) -> Sequences:
        """Sample `size` sequences of `length` rows (of all rows, if there are fewer), uniformly over their first rows.

        A sequence may start in the middle of an episode; its first row is then not marked `is_first`.
        stack: frames of a row, its own and those before; an episode's first frame is repeated.
        window: frames per window in `Sequences.windows`; 0: none are read.
        """
        held = np.minimum(self.count, self.rows)
        length = int(min(length, held.min()))
        starts = held - length + 1
        which = rng.integers(starts.sum(), size=size)  # over all starts of all environments
        env = np.searchsorted(np.cumsum(starts), which, side="right")
        first = which - (np.cumsum(starts) - starts)[env] + (self.count - held)[env]
        row = first + np.arange(length)[:, None]
        at = (env, row % self.rows)
        windows = self._last_frames(env, row, window)
        return Sequences(
            frames=stacked(self._last_frames(env, row, stack)) if stack > 1 else self.frames[at],
            actions=self.actions[at],
            reward=self.rewards[at].ravel(),
            is_terminal=self.terminal[at],
            is_first=self.begin[at] == row,
            windows=windows.reshape(row.size, 1, *windows.shape[2:]),
            places=self._places(env, row).reshape(-1, 1),
        )

    def frames_at(self, places: np.ndarray) -> np.ndarray:
        """The frames (*places.shape, *frame) at `places` of a batch."""
        return self.frames.reshape(-1, *self.frames.shape[2:])[places]

    def bonuses(self, places: np.ndarray, bonus_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Bonuses of the frames at `places`, of its shape.

        bonus_of: frames (N, *frame) -> bonuses (N,); called with those that are not computed yet.
        """
        stored = self.bonus.reshape(-1)  # a view
        missing = np.unique(places[np.isnan(stored[places])])
        if len(missing):
            stored[missing] = bonus_of(self.frames_at(missing))
        return stored[places]

    def forget_bonuses(self) -> None:
        """Let every bonus be computed again when it is asked for."""
        self.bonus.fill(np.nan)

    def _places(self, env: np.ndarray, row: np.ndarray) -> np.ndarray:
        return env * self.rows + row % self.rows

    def _sample_rows(self, rng: np.random.Generator, size: int, stack: int) -> tuple[np.ndarray, np.ndarray]:
        """`size` (environment, row number) pairs that start a transition and whose stack is still held whole."""
        envs, rows = np.zeros(0, np.int64), np.zeros(0, np.int64)
        while len(rows) < size:
            env = rng.integers(self.envs, size=2 * size)
            oldest = self._oldest(env)
            row = oldest + (rng.random(2 * size) * (self.count[env] - 1 - oldest)).astype(np.int64)
            begin = self.begin[env, row % self.rows]
            whole = (row - stack + 1 >= oldest) | (begin >= oldest)
            continues = self.begin[env, (row + 1) % self.rows] == begin
            good = whole & continues
            envs, rows = np.concatenate([envs, env[good]]), np.concatenate([rows, row[good]])
        return envs[:size], rows[:size]

    def _oldest(self, env: np.ndarray) -> np.ndarray:
        """The numbers of the oldest rows that these environments still hold."""
        return np.maximum(self.count[env] - self.rows, 0)

    def _last_frames(self, env: np.ndarray, row: np.ndarray, count: int) -> np.ndarray:
        """The last `count` frames up to each row, (*row.shape, count, *frame), none from before its episode.

        env: environments, of a shape that broadcasts to that of row.
        """
        earliest = np.maximum(self.begin[env, row % self.rows], self._oldest(env))
        wanted = np.maximum(row[..., None] + np.arange(1 - count, 1), earliest[..., None])
        return self.frames[env[..., None], wanted % self.rows]

    _ARRAYS = ("frames", "actions", "rewards", "terminal", "begin", "bonus")

    def state_dict(self) -> dict[str, Tensor]:
        """The rows in use, as tensors."""
        used = self.used().shape[1]
        arrays = {name: torch.from_numpy(getattr(self, name)[:, :used].copy()) for name in self._ARRAYS}
        return {"count": torch.from_numpy(self.count.copy()), **arrays}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the rows of a `state_dict` from a replay of the same shape."""
        self.count[:] = state["count"].numpy()
        for name in self._ARRAYS:
            value = state[name].numpy()
            getattr(self, name)[:, : value.shape[1]] = value
