"""Log-likelihoods on a scale that an agent can learn from.

A frame's likelihood is a few to a few hundred nats below zero, and how far depends on the task. The paper leaves the
scale to Dreamer's return normalisation; DrQ has none, so its rewards are standardised here, by constants that are
fitted once on held-out expert videos and on the floors' (random and idle behaviour), and stored with the reward.
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
        description="range: the mean of the better floor, random or idle, becomes 0 and that of held-out experts 1; "
        "standard: zero mean, unit deviation over all; none: nats as they are (paper Eq 7)",
    )
    slope_below: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the slope that is left below 0. Small: to move on from what the floors do costs little, "
        "yet the way back shows; 1: a straight line (paper)",
    )
    low: float | None = Field(-1.0, description="floor of a scaled reward; null: none")
    high: float | None = Field(1.2, description="ceiling of a scaled reward; null: none")


class Scale(Config):
    """reward = clip(bend((nats - zero) / unit), low, high), where bend(x) = x above 0, slope_below x below."""

    zero: float
    unit: float = Field(gt=0)
    slope_below: float = 1.0
    low: float | None
    high: float | None

    def __call__(self, nats: np.ndarray) -> np.ndarray:
        """nats of any shape -> rewards of that shape, float32."""
        scaled = (np.asarray(nats, np.float64) - self.zero) / self.unit
        scaled = np.where(scaled < 0, self.slope_below * scaled, scaled)
        if self.low is not None or self.high is not None:
            scaled = np.clip(scaled, self.low, self.high)
        return scaled.astype(np.float32)


def fit_scale(config: ScaleConfig, expert: np.ndarray, *floors: np.ndarray) -> Scale:
    """Fit to per-frame nats of held-out expert videos, and of the floors: random behaviour, idle behaviour.

    A model that finds a floor as likely as experts has no scale: the unit is then kept at one nat at least, and the
    rewards stay near zero.
    """
    expert = np.ravel(expert).astype(np.float64)
    shape = {"slope_below": config.slope_below, "low": config.low, "high": config.high}
    below = [np.ravel(floor).astype(np.float64) for floor in floors]
    if config.kind == "none":
        return Scale(zero=0.0, unit=1.0, **shape)
    if config.kind == "range":
        zero = max(float(floor.mean()) for floor in below)
        unit = float(expert.mean()) - zero
    else:
        everything = np.concatenate([expert, *below])
        zero, unit = float(everything.mean()), float(everything.std())
    return Scale(zero=zero, unit=max(unit, 1.0), **shape)
