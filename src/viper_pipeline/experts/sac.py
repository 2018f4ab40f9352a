"""Soft actor-critic on state and true reward: experts of tasks with continuous actions.

`FastSAC` is stable-baselines3's algorithm with its gradients written out: the same numbers in less time. On vectors
of a few numbers and layers of a few hundred, an update's cost is bookkeeping rather than arithmetic. Both critics are
one stack of matrices here, and no graph is recorded. A test compares updates with SB3's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from pydantic import Field, model_validator
from stable_baselines3 import SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import ActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from torch import Tensor, nn

from viper_pipeline.core.files import Json
from viper_pipeline.experts.policies import Policy, mlp_policy
from viper_pipeline.experts.sb3 import Learner, RLConfig, RLExpert, detached, linear_layers, named_tensors
from viper_pipeline.training.checkpoints import StateDict


class SACConfig(RLConfig):
    """SAC needs fewer steps than PPO; its steps cost more."""

    algorithm: Literal["sac"] = "sac"
    tau: float = Field(0.01, gt=0, le=1, description="share of the critics that target critics take over per update")
    learning_starts: int = Field(1000, ge=0, description="uniformly random steps before the first update")
    train_freq: int = Field(1, gt=0, description="steps of each environment between rounds of updates")
    gradient_steps: int = Field(1, gt=0, description="updates per round")
    buffer_size: int = Field(1_000_000, gt=0, description="transitions in the replay buffer")
    action_noise: float = Field(
        0.0,
        ge=0,
        description="scale of Ornstein-Uhlenbeck noise on actions in training; which lasts some 7 steps. "
        "For tasks whose reward takes a long push to find",
    )

    @model_validator(mode="after")
    def _possible(self) -> SACConfig:
        if self.learning_starts >= self.steps:
            raise ValueError(f"learning_starts {self.learning_starts} leaves none of {self.steps} steps for learning")
        return self


class SACLearner(Learner):
    """SAC with a replay buffer."""

    def build(self, common: Json) -> BaseAlgorithm:
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
            action_noise=self.noise(),
            policy_kwargs={"net_arch": list(c.net_arch), "optimizer_kwargs": {"fused": True}},
            **common,
        )

    def noise(self) -> ActionNoise | None:
        """Correlated noise of each environment, which begins at 0 with every episode; None without any."""
        size = self.env.action_space.shape
        if not self.config.action_noise:
            return None
        return OrnsteinUhlenbeckActionNoise(np.zeros(size), np.full(size, self.config.action_noise), dt=1.0)

    def learn(self, chunk: int, steps: int) -> None:
        """As every learner; noise begins anew, as the episodes do."""
        if self.agent.action_noise is not None:
            self.agent.action_noise.reset()
        super().learn(chunk, steps)

    def own_state(self) -> StateDict:
        """The temperature and the replay buffer."""
        return {
            "log_ent_coef": self.agent.log_ent_coef.detach(),
            "replay": replay_state(self.agent.replay_buffer),
        }

    def load_own_state(self, state: StateDict) -> None:
        """Restore what `own_state` took out."""
        self.agent.log_ent_coef.data.copy_(state["log_ent_coef"])
        load_replay(self.agent.replay_buffer, state["replay"])

    def actor(self) -> tuple[Json, dict[str, Tensor]]:
        """A squashed Gaussian actor, for `mlp_policy`."""
        actor = self.agent.policy.actor
        layers = linear_layers(actor.latent_pi)
        tensors = named_tensors(layers, "mean", actor.mu)
        tensors |= {"log_std.weight": actor.log_std.weight, "log_std.bias": actor.log_std.bias}
        tensors |= {"states.centre": torch.zeros(1), "states.scale": torch.ones(1)}
        return {"hidden_layers": len(layers), "activation": "relu", "squash": True}, detached(tensors)


REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def replay_state(buffer: Any) -> StateDict:
    """The filled part of an SB3 replay buffer."""
    filled = buffer.buffer_size if buffer.full else buffer.pos
    arrays = {name: torch.from_numpy(getattr(buffer, name)[:filled]) for name in REPLAY}
    return {"position": buffer.pos, "full": bool(buffer.full), "arrays": arrays}


def load_replay(buffer: Any, state: StateDict) -> None:
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

    def rebuilt(self, actor: Json, arrays: dict[str, np.ndarray]) -> Policy:
        """A squashed Gaussian policy."""
        return mlp_policy(actor, arrays)


Layers = Sequence[tuple[Tensor, Tensor]]
TINY = 1e-6  # SB3's guard in the log-probability of tanh


class FastSAC(SAC):
    """SB3's SAC for states (D,), ReLU layers, two critics and a learned temperature, on one CPU thread."""

    actor: Any
    log_ent_coef: Any
    ent_coef_optimizer: Any
    target_entropy: Any

    def _setup_model(self) -> None:
        super()._setup_model()
        self.critic_layers = stack_critics(self.critic)
        self.target_layers = stack_critics(self.critic_target)
        flat = [tensor for layer in self.critic_layers for tensor in layer]
        self.critic.optimizer = torch.optim.Adam(flat, lr=self.lr_schedule(1), fused=True)
        linear = [module for module in self.actor.latent_pi if isinstance(module, nn.Linear)]
        self.actor_layers = [(m.weight, m.bias) for m in linear]
        self.actor_heads = [(m.weight, m.bias) for m in (self.actor.mu, self.actor.log_std)]
        # No dropout or batch norm here, so skip SB3's switch between train and eval mode (called twice per step).
        self.policy.set_training_mode = lambda mode: None  # type: ignore[method-assign]

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """`gradient_steps` updates of temperature, critics and actor, in SB3's order."""
        with torch.no_grad():
            for _ in range(gradient_steps):
                self._update(batch_size)
        self._n_updates += gradient_steps

    def _update(self, batch_size: int) -> None:
        data = self.replay_buffer.sample(batch_size)  # type: ignore[union-attr]
        now = Sample(self, data.observations)
        temperature = self.log_ent_coef.exp()
        self.log_ent_coef.grad = -(now.log_prob + self.target_entropy).mean().reshape(1)
        self.ent_coef_optimizer.step()

        then = Sample(self, data.next_observations)
        hopes, _ = forward(both(data.next_observations, then.action), self.target_layers)
        value = hopes.amin(0) - temperature * then.log_prob
        target = data.rewards + (1 - data.dones) * self.gamma * value
        worths, inner = forward(both(data.observations, data.actions), self.critic_layers)
        backward((worths - target) / batch_size, inner, self.critic_layers)
        self.critic.optimizer.step()

        worths, inner = forward(both(data.observations, now.action), self.critic_layers)
        lowest = worths.argmin(0, keepdim=True)
        slope = torch.zeros_like(worths).scatter_(0, lowest, -1 / batch_size)
        inputs = backward(slope, inner, self.critic_layers, into_layers=False)
        now.backward(inputs.sum(0)[:, -now.action.shape[1] :], temperature / batch_size)
        self.actor.optimizer.step()
        averages, fresh = (
            [t for layer in layers for t in layer] for layers in (self.target_layers, self.critic_layers)
        )
        torch._foreach_lerp_(averages, fresh, self.tau)


