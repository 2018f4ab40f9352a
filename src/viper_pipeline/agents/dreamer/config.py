"""Sizes and rates of Dreamer: Table 3 of the paper, or its reference code, which differs almost everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from viper_pipeline.agents.base import RunConfig
from viper_pipeline.core.config import Config

REFERENCE = {
    "model_eps": 1e-8, "model_clip": 1000.0,
    "policy_rate": 3e-5, "policy_eps": 1e-5,
    "kl_balance": 5 / 6, "gamma": 1 - 1 / 333, "slow_every": 1, "slow_step": 0.02, "members": 8,
}  # fmt: skip
"""What the reference code sets otherwise than the paper's Table 3."""


class DreamerConfig(Config):
    """Sizes and rates. Defaults: Table 3 for the control suite; where it is silent, the reference code."""

    preset: Literal["paper", "reference"] = Field(
        "paper", description="whose values stand where this block names none: Table 3's, or the reference code's"
    )
    pixels: int = Field(64, ge=8, description="side of the picture the agent sees; 4 times a power of 2")
    depth: int = Field(32, gt=0, description="channels of the first convolution, doubled with each that follows")
    deter: int = Field(512, gt=0, description="width of the recurrent state (Table 3: 512 for DMC, else 4096)")
    stoch: int = Field(32, gt=0, description="categorical variables of a latent (Table 3)")
    classes: int = Field(32, gt=1, description="classes of each (Table 3)")
    units: int = Field(512, gt=0, description="width of all hidden layers (Table 3: 512 for DMC, else 1024)")
    layers: int = Field(2, gt=0, description="hidden layers of each head (Table 3: 2 for DMC, else 4)")
    unimix: float = Field(0.01, ge=0, lt=1, description="share of every categorical that is uniform")
    batch_size: int = Field(16, gt=0, description="sequences an update (Table 3)")
    batch_length: int = Field(64, gt=1, description="frames a sequence (Table 3)")
    model_rate: float = Field(1e-4, gt=0, description="learning rate of the world model (Table 3)")
    model_eps: float = Field(1e-6, gt=0, description="of its Adam (Table 3)")
    model_clip: float = Field(100.0, gt=0, description="largest norm of its gradient (Table 3)")
    policy_rate: float = Field(1e-4, gt=0, description="learning rate of actor and critics (Table 3)")
    policy_eps: float = Field(1e-6, gt=0, description="of their Adam (Table 3)")
    policy_clip: float = Field(100.0, gt=0, description="largest norm of their gradients (Table 3)")
    picture_scale: float = Field(1.0, gt=0, description="weight of the picture loss, which grows with the pixels")
    kl_scale: float = Field(0.6, gt=0, description="weight of the KL loss; the paper is silent")
    kl_balance: float = Field(0.667, ge=0, le=1, description="share of it that teaches the prior (Table 3)")
    free_nats: float = Field(1.0, ge=0, description="KL that costs nothing")
    horizon: int = Field(15, gt=0, description="imagined steps (Table 3)")
    gamma: float = Field(0.995, gt=0, lt=1, description="discount (Table 3)")
    mix: float = Field(0.95, ge=0, le=1, description="lambda of the returns (Table 3)")
    entropy: float = Field(3e-4, ge=0, description="weight of the policy's entropy")
    slow_every: int = Field(50, gt=0, description="updates between two steps of the slow critic (Table 3)")
    slow_step: float = Field(1.0, gt=0, le=1, description="share of the way to the critic it then goes")
    return_decay: float = Field(0.99, gt=0, lt=1, description="of the running percentiles of returns")
    members: int = Field(10, gt=1, description="predictors of Plan2Explore's ensemble (Table 3)")
    explore_weight: float = Field(1.0, ge=0, description="beta: what their disagreement counts beside the reward")
    runs: RunConfig | None = Field(None, description="instead of the suite's `runs`, whose updates a step suit DrQ")
    combine: Literal["advantages", "rewards"] = Field(
        "advantages",
        description="advantages: a critic and a range for each reward, beta weighs what is left (reference code); "
        "rewards: beta weighs the bonus itself, and one critic judges the sum (paper, Eq 6)",
    )

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, block: Any) -> Any:
        """Fill what the block does not name."""
        if isinstance(block, Mapping) and block.get("preset") == "reference":
            return {**REFERENCE, **block}
        return block

    @model_validator(mode="after")
    def _halved(self) -> DreamerConfig:
        """The encoder halves the picture down to 4 x 4."""
        if self.pixels % 4 or (self.pixels // 4).bit_count() != 1:
            raise ValueError(f"pixels: {self.pixels} is not 4 times a power of 2; take 16, 32 or 64")
        return self
