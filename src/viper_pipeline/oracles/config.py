"""How an oracle is trained: one recipe per task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from viper_pipeline.configs import Config


class OracleConfig(Config):
    """An RL agent on true state and true reward."""

    algorithm: Literal["sac", "ppo"] = Field("sac", description="SAC needs fewer steps, PPO's steps are far cheaper")
    steps: int = Field(gt=0, description="agent steps at most, over all environments")
    environments: int = Field(1, gt=0, description="environments stepped side by side in one process")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's step size")
    batch_size: int = Field(128, gt=0, description="transitions an update")
    net_arch: tuple[int, ...] = Field((128, 128), min_length=1, description="hidden units of actor and critics")
    gamma: float = Field(0.99, gt=0, lt=1, description="discount per agent step")
    tau: float = Field(0.01, gt=0, le=1, description="SAC: share of the critics that target critics take over")
    learning_starts: int = Field(1000, ge=0, description="SAC: uniformly random steps before the first update")
    train_freq: int = Field(1, gt=0, description="SAC: steps of each environment between rounds of updates")
    gradient_steps: int = Field(1, gt=0, description="SAC: updates a round")
    buffer_size: int = Field(1_000_000, gt=0, description="SAC: transitions kept")
    rollout_steps: int = Field(512, gt=1, description="PPO: steps of each environment between rounds of updates")
    epochs: int = Field(10, gt=0, description="PPO: passes over a rollout")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="PPO: advantage estimation")
    entropy_bonus: float = Field(0.0, ge=0, description="PPO: weight of the policy's entropy")
    eval_every: int = Field(2500, gt=0, description="agent steps between evaluations; also between checkpoints")
    eval_episodes: int = Field(5, gt=0, description="fresh episodes of the deterministic policy per evaluation")
    stop_return: float | None = Field(None, description="stop once an evaluation's mean reaches this; null: never")
    stop_in_a_row: int = Field(1, gt=0, description="evaluations in a row that must reach stop_return")
    keep: Literal["best", "last"] = Field("best", description="which evaluated actor becomes the oracle")

    @model_validator(mode="after")
    def _possible(self) -> OracleConfig:
        if self.algorithm == "sac" and self.learning_starts >= self.steps:
            raise ValueError(f"learning_starts {self.learning_starts} leaves none of {self.steps} steps for learning")
        return self
