"""A reward and an exploration bonus of a few lines, each a file, a line in a table and a block of params.yaml."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field

from viper_pipeline.core.config import Config
from viper_pipeline.rewards.base import BonusConfig, RewardMethod, StoredReward


class BrightnessConfig(Config):
    """What the reward reads in params.yaml."""

    scale: float = Field(1.0, description="reward of a white frame")


class Brightness(StoredReward):
    """The mean brightness of the next frame."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def step(self, frames: np.ndarray, true_rewards: np.ndarray) -> np.ndarray:
        return (self.scale * frames.mean((1, 2, 3)) / 255).astype(np.float32)


class BrightnessMethod(RewardMethod):
    """One line in REWARDS, one block `brightness` in a suite's parameters."""

    label = "brightness"
    color = "#F0E442"
    description = "rewarded for bright frames"
    seed_label = "brightness"
    Config = BrightnessConfig
    block = "brightness"

    def build(self, context, settings, inputs):
        source = Brightness(settings.scale)
        return lambda shape: source


class LastSeen:
    """A bonus for frames that differ from the mean of all frames so far; its state is that mean."""

    class Config(BonusConfig):
        """Read from `exploration`, where `kind: last_seen`."""

        momentum: float = Field(0.9, ge=0, le=1, description="of the running mean")

    def __init__(self, config: Config, frame_shape: tuple[int, int, int]) -> None:
        self.config, self.mean = config, np.zeros(frame_shape)

    def to(self, device: str) -> LastSeen:
        return self

    def bonus(self, frames: np.ndarray) -> np.ndarray:
        return (np.abs(frames - self.mean).mean((1, 2, 3)) / 255).astype(np.float32)

    def update(self, frames: np.ndarray) -> dict[str, torch.Tensor]:
        self.mean = self.config.momentum * self.mean + (1 - self.config.momentum) * frames.mean(0)
        return {}

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"mean": torch.from_numpy(self.mean)}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.mean = state["mean"].numpy()
