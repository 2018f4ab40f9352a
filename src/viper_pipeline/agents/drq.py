"""DrQ: soft actor-critic from pixels with random shifts (Kostrikov et al. 2020; paper Table 4).

Built on SAC, not on DDPG as DrQ-v2 is. The encoder is shared: it learns from the critics' loss alone, and the actor
reads its features.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from viper_pipeline.agents.base import StateDict
from viper_pipeline.agents.frame_stacks import FrameStackAgent, FrameStackConfig
from viper_pipeline.agents.networks import (
    FlatParameters,
    PixelEncoder,
    SACActor,
    SACCritic,
    contrast_to_median,
    contrasted,
    downscale,
    downscaled_shape,
    initialize_orthogonal,
)
from viper_pipeline.agents.replay import Replay, Transitions
from viper_pipeline.core.errors import BadParams


class DrQConfig(FrameStackConfig):
    """Sizes and rates. Defaults: Table 4 of the paper; where it is silent, those of Kostrikov et al."""

    contrast: float = Field(
        0.0,
        ge=0,
        description="0: plain pixels; else pixels are this many times their difference from a background",
    )
    channels: tuple[int, ...] = Field((32, 64, 128, 256), description="of the convolutions (Table 4)")
    kernels: tuple[int, ...] = Field((3, 3, 3, 3), description="of the convolutions (Table 4)")
    strides: tuple[int, ...] = Field((2, 2, 2, 2), description="of the convolutions (Table 4)")
    latent: int = Field(50, gt=0, description="width of the trunks' output")
    hidden: tuple[int, ...] = Field((256, 256), description="layers of critics and actor (Table 4)")
    critics: int = Field(2, gt=0, description="critics in the ensemble (Table 4)")
    critic_norm: bool = Field(False, description="layer norm in the critics; off in the paper")
    target: Literal["mean", "min"] = Field("mean", description="how the target combines the critics")
    actor_value: Literal["target", "mean"] = Field(
        "target", description="how the actor's loss combines the critics: as the target does, or by their mean (jaxrl2)"
    )
    target_encoder: bool = Field(True, description="whether the target critics have a target encoder of their own")
    learning_rate: float = Field(3e-4, gt=0, description="of Adam, for all networks (Table 4)")
    final_learning_rate: float = Field(
        1.0, ge=0, le=1, description="share of the rate at the end; it falls along a cosine in the second half"
    )
    tau: float = Field(0.005, gt=0, le=1, description="step of the target critics towards the critics (Table 4)")
    temperature: float = Field(0.1, gt=0, description="initial weight of the entropy (Table 4); it is learned")
    target_entropy: float = Field(-0.5, description="entropy the policy is held to, in nats per dimension of an action")
    log_std: tuple[float, float] = Field((-10.0, 2.0), description="limits of the policy's log standard deviation")
    log_std_clip: bool = Field(
        False,
        description="clip it to these limits, so that a new policy has a deviation near 1 (jaxrl2), or squash it into "
        "them by tanh (Kostrikov et al.): a new policy then has the one in their middle, exp(-4) = .018 by default",
    )
    init: Literal["torch", "orthogonal"] = Field(
        "torch", description="weights before training. orthogonal: times sqrt 2, with biases of 0 (jaxrl2)"
    )
    centered: bool = Field(True, description="pixels from -0.5 to 0.5; else from 0 to 1 (jaxrl2)")


class DrQ(FrameStackAgent):
    """The agent; see `Agent` for its methods. It has continuous actions and no intrinsic reward."""

    Config = DrQConfig
    continuous = True
    discrete = False
    curious = False

    def __init__(
        self,
        config: DrQConfig,
        frame_shape: tuple[int, int, int],
        actions: int,
        *,
        discrete: bool = False,
        curious: bool = False,
    ) -> None:
        """See `AgentClass`. Raises BadParams for `discrete` and `curious`."""
        super().__init__()
        if discrete or curious:
            raise BadParams(f"agent drq has no {'discrete actions' if discrete else 'curiosity'}; take agent dreamer")
        self.config: DrQConfig = config
        self.frame_shape = downscaled_shape(frame_shape, config.pixels)
        self.encoder = self._encoder()
        sizes = (self.encoder.size, config.latent, config.hidden, actions)
        self.critic = SACCritic(*sizes, config.critics, config.critic_norm)
        self.actor = SACActor(*sizes, config.log_std, config.log_std_clip)
        if config.init == "orthogonal":
            for part in (self.encoder, self.critic, self.actor):
                initialize_orthogonal(part)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature)))
        self.target_entropy = config.target_entropy * actions

        self.target_critic = SACCritic(*sizes, config.critics, config.critic_norm)
        self.target_critic.load_state_dict(self.critic.state_dict())
        self.target_critic.requires_grad_(False)
        if config.target_encoder:
            self.target_encoder = self._encoder().requires_grad_(False)
            self.target_encoder.load_state_dict(self.encoder.state_dict())
        if config.average:
            self.mean_encoder = self._encoder().requires_grad_(False)
            self.mean_encoder.load_state_dict(self.encoder.state_dict())
            self.mean_actor = SACActor(*sizes, config.log_std, config.log_std_clip).requires_grad_(False)
            self.mean_actor.load_state_dict(self.actor.state_dict())

        self.background: Tensor  # median frame, from `prepare` on; negative before
        self.register_buffer("background", torch.full(self.frame_shape, -1.0))
        self._flatten()

    def _flatten(self) -> None:
        c = self.config
        self.trained = FlatParameters([self.actor, self.encoder, self.critic, self.log_temperature])
        encoder = [self.target_encoder] if c.target_encoder else []
        self._targets = FlatParameters([*encoder, self.target_critic])
        self._averages = FlatParameters([self.mean_actor, self.mean_encoder]) if c.average else None
        self.optimizer = torch.optim.Adam([self.trained.vector], c.learning_rate, fused=True)

    def preprocess(self, frames: np.ndarray) -> np.ndarray:
        """Frames (E, H, W, C) -> (E, C, pixels, pixels), with contrast to the background once there is one."""
        small = downscale(frames, self.config.pixels)
        if self.background[0, 0, 0] >= 0:
            return contrasted(small, self.background.cpu().numpy(), self.config.contrast)
        return small

    def prepare(self, replay: Replay) -> None:
        """If `contrast` is set: take the median frame for the background, and rewrite `replay` as contrast to it.

        What moves then fills most of the range of pixel values; next to a still background, random shifts would
        drown it.
        """
        if self.config.contrast:
            self.background.copy_(torch.from_numpy(contrast_to_median(replay.used(), self.config.contrast)))

    def _encoder(self) -> PixelEncoder:
        colors, height, width = self.frame_shape
        shape = (self.config.stack * colors, height, width)
        c = self.config
        return PixelEncoder(shape, c.channels, c.kernels, c.strides, 0.5 if c.centered else 0.0)

    @torch.no_grad()
    def act(self, obs: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
        """obs (E, stack, C, h, w) uint8 -> actions (E, A), sampled by means of `noise` (E, A).

        Without noise: the mean of the policy, or of its moving average if there is one.
        """
        encoder, actor = self.encoder, self.actor
        if noise is None and self.config.average:
            encoder, actor = self.mean_encoder, self.mean_actor
        mean, log_std = actor(encoder(torch.from_numpy(obs).to(self.device).flatten(1, 2)))
        raw = mean if noise is None else mean + log_std.exp() * torch.from_numpy(noise).to(self.device)
        return torch.tanh(raw).cpu().numpy()

    def schedule(self, progress: float) -> None:
        """Keep the learning rate for the first half of training, then lower it along half a cosine."""
        final = self.config.final_learning_rate
        factor = final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(max(2 * progress - 1, 0.0), 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor

    def update(self, batch: Transitions) -> dict[str, Tensor]:
        """One step of critics and encoder, actor, temperature, targets, and the moving average of the policy."""
        obs, action, reward, discount, next_obs = (
            torch.from_numpy(array).to(self.device)
            for array in (batch.obs, batch.action, batch.reward, batch.discount, batch.next_obs)
        )
        target = self._target(next_obs, reward, discount)
        features = self.encoder(obs)
        values = self.critic(features, action)
        critic_loss = (values - target).square().mean(1).sum()

        features = features.detach()
        sampled, density = self.actor.sample(features)
        self.critic.requires_grad_(False)  # the actor's loss trains the actor alone
        value = self._combined(self.critic(features, sampled), self.config.actor_value == "mean")
        self.critic.requires_grad_(True)
        temperature = self.log_temperature.exp()
        actor_loss = (temperature.detach() * density - value).mean()
        entropy = -density.detach().mean()
        temperature_loss = temperature * (entropy - self.target_entropy)

        # The three losses train disjoint weights, so one backward pass and one step serve all of them.
        loss = critic_loss + actor_loss + temperature_loss
        self.trained.vector.grad = self.trained.gather(torch.autograd.grad(loss, self.trained.parameters))
        self.optimizer.step()
        with torch.no_grad():
            followed = self.trained.part(1 if self.config.target_encoder else 2, 3)
            self._targets.vector.lerp_(followed, self.config.tau)
            if self._averages:
                self._averages.vector.lerp_(self.trained.part(0, 2), 1 - self.config.average)
        return {
            "critic_loss": critic_loss.detach(),
            "critic_error": (values.detach() - target).abs().mean(),
            "value": values.detach().mean(),
            "entropy": entropy,
            "temperature": temperature.detach(),
        }

    @torch.no_grad()
    def _target(self, next_obs: Tensor, reward: Tensor, discount: Tensor) -> Tensor:
        features = self.encoder(next_obs)
        action, density = self.actor.sample(features)
        if self.config.target_encoder:
            features = self.target_encoder(next_obs)
        value = self._combined(self.target_critic(features, action))
        return reward + discount * (value - self.log_temperature.exp() * density)

    def _combined(self, values: Tensor, mean: bool = False) -> Tensor:
        return values.mean(0) if mean or self.config.target == "mean" else values.amin(0)

    def weights(self) -> dict[str, Tensor]:
        """Encoder and actor as `act` uses them without noise, and the background."""
        encoder, actor = self.encoder, self.actor
        if self.config.average:
            encoder, actor = self.mean_encoder, self.mean_actor
        named = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
        named |= {f"actor.{k}": v for k, v in actor.state_dict().items()}
        named["background"] = self.background
        return {k: v.detach().cpu().clone() for k, v in named.items()}

    def get_extra_state(self) -> StateDict:
        """The optimizer's part of `state_dict`."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: StateDict) -> None:
        """Restore the optimizer."""
        self.optimizer.load_state_dict(state)
