"""The last frames of several environments: all that an agent like DrQ remembers of an episode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


class Stacks:
    """See `Player`. The first frame of an episode is repeated."""

    def __init__(
        self,
        envs: int,
        stack: int,
        frame_shape: tuple[int, ...],
        choose: Callable[[np.ndarray, np.ndarray | None], np.ndarray],
    ) -> None:
        """choose: stacks (E, stack, *frame_shape), oldest frame first, and noise (E, A) or none -> actions (E, A)."""
        self.frames = np.zeros((envs, stack, *frame_shape), np.uint8)
        self.choose = choose

    def start(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` begins an episode with `frame`."""
        self.frames[i] = frame

    def push(self, frames: np.ndarray) -> None:
        """Every environment arrived at a frame."""
        self.frames[:, :-1] = self.frames[:, 1:]
        self.frames[:, -1] = frames

    def act(self, noise: np.ndarray | None = None) -> np.ndarray:
        """-> actions (E, A)."""
        return self.choose(self.frames, noise)
