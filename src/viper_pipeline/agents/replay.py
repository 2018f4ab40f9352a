"""Experience, one frame stored once; stacks and n-step returns are made when it is sampled.

Each environment has its own ring of rows. A row holds a frame, and the action, reward and end that led to it:
row j is (x_t, a_{t-1}, r_{t-1}), so the transition (x_t, a_t, r_t, x_{t+1}) is read from rows j and j + 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Transitions:
    """B transitions of up to n steps: reward is the discounted sum, discount what the next value counts."""

    obs: np.ndarray  # (B, stack, *frame) uint8, oldest frame first, ends in x_t
    action: np.ndarray  # (B, A) a_t
    reward: np.ndarray  # (B,) r_t + gamma r_{t+1} + ...
    discount: np.ndarray  # (B,) gamma ** steps, 0 where the episode terminated
    next_obs: np.ndarray  # (B, stack, *frame) uint8, ends in x_{t+steps}
    arrived: np.ndarray  # (B, *frame) uint8, x_{t+1}: the frame that r_t pays for
    weights: np.ndarray  # (B, n) what each reward counts: gamma ** j, 0 after the end
    windows: np.ndarray  # (B, n, window, *frame) uint8: frames up to each of x_{t+1}, x_{t+2}, ...

    def with_reward(self, reward: np.ndarray) -> Transitions:
        """The same transitions, paid otherwise."""
        return replace(self, reward=reward)

    def repaid(self, pay: Callable[[np.ndarray], np.ndarray]) -> Transitions:
        """The same transitions, each step paid by its window: pay takes (N, window, *frame), gives (N,)."""
        rewards = pay(self.windows.reshape(-1, *self.windows.shape[2:])).reshape(self.weights.shape)
        return self.with_reward((self.weights * rewards).sum(1))


class Replay:
    """The newest `capacity` frames of E environments; whole stacks never reach across an episode's start."""

    def __init__(self, envs: int, capacity: int, frame_shape: tuple[int, int, int], actions: int) -> None:
        """capacity: frames over all environments."""
        rows = max(capacity // envs, 2)
        self.envs, self.rows = envs, rows
        self.frames = np.zeros((envs, rows, *frame_shape), np.uint8)
        self.actions = np.zeros((envs, rows, actions), np.float32)
        self.rewards = np.zeros((envs, rows), np.float32)
        self.terminal = np.zeros((envs, rows), bool)
        self.begin = np.zeros((envs, rows), np.int64)  # number of the row that the episode begins with
        self.count = np.zeros(envs, np.int64)  # rows ever written; row j lies at j % rows

    def __len__(self) -> int:
        """Frames held."""
        return int(np.minimum(self.count, self.rows).sum())

    def start(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` begins an episode."""
        self._write(i, frame, 0.0, 0.0, False, int(self.count[i]))

    def add(self, i: int, action: np.ndarray, reward: float, frame: np.ndarray, terminal: bool) -> None:
        """Environment `i` did `action`, was paid `reward` and arrived at `frame` (a true end?)."""
        begin = int(self.begin[i, (self.count[i] - 1) % self.rows])
        self._write(i, frame, action, reward, terminal, begin)

    def _write(self, i: int, frame: Any, action: Any, reward: float, terminal: bool, begin: int) -> None:
        at = self.count[i] % self.rows
        self.frames[i, at], self.actions[i, at], self.rewards[i, at] = frame, action, reward
        self.terminal[i, at], self.begin[i, at] = terminal, begin
        self.count[i] += 1

    def used(self) -> np.ndarray:
        """A view of the frames written, (E, rows, *frame); an environment with fewer has black ones."""
        return self.frames[:, : int(np.minimum(self.count, self.rows).max())]

    def _draw(self, rng: np.random.Generator, size: int, stack: int) -> tuple[np.ndarray, np.ndarray]:
        """`size` (environment, row number) pairs that begin a transition whose stack is still held whole."""
        envs, rows = np.zeros(0, np.int64), np.zeros(0, np.int64)
        while len(rows) < size:
            env = rng.integers(self.envs, size=2 * size)
            oldest = np.maximum(self.count[env] - self.rows, 0)
            row = oldest + (rng.random(2 * size) * (self.count[env] - 1 - oldest)).astype(np.int64)
            begin = self.begin[env, row % self.rows]
            whole = (row - stack + 1 >= oldest) | (begin >= oldest)
            goes_on = self.begin[env, (row + 1) % self.rows] == begin
            good = whole & goes_on
            envs, rows = np.concatenate([envs, env[good]]), np.concatenate([rows, row[good]])
        return envs[:size], rows[:size]

    def _stacked(self, env: np.ndarray, row: np.ndarray, stack: int) -> np.ndarray:
        begin = self.begin[env, row % self.rows]
        wanted = np.maximum(row[:, None] + np.arange(1 - stack, 1), begin[:, None])
        return self.frames[env[:, None], wanted % self.rows]

    def _windows(self, env: np.ndarray, row: np.ndarray, last: np.ndarray, n_step: int, window: int) -> np.ndarray:
        ends = [np.minimum(row + step, last) for step in range(1, n_step + 1)] if window else []
        if not ends:
            return np.zeros((len(env), n_step, 0, *self.frames.shape[2:]), np.uint8)
        return np.stack([self._stacked(env, end, window) for end in ends], 1)

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
        """Draw transitions uniformly. A return is cut short at the episode's end, or at the newest frame.

        Stacks and windows never reach back across an episode's start: its first frame is repeated.
        """
        env, row = self._draw(rng, size, stack)
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
        return Transitions(
            obs=self._stacked(env, row, stack),
            action=self.actions[env, (row + 1) % self.rows],
            reward=reward,
            discount=discount,
            next_obs=self._stacked(env, last, stack),
            arrived=self.frames[env, (row + 1) % self.rows],
            weights=weights,
            windows=self._windows(env, row, last, n_step, window),
        )

    _ARRAYS = ("frames", "actions", "rewards", "terminal", "begin")

    def state_dict(self) -> dict[str, Any]:
        """The rows in use, as tensors."""
        used = self.used().shape[1]
        arrays = {name: torch.from_numpy(getattr(self, name)[:, :used].copy()) for name in self._ARRAYS}
        return {"count": torch.from_numpy(self.count.copy()), **arrays}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the place of the replay that `state` came from (of the same shape)."""
        self.count[:] = state["count"].numpy()
        for name in self._ARRAYS:
            value = state[name].numpy()
            getattr(self, name)[:, : value.shape[1]] = value


def rng_state(rng: np.random.Generator) -> str:
    """A NumPy generator's state as text (it holds integers of 128 bits)."""
    return json.dumps(rng.bit_generator.state)


def restore_rng(rng: np.random.Generator, state: str) -> None:
    """Undo everything drawn since `rng_state`."""
    rng.bit_generator.state = json.loads(state)


@dataclass(frozen=True)
class Sequences:
    """B sequences of T rows, time first: a row is a frame and what led to it."""

    frames: np.ndarray  # (T, B, *frame) uint8
    actions: np.ndarray  # (T, B, A), 0 where an episode begins
    reward: np.ndarray  # (T B,), 0 where an episode begins
    terminal: np.ndarray  # (T, B) bool: nothing follows for good
    first: np.ndarray  # (T, B) bool: an episode begins
    windows: np.ndarray  # (T B, 1, window, *frame) uint8: frames up to each; see `Batch`

    @property
    def arrived(self) -> np.ndarray:
        """The frames (T B, *frame) that rewards pay for."""
        return self.frames.reshape(-1, *self.frames.shape[2:])

    def with_reward(self, reward: np.ndarray) -> Sequences:
        """The same sequences, paid otherwise; nobody is paid for beginning."""
        return replace(self, reward=np.where(self.first.ravel(), 0, reward).astype(np.float32))

    def repaid(self, pay: Callable[[np.ndarray], np.ndarray]) -> Sequences:
        """The same sequences, each row paid by its window."""
        return self.with_reward(pay(self.windows[:, 0]))


def draw(replay: Replay, rng: np.random.Generator, size: int, length: int, window: int = 0) -> Sequences:
    """`size` sequences of `length` rows (of all there are, if there are fewer), uniformly over their first rows.

    A row whose episode began earlier than the sequence is not marked: the state then starts in mid-episode.
    window: frames up to each row that `Sequences.windows` holds; an episode's first frame is repeated.
    """
    held = np.minimum(replay.count, replay.rows)
    length = int(min(length, held.min()))
    starts = held - length + 1
    which = rng.integers(starts.sum(), size=size)  # each start of each environment alike
    env = np.searchsorted(np.cumsum(starts), which, side="right")
    begin = which - (np.cumsum(starts) - starts)[env] + (replay.count - held)[env]
    row = begin + np.arange(length)[:, None]
    at = (env, row % replay.rows)
    episode = replay.begin[at]
    back = np.arange(1 - window, 1)
    oldest = np.maximum(episode, (replay.count - held)[env])
    reach = np.maximum(row[..., None] + back, oldest[..., None]).reshape(row.size, 1, window)
    owner = np.broadcast_to(env, row.shape).reshape(-1, 1, 1)
    return Sequences(
        frames=replay.frames[at],
        actions=replay.actions[at],
        reward=replay.rewards[at].ravel(),
        terminal=replay.terminal[at],
        first=episode == row,
        windows=replay.frames[owner, reach % replay.rows],
    )
