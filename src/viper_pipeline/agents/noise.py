"""Noise for exploration that hangs together in time: what is tried is tried for some steps, so bodies swing.

White noise hardly moves a body that has inertia (Eberhard et al. 2023 compare colours of noise on control tasks).
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr


class Noise:
    """A standard normal number for each action of each environment, correlated with the step before (AR(1))."""

    def __init__(self, envs: int, actions: int, correlation: float, rng: np.random.Generator) -> None:
        """correlation: of one step with the next; 0 is white noise."""
        self.correlation, self.rng = correlation, rng
        self.values = self.fresh((envs, actions))

    def fresh(self, shape: tuple[int, ...]) -> np.ndarray:
        """Independent normal numbers."""
        return self.rng.standard_normal(shape, np.float32)

    def restart(self) -> None:
        """All environments begin episodes."""
        self.values = self.fresh(self.values.shape)

    def step(self) -> np.ndarray:
        """The next numbers (E, A): of any one step normal with deviation 1, whatever the correlation."""
        white = self.fresh(self.values.shape)
        self.values = np.float32(self.correlation) * self.values + np.float32((1 - self.correlation**2) ** 0.5) * white
        return self.values

    def uniform(self) -> np.ndarray:
        """The next step as actions (E, A) uniform in [-1, 1]."""
        return (2 * ndtr(self.step()) - 1).astype(np.float32)
