"""Soft actor-critic on state and true reward: experts of tasks with continuous actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from pydantic import Field, model_validator
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from viper_pipeline.experts.fast_sac import FastSAC
from viper_pipeline.experts.policies import Policy, mlp_policy
from viper_pipeline.experts.sb3 import Learner, RLConfig, RLExpert, detached, linear_layers, named_tensors


class SACConfig(RLConfig):
    """SAC needs fewer steps than PPO; its steps cost more."""

    algorithm: Literal["sac"] = "sac"
    tau: float = Field(0.01, gt=0, le=1, description="share of the critics that target critics take over per update")
    learning_starts: int = Field(1000, ge=0, description="uniformly random steps before the first update")
    train_freq: int = Field(1, gt=0, description="steps of each environment between rounds of updates")
    gradient_steps: int = Field(1, gt=0, description="updates per round")
    buffer_size: int = Field(1_000_000, gt=0, description="transitions in the replay buffer")

    @model_validator(mode="after")
    def _possible(self) -> SACConfig:
        if self.learning_starts >= self.steps:
            raise ValueError(f"learning_starts {self.learning_starts} leaves none of {self.steps} steps for learning")
        return self


class SACLearner(Learner):
    """SAC with a replay buffer."""

    def build(self, common: dict[str, Any]) -> BaseAlgorithm:
        """FastSAC: SB3's SAC with gradients written out."""
        c = self.config
        return FastSAC(
            "MlpPolicy",
            self.env,
            buffer_size=max(1, min(c.buffer_size, c.steps + c.environments)),
            learning_starts=c.learning_starts,
            tau=c.tau,
            train_freq=c.train_freq,
            gradient_steps=c.gradient_steps,
            policy_kwargs={"net_arch": list(c.net_arch), "optimizer_kwargs": {"fused": True}},
            **common,
        )

    def own_state(self) -> dict[str, Any]:
        """The temperature and the replay buffer."""
        return {
            "log_ent_coef": self.agent.log_ent_coef.detach(),
            "replay": replay_state(self.agent.replay_buffer),
        }

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Restore what `own_state` took out."""
        self.agent.log_ent_coef.data.copy_(state["log_ent_coef"])
        load_replay(self.agent.replay_buffer, state["replay"])

    def actor(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """A squashed Gaussian actor, for `mlp_policy`."""
        actor = self.agent.policy.actor
        layers = linear_layers(actor.latent_pi)
        tensors = named_tensors(layers, "mean", actor.mu)
        tensors |= {"log_std.weight": actor.log_std.weight, "log_std.bias": actor.log_std.bias}
        tensors |= {"states.centre": torch.zeros(1), "states.scale": torch.ones(1)}
        return {"hidden_layers": len(layers), "activation": "relu", "squash": True}, detached(tensors)


REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def replay_state(buffer: Any) -> dict[str, Any]:
    """The filled part of an SB3 replay buffer."""
    filled = buffer.buffer_size if buffer.full else buffer.pos
    arrays = {name: torch.from_numpy(getattr(buffer, name)[:filled]) for name in REPLAY}
    return {"position": buffer.pos, "full": bool(buffer.full), "arrays": arrays}


def load_replay(buffer: Any, state: dict[str, Any]) -> None:
    """Fill an SB3 replay buffer with what `replay_state` took out."""
    buffer.pos, buffer.full = state["position"], state["full"]
    for name, tensor in state["arrays"].items():
        getattr(buffer, name)[: len(tensor)] = tensor.numpy()


class SACExpert(RLExpert):
    """SAC on the suite's state."""

    Config = SACConfig
    actions = "continuous"

    def learner(self, make_env: Callable[[int], gymnasium.Env], seed: int) -> Learner:
        """A new learner in environments made by `make_env`."""
        return SACLearner(make_env, self.config, seed)

    def rebuilt(self, actor: dict[str, Any], arrays: dict[str, np.ndarray]) -> Policy:
        """A squashed Gaussian policy."""
        return mlp_policy(actor, arrays)
