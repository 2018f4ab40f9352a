"""Proximal policy optimization on state and true reward: experts of tasks with continuous or discrete actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from pydantic import Field
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import Tensor

from viper_pipeline.core.files import Json
from viper_pipeline.envs.base import Info
from viper_pipeline.experts.policies import Policy, categorical_policy, mlp_policy
from viper_pipeline.experts.sb3 import Learner, RLConfig, RLExpert, detached, linear_layers, named_tensors
from viper_pipeline.training.checkpoints import StateDict

NORMALIZER_STATISTICS = ("mean", "var", "count")


class PPOConfig(RLConfig):
    """PPO needs more steps than SAC; its steps are far cheaper."""

    algorithm: Literal["ppo"] = "ppo"
    rollout_steps: int = Field(512, gt=1, description="steps of each environment between rounds of updates")
    epochs: int = Field(10, gt=0, description="passes over a rollout")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="advantage estimation")
    entropy_bonus: float = Field(0.0, ge=0, description="weight of the policy's entropy")


class PPOLearner(Learner):
    """PPO with normalized states and rewards, and a Gaussian actor."""

    def normalized(self, vector: DummyVecEnv) -> Any:
        """States and rewards scaled by running statistics."""
        return VecNormalize(vector, gamma=self.config.gamma)

    def build(self, common: Json) -> BaseAlgorithm:
        """SB3's PPO."""
        c = self.config
        return PPO(
            "MlpPolicy",
            self.env,
            n_steps=c.rollout_steps,
            n_epochs=c.epochs,
            gae_lambda=c.gae_lambda,
            ent_coef=c.entropy_bonus,
            policy_kwargs={"net_arch": list(c.net_arch)},
            **common,
        )

    def own_state(self) -> StateDict:
        """The running statistics."""
        rms = {"observations": self.env.obs_rms, "returns": self.env.ret_rms}
        return {
            "statistics": {
                k: [torch.as_tensor(np.asarray(getattr(v, s))) for s in NORMALIZER_STATISTICS] for k, v in rms.items()
            }
        }

    def load_own_state(self, state: StateDict) -> None:
        """Restore what `own_state` took out."""
        for rms, name in ((self.env.obs_rms, "observations"), (self.env.ret_rms, "returns")):
            rms.mean, rms.var = (t.numpy().copy() for t in state["statistics"][name][:2])
            rms.count = float(state["statistics"][name][2])

    def scaling(self) -> dict[str, Tensor]:
        """How states are normalized."""
        rms = self.env.obs_rms
        scale = 1 / np.sqrt(rms.var + self.env.epsilon)
        return {
            "states.centre": torch.as_tensor(rms.mean, dtype=torch.float32),
            "states.scale": torch.as_tensor(scale, dtype=torch.float32),
        }

    def actor(self) -> tuple[Json, dict[str, Tensor]]:
        """A Gaussian actor whose spread does not depend on the state, for `mlp_policy`."""
        policy = self.agent.policy
        layers, mean = linear_layers(policy.mlp_extractor.policy_net), policy.action_net
        tensors = named_tensors(layers, "mean", mean)
        tensors |= {"log_std.weight": torch.zeros_like(mean.weight), "log_std.bias": policy.log_std}
        about = {"hidden_layers": len(layers), "activation": "tanh", "squash": False}
        return about, detached(tensors | self.scaling())


class DiscreteActions(gymnasium.Wrapper):
    """Preferences (A,) as a choice among the environment's `useful_actions`."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.numbers = np.asarray(env.get_wrapper_attr("useful_actions"))
        self.preferences = int(np.prod(env.action_space.shape or ()))
        self.action_space = gymnasium.spaces.Discrete(len(self.numbers))

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Info]:
        """Execute the action at this position."""
        chosen = np.full(self.preferences, -1.0, np.float32)
        chosen[self.numbers[int(action)]] = 1.0
        return self.env.step(chosen)


class DiscretePPOLearner(PPOLearner):
    """PPO with a categorical actor; all else as for continuous actions."""

    def wrapped(self, env: gymnasium.Env) -> gymnasium.Env:
        """With a discrete action space."""
        return DiscreteActions(env)

    def actor(self) -> tuple[Json, dict[str, Tensor]]:
        """A categorical actor, for `categorical_policy`."""
        first, policy = self.env.venv.envs[0], self.agent.policy
        layers = linear_layers(policy.mlp_extractor.policy_net)
        tensors = named_tensors(layers, "logits", policy.action_net) | self.scaling()
        about = {
            "layers": len(layers),
            "numbers": first.get_wrapper_attr("numbers").tolist(),
            "preferences": first.get_wrapper_attr("preferences"),
        }
        return about, detached(tensors)


class PPOExpert(RLExpert):
    """PPO on the suite's state, with the actor that the suite's actions need."""

    Config = PPOConfig

    def learner(self, make_env: Callable[[int], gymnasium.Env], seed: int) -> Learner:
        """A new learner in environments made by `make_env`."""
        return (DiscretePPOLearner if self.suite.discrete else PPOLearner)(make_env, self.config, seed)

    def rebuilt(self, actor: Json, arrays: dict[str, np.ndarray]) -> Policy:
        """A categorical or a Gaussian policy."""
        return (categorical_policy if self.suite.discrete else mlp_policy)(actor, arrays)
