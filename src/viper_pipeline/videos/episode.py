"""One recorded rollout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Episode:
    """A video with its true rewards.

    frames: uint8 (T, H, W, C), or int16 codes (T, h, w).
    rewards: float32 (T,); rewards[t] was paid on arriving at frame t, rewards[0] is 0; all NaN where nobody knows.
    """

    frames: np.ndarray
    rewards: np.ndarray
    seed: int = 0
    kind: str = "expert"

    @property
    def ret(self) -> float:
        """The true return: the sum of the rewards, NaN if unknown."""
        return float(np.sum(self.rewards, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.frames)


def unknown_rewards(length: int) -> np.ndarray:
    """Rewards of a video that came without any, (T,)."""
    return np.full(length, np.nan, np.float32)
