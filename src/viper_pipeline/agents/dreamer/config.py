"""Sizes and rates of Dreamer: those of the paper's Table 3, or those of its reference code (`preset`).

The two differ almost everywhere. A value that a block of params.yaml names counts before both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from viper_pipeline.agents.base import AgentConfig

REFERENCE = {
    "model_eps": 1e-8, "model_clip": 1000.0,
    "policy_rate": 3e-5, "policy_eps": 1e-5,
    "ensemble_rate": 1e-4, "kl_balance": 5 / 6, "gamma": 1 - 1 / 333, "slow_every": 1, "slow_step": 0.02,
    "ensemble_size": 8,
}  # fmt: skip
"""Values of the reference code that differ from the paper's Table 3."""


class DreamerConfig(AgentConfig):
    """Sizes and rates. Defaults: Table 3 for the control suite; where it is silent, the reference code."""

    preset: Literal["paper", "reference"] = Field(
        "paper", description="defaults of this block: the paper's Table 3, or the reference code's values"
    )
    pixels: int = Field(64, ge=8, description="side of the image the agent sees; 4 times a power of 2")
    blur: int = Field(
        0,
        ge=0,
        description="passes of a mean as wide as a pixel of that image, so that motion within a pixel shows; 0: none",
    )
    contrast: float = Field(
        0.0,
        ge=0,
        description="0: plain pixels; else pixels are this many times their difference from a background",
    )
    stack: int = Field(
        1, gt=0, description="last frames that the encoder sees and the decoder draws; speeds show in more than one"
    )
    depth: int = Field(
        32, gt=0, description="channels of the first convolution; each one that follows has twice as many"
    )
    deter: int = Field(512, gt=0, description="width of the recurrent state (Table 3: 512 for DMC, else 4096)")
    stoch: int = Field(32, gt=0, description="categorical variables per latent (Table 3)")
    classes: int = Field(32, gt=1, description="classes per variable (Table 3)")
    hidden: int = Field(512, gt=0, description="width of hidden layers (Table 3: 512 for DMC, else 1024)")
    layers: int = Field(2, gt=0, description="hidden layers per head (Table 3: 2 for DMC, else 4)")
    unimix: float = Field(0.01, ge=0, lt=1, description="share of the uniform distribution in every categorical")
    batch_size: int = Field(16, gt=0, description="sequences per update (Table 3)")
    batch_length: int = Field(64, gt=1, description="frames per sequence (Table 3)")
    model_rate: float = Field(1e-4, gt=0, description="learning rate of the world model (Table 3)")
    model_eps: float = Field(1e-6, gt=0, description="of its Adam (Table 3)")
    model_clip: float = Field(100.0, gt=0, description="largest norm of its gradient (Table 3)")
    policy_rate: float = Field(1e-4, gt=0, description="learning rate of actor and critics (Table 3)")
    policy_eps: float = Field(1e-6, gt=0, description="of their Adam (Table 3)")
    policy_clip: float = Field(100.0, gt=0, description="largest norm of their gradients (Table 3)")
    image_loss_scale: float = Field(
        1.0, gt=0, description="weight of the image loss, which grows with the number of pixels"
    )
    kl_scale: float = Field(0.6, gt=0, description="weight of the KL loss; the paper is silent")
    kl_balance: float = Field(0.667, ge=0, le=1, description="share of it that trains the prior (Table 3)")
    free_nats: float = Field(1.0, ge=0, description="KL below which nothing is trained, in nats")
    horizon: int = Field(15, gt=0, description="imagined steps (Table 3)")
    imagine_every: int = Field(
        1, gt=0, description="imagined sequences start from one in so many of a sequence's states; 1: from all"
    )
    gamma: float = Field(0.995, gt=0, lt=1, description="discount (Table 3)")
    lam: float = Field(0.95, ge=0, le=1, description="lambda of the returns (Table 3)")
    entropy: float = Field(3e-4, ge=0, description="weight of the policy's entropy")
    slow_every: int = Field(50, gt=0, description="updates between two steps of the target critic (Table 3)")
    slow_step: float = Field(1.0, gt=0, le=1, description="size of such a step towards the critic; 1 copies it")
    return_decay: float = Field(0.99, gt=0, lt=1, description="decay of the running percentiles of returns")
    ensemble_size: int = Field(10, gt=1, description="predictors in Plan2Explore's ensemble (Table 3)")
    ensemble_rate: float | None = Field(
        None, gt=0, description="learning rate of this ensemble; null: policy_rate (reference code: its own)"
    )
    explore_weight: float = Field(1.0, ge=0, description="beta: weight of their disagreement beside the reward")
    combine: Literal["advantages", "rewards"] = Field(
        "advantages",
        description="advantages: one critic and one return range per reward, beta weighs advantages (reference code); "
        "rewards: beta weighs the bonus itself, and one critic learns the sum (paper, Eq 6)",
    )

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, block: Any) -> Any:
        """Fill in the preset's values where the block names none."""
        if isinstance(block, Mapping) and block.get("preset") == "reference":
            return {**REFERENCE, **block}
        return block

    @model_validator(mode="after")
    def _halved(self) -> DreamerConfig:
        """The encoder halves the image down to 4 x 4."""
        if self.pixels % 4 or (self.pixels // 4).bit_count() != 1:
            raise ValueError(f"pixels: {self.pixels} is not 4 times a power of 2; take 16, 32 or 64")
        return self
