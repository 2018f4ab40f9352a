"""Sequences drawn from the replay: runs of rows of one environment, where episodes may end and begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from viper_pipeline.agents.replay import Replay


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