class Sample:
    """Actions (B, A) drawn at states (B, D), their log-probabilities (B, 1), and the way to the actor."""

    def __init__(self, agent: FastSAC, states: Tensor) -> None:
        self.layers, self.heads = agent.actor_layers, agent.actor_heads
        latent, self.inner = forward(states, self.layers, last_linear=False)
        self.inner.append(latent)
        mean, self.raw = (torch.addmm(bias, latent, weight.T) for weight, bias in self.heads)
        log_std = self.raw.clamp(LOG_STD_MIN, LOG_STD_MAX)
        self.noise = torch.randn_like(mean)
        self.spread = log_std.exp() * self.noise
        self.action = (mean + self.spread).tanh_()
        self.room = 1 - self.action**2
        terms = -0.5 * self.noise**2 - log_std - 0.5 * math.log(2 * math.pi) - (self.room + TINY).log()
        self.log_prob = terms.sum(1, keepdim=True)

    def backward(self, action_slope: Tensor, temperature: Tensor) -> None:
        """Gradient of the actor, from the loss's slope in the actions (B, A) by way of the critics alone."""
        slope = (action_slope + temperature * 2 * self.action / (self.room + TINY)) * self.room
        inside = (self.raw >= LOG_STD_MIN) & (self.raw <= LOG_STD_MAX)
        slopes = (slope, (slope * self.spread - temperature) * inside)
        latent = self.inner[-1]
        for (weight, bias), head in zip(self.heads, slopes, strict=True):
            weight.grad, bias.grad = head.T @ latent, head.sum(0)
        down = slopes[0] @ self.heads[0][0] + slopes[1] @ self.heads[1][0]
        backward(down * (latent > 0), self.inner[:-1], self.layers)


def forward(x: Tensor, layers: Layers, last_linear: bool = True) -> tuple[Tensor, list[Tensor]]:
    """An MLP, or a stack of them (x: (..., B, in)), and the input of every layer."""
    inner = []
    for i, (weight, bias) in enumerate(layers):
        inner.append(x)
        if weight.ndim == 3:
            x = torch.baddbmm(bias, x, weight.mT)
        else:
            x = torch.addmm(bias, x, weight.T)
        if i + 1 < len(layers) or not last_linear:
            x = x.relu_()
    return x, inner


def backward(slope: Tensor, inner: list[Tensor], layers: Layers, into_layers: bool = True) -> Tensor:
    """Backpropagate `slope`, the gradient of the last linear output, into the layers; returns that of the input."""
    for i in reversed(range(len(layers))):
        weight, bias = layers[i]
        if into_layers:
            weight.grad = slope.mT @ inner[i]
            bias.grad = slope.sum(-2, keepdim=weight.ndim == 3)
        if i or not into_layers:
            slope = slope @ weight
        if i:
            slope = slope * (inner[i] > 0)
    return slope


def both(states: Tensor, actions: Tensor) -> Tensor:
    """The input (2, B, D + A) of the two critics."""
    return torch.cat([states, actions], 1).expand(2, -1, -1)


def stack_critics(critic: Any) -> Layers:
    """The two critics' layers as parameters (2, out, in) and (2, 1, out); SB3's own become views of them."""
    layers: list[tuple[Tensor, Tensor]] = []
    pairs = zip(*([m for m in net if isinstance(m, nn.Linear)] for net in critic.q_networks), strict=True)
    for linears in pairs:
        weight = nn.Parameter(torch.stack([m.weight.detach() for m in linears]))
        bias = nn.Parameter(torch.stack([m.bias.detach()[None] for m in linears]))
        for i, module in enumerate(linears):
            module.weight.data, module.bias.data = weight.data[i], bias.data[i, 0]
        layers.append((weight, bias))
    return layers
