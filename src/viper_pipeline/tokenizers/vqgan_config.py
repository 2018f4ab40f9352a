"""Settings of the VQ-GAN: sizes, losses and training (paper Table 1)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from viper_pipeline.configs import Config
from viper_pipeline.tokenizers.discriminator import DiscriminatorConfig
from viper_pipeline.tokenizers.perceptual import PerceptualConfig
from viper_pipeline.tokenizers.quantiser import QuantiserConfig
from viper_pipeline.training.loop import LoopConfig


class VQGANConfig(Config):
    """Sizes (defaults: the paper's for DMC, Table 1), losses and training of the tokenizer."""

    architecture: Literal["paper", "light"] = Field(
        "paper", description="light: for a CPU; all strided, no attention, nothing at full resolution"
    )
    channels: int = Field(128, gt=0, description="base width")
    multipliers: tuple[int, ...] = Field(
        (1, 1, 2, 2),
        min_length=1,
        description="width of each level over the base: 1 1 2 2 DMC, 1 2 2 Atari and RLBench (Table 1). "
        "Frames of S pixels have S / 2^(levels - 1) codes a side; `light` halves at the last level too",
    )
    blocks: int = Field(
        1, ge=0, description="residual blocks a level: 1, RLBench 2 (Table 1); `light`: at the codes only"
    )
    latent: int = Field(64, gt=0, description="channels before the projection to the codebook (z_channels)")
    quantiser: QuantiserConfig = QuantiserConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    perceptual: PerceptualConfig = PerceptualConfig()
    foreground_weight: float = Field(
        0.0,
        ge=0,
        description="pixels unlike their task's median background weigh 1 + this; 0: all alike (paper)",
    )
    foreground_mean: Literal["batch", "frame"] = Field(
        "batch",
        description="what the weighted error is a mean of. batch: of all pixels, so that tasks in which everything "
        "moves leave others little; frame: of the pixels of each frame, then of the frames",
    )
    baseline_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of a batch that shows random and idle behaviour instead of experts (paper 0): a "
        "tokenizer that has seen experts only may decode a strange frame as a familiar one",
    )
    training: LoopConfig

    @model_validator(mode="after")
    def _averaged_once(self) -> VQGANConfig:
        if self.quantiser.kind == "ema" and self.training.ema:
            raise ValueError("quantiser kind ema fits the raw encoder, not its average: set training.ema to null")
        if self.quantiser.kind == "ema" and self.training.accumulate > 1:
            raise ValueError("quantiser kind ema moves with every forward pass: set training.accumulate to 1")
        return self

    @property
    def factor(self) -> int:
        """Pixels a code, in height and in width."""
        return 2 ** (len(self.multipliers) - (self.architecture == "paper"))
