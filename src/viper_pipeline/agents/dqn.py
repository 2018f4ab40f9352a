"""DQN from pixels with random shifts, for discrete actions and few steps.

Double (van Hasselt et al. 2016), dueling (Wang et al. 2016), with n-step returns and DrQ's random shifts, as DrQ(eps)
of Agarwal et al. (2021) combines them. Values are learned on the scale h(x) = sign(x) (sqrt(|x| + 1) - 1) + eps x
(Pohlen et al. 2018), so that games whose points differ by orders of magnitude, and learned rewards, need no clipping.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from scipy.special import ndtr
from torch import Tensor, nn

from viper_pipeline.agents.frame_stacks import FrameStackAgent, FrameStackConfig
from viper_pipeline.agents.networks import FlatParameters, PixelEncoder, downscale, downscaled_shape
from viper_pipeline.agents.replay import Replay, Transitions
from viper_pipeline.core.errors import BadParams
from viper_pipeline.training.checkpoints import StateDict

EPSILON = 1e-3
"""eps of h: the slope that is left for values of any size."""


class DQNConfig(FrameStackConfig):
    """Sizes and rates. Defaults: the small network of Mnih et al. (2013), n-step returns and rates of DrQ(eps)."""

    gray: bool = Field(True, description="the agent sees the mean of the colors")
    stack: int = Field(4, gt=0, description="frames per observation")
    channels: tuple[int, ...] = Field((16, 32), description="of the convolutions")
    kernels: tuple[int, ...] = Field((8, 4), description="of the convolutions")
    strides: tuple[int, ...] = Field((4, 2), description="of the convolutions")
    hidden: int = Field(256, gt=0, description="units of the layer before the values, and before the advantages")
    dueling: bool = Field(True, description="values are a state's value and the actions' advantages")
    double: bool = Field(True, description="the online network chooses the action whose target value is learned")
    batch_size: int = Field(32, gt=0, description="transitions per update")
    learning_rate: float = Field(1e-4, gt=0, description="of Adam")
    adam_eps: float = Field(1.5e-4, gt=0, description="of Adam")
    clip: float = Field(10.0, gt=0, description="largest norm of the gradient")
    n_step: int = Field(10, gt=0, description="rewards summed before the value takes over")
    tau: float = Field(0.01, gt=0, le=1, description="step of the target network towards the online network per update")
    epsilon: float = Field(0.05, ge=0, le=1, description="share of random actions in training once it has fallen")
    epsilon_until: float = Field(
        0.1, ge=0, le=1, description="share of training in which it falls to that from 1, linearly"
    )


class QNetwork(nn.Module):
    """Stacks (B, channels, h, w) uint8 -> values (B, A), on the scale of h."""

    def __init__(self, config: DQNConfig, shape: tuple[int, int, int], actions: int) -> None:
        """shape: (channels, h, w) of a stack."""
        super().__init__()
        self.encoder = PixelEncoder(shape, config.channels, config.kernels, config.strides)
        self.dueling = config.dueling
        size = self.encoder.size
        self.advantage = nn.Sequential(nn.Linear(size, config.hidden), nn.ReLU(), nn.Linear(config.hidden, actions))
        if self.dueling:
            self.value = nn.Sequential(nn.Linear(size, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 1))

    def forward(self, stacks: Tensor) -> Tensor:
        features = self.encoder(stacks)
        advantage = self.advantage(features)
        if not self.dueling:
            return advantage
        return self.value(features) + advantage - advantage.mean(1, keepdim=True)


class DQN(FrameStackAgent):
    """The agent; see `Agent` for its methods. It has discrete actions and no intrinsic reward."""

    Config = DQNConfig
    continuous = False
    discrete = True
    curious = False

    def __init__(
        self,
        config: DQNConfig,
        frame_shape: tuple[int, int, int],
        actions: int,
        *,
        discrete: bool = True,
        curious: bool = False,
    ) -> None:
        """See `AgentClass`. Raises BadParams for continuous actions and for `curious`."""
        super().__init__()
        if not discrete or curious:
            raise BadParams(f"agent dqn has no {'curiosity' if curious else 'continuous actions'}; take agent dreamer")
        self.config: DQNConfig = config
        self.actions = actions
        colors, height, width = downscaled_shape(frame_shape, config.pixels)
        self.frame_shape = (1 if config.gray else colors, height, width)
        shape = (config.stack * self.frame_shape[0], height, width)
        self.online, self.target = (QNetwork(config, shape, actions) for _ in range(2))
        followers = [self.target]
        if config.average:
            self.mean = QNetwork(config, shape, actions)
            followers.append(self.mean)
        for network in followers:
            network.load_state_dict(self.online.state_dict())
            network.requires_grad_(False)
        self.epsilon = 1.0
        self._flatten()

    def _flatten(self) -> None:
        c = self.config
        self.trained, self._target = FlatParameters([self.online]), FlatParameters([self.target])
        self._mean = FlatParameters([self.mean]) if c.average else None
        self.optimizer = torch.optim.Adam([self.trained.vector], c.learning_rate, eps=c.adam_eps, fused=True)

    def preprocess(self, frames: np.ndarray) -> np.ndarray:
        """Frames (E, H, W, C) -> (E, 1 if gray else C, pixels, pixels)."""
        small = downscale(frames, self.config.pixels)
        return small.mean(axis=1, keepdims=True).astype(np.uint8) if self.config.gray else small

    def prepare(self, replay: Replay) -> None:
        """Nothing to prepare."""

    @torch.no_grad()
    def act(self, obs: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
        """obs (E, stack, C, h, w) uint8 -> one-hot actions (E, A).

        noise (E, A): its first column says whether an action is random, and which one. Without noise: the best action
        of the online network, or of its moving average if there is one.
        """
        network = self.mean if noise is None and self.config.average else self.online
        chosen = network(torch.from_numpy(obs).to(self.device).flatten(1, 2)).argmax(1).cpu().numpy()
        if noise is not None and self.epsilon > 0:
            share = ndtr(noise[:, 0].astype(np.float64))  # uniform; below epsilon, share / epsilon is uniform again
            random = np.minimum(share / self.epsilon * self.actions, self.actions - 1).astype(np.int64)
            chosen = np.where(share < self.epsilon, random, chosen)
        return np.where(np.arange(self.actions) == chosen[:, None], 1, -1).astype(np.float32)

    def schedule(self, progress: float) -> None:
        """Let the share of random actions fall."""
        c = self.config
        done = min(progress / c.epsilon_until, 1.0) if c.epsilon_until else 1.0
        self.epsilon = 1.0 + done * (c.epsilon - 1.0)

    def update(self, batch: Transitions) -> dict[str, Tensor]:
        """One step of the online network, of the target, and of the moving average."""
        obs, action, reward, discount, next_obs = (
            torch.from_numpy(array).to(self.device)
            for array in (batch.obs, batch.action, batch.reward, batch.discount, batch.next_obs)
        )
        target = squashed(reward + discount * unsquashed(self._next_value(next_obs)))
        values = self.online(obs)
        value = values.gather(1, action.argmax(1, keepdim=True)).squeeze(1)
        loss = F.smooth_l1_loss(value, target)
        gradient = self.trained.gather(torch.autograd.grad(loss, self.trained.parameters))
        norm = gradient.norm()
        self.trained.vector.grad = gradient * (self.config.clip / norm).clamp(max=1)
        self.optimizer.step()
        with torch.no_grad():
            self._target.vector.lerp_(self.trained.vector, self.config.tau)
            if self._mean:
                self._mean.vector.lerp_(self.trained.vector, 1 - self.config.average)
        return {
            "critic_loss": loss.detach(),
            "critic_error": (value.detach() - target).abs().mean(),
            "value": unsquashed(values.detach().amax(1)).mean(),
            "gradient_norm": norm,
        }

    @torch.no_grad()
    def _next_value(self, next_obs: Tensor) -> Tensor:
        """The target network's value (B,) of the best action."""
        values = self.target(next_obs)
        if not self.config.double:
            return values.amax(1)
        return values.gather(1, self.online(next_obs).argmax(1, keepdim=True)).squeeze(1)

    def weights(self) -> dict[str, Tensor]:
        """The network that acts without noise."""
        network = self.mean if self.config.average else self.online
        return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}

    def get_extra_state(self) -> StateDict:
        """The part of `state_dict` that holds the optimizer and the share of random actions."""
        return {"optimizer": self.optimizer.state_dict(), "epsilon": self.epsilon}

    def set_extra_state(self, state: StateDict) -> None:
        """Restore them."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.epsilon = state["epsilon"]


def squashed(values: Tensor) -> Tensor:
    """h: values of any size -> their scale for learning."""
    return values.sign() * ((values.abs() + 1).sqrt() - 1) + EPSILON * values


def unsquashed(values: Tensor) -> Tensor:
    """The inverse of `squashed`, in 64 bits on the way: it takes a small difference of near numbers."""
    root = (1 + 4 * EPSILON * (values.abs().double() + 1 + EPSILON)).sqrt()
    return values.sign() * (((root - 1) / (2 * EPSILON)).square() - 1).to(values.dtype)
