"""Log-likelihoods on a scale that an agent can learn from.

A frame's likelihood is a few to a few hundred nats below zero, and how far depends on the task. The paper leaves the
scale to Dreamer's return normalisation; DrQ has none, so its rewards are standardised here, by constants that are
fitted once on held-out expert and random videos and stored with the reward.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from viper_pipeline.configs import Config


class ScaleConfig(Config):
    """How a log-likelihood becomes a reward."""

    kind: Literal["range", "standard", "none"] = Field(
        "range",
        description="range: random videos' mean becomes 0, held-out experts' 1; standard: zero mean, unit deviation "
        "over both; none: nats as they are (paper Eq 7)",
    )
    low: float | None = Field(-1.0, description="floor of a scaled reward; null: none")
    high: float | None = Field(1.2, description="ceiling of a scaled reward; null: none")


class Scale(Config):
    """An affine map and its limits: reward = clip((nats - zero) / unit, low, high)."""

    zero: float
    unit: float = Field(gt=0)
    low: float | None
    high: float | None

    def __call__(self, nats: np.ndarray) -> np.ndarray:
        """nats of any shape -> rewards of that shape, float32."""
        scaled = (np.asarray(nats, np.float64) - self.zero) / self.unit
        if self.low is not None or self.high is not None:
            scaled = np.clip(scaled, self.low, self.high)
        return scaled.astype(np.float32)


def fit_scale(config: ScaleConfig, expert: np.ndarray, random: np.ndarray) -> Scale:
    """Fit to per-frame nats of held-out expert and of random videos.

    A model that finds random videos as likely as experts has no scale: the unit is then kept at one nat at least,
    and the rewards stay near zero.
    """
    expert, random = np.ravel(expert).astype(np.float64), np.ravel(random).astype(np.float64)
    if config.kind == "none":
        return Scale(zero=0.0, unit=1.0, low=config.low, high=config.high)
    if config.kind == "range":
        zero, unit = float(random.mean()), float(expert.mean() - random.mean())
    else:
        both = np.concatenate([expert, random])
        zero, unit = float(both.mean()), float(both.std())
    return Scale(zero=zero, unit=max(unit, 1.0), low=config.low, high=config.high)
