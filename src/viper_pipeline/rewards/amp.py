"""Adversarial Motion Priors: how much a short window of frames looks like the experts' (Peng et al. 2021; paper 4).

A least-squares discriminator D learns to tell windows of expert videos (+1) from windows of the agent's own (-1);
the reward of a window is 1 - (D - 1)^2 / 4. Windows are `window` frames in a row and end in x_{t+1}, the frame that
r_t pays for. No action is seen, neither the experts' nor the agent's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from viper_pipeline.core.config import Config
from viper_pipeline.rewards.rnd import image_mlp


class AMPConfig(Config):
    """Sizes of the discriminator and strength of its penalty. The paper gives none; defaults are its code's."""

    window: int = Field(5, gt=1, description="frames in a row that are judged together")
    channels: tuple[int, ...] = Field((32, 64, 64), description="of the convolutions")
    kernels: tuple[int, ...] = Field((6, 4, 3), description="of the convolutions")
    strides: tuple[int, ...] = Field((3, 2, 1), description="of the convolutions")
    hidden: tuple[int, ...] = Field((512, 512), description="layers of the MLP")
    learning_rate: float = Field(1e-4, gt=0, description="of Adam")
    penalty: float = Field(
        0.5, ge=0, description="weight of the squared gradient at expert windows, summed over pixels"
    )
    low: float = Field(-2.0, description="smallest reward of a window")
    high: float = Field(2.0, description="largest reward of a window; 1 is the most there is")
    batch_size: int = Field(64, gt=0, description="windows of each kind that an update of the discriminator sees")


class AMP(nn.Module):
    """A discriminator that learns beside the agent, and pays it."""

    Config = AMPConfig

    def __init__(self, config: AMPConfig, frame_shape: tuple[int, int, int]) -> None:
        """frame_shape: (C, h, w) of the frames as the agent sees them."""
        super().__init__()
        self.config, self.window = config, config.window
        colours, height, width = frame_shape
        shape = (config.window * colours, height, width)
        self.network = image_mlp(shape, config.channels, config.kernels, config.strides, config.hidden, 1)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate, fused=True)
        self.experts: list[np.ndarray] = []  # frames (T, C, h, w) of each video
        self.ends: np.ndarray = np.zeros((0, 2), np.int64)  # (video, place of the last frame) of every window

    def show(self, videos: list[np.ndarray]) -> None:
        """The experts' videos, each uint8 (T, C, h, w) as the agent sees frames; called once, before it learns."""
        self.experts = videos
        places = [(i, t) for i, video in enumerate(videos) for t in range(1, len(video))]
        self.ends = np.array(places, np.int64)

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """`size` expert windows (size, window, C, h, w) uint8.

        None reaches from one video into another; at a beginning the first frame is repeated, as in the replay.
        """
        back = np.arange(1 - self.window, 1)
        chosen = self.ends[rng.integers(len(self.ends), size=size)]
        return np.stack([self.experts[i][np.maximum(t + back, 0)] for i, t in chosen])

    def judge(self, windows: np.ndarray) -> Tensor:
        """windows (B, window, C, h, w) uint8 -> D (B,)."""
        return self._verdict(self._pictures(windows))

    @torch.no_grad()
    def rewards(self, windows: np.ndarray) -> np.ndarray:
        """windows (B, window, C, h, w) uint8 -> rewards (B,) float32, by the discriminator as it is now."""
        found = 1 - (self.judge(windows) - 1).square() / 4
        return found.clamp(self.config.low, self.config.high).cpu().numpy()

    def learn(self, windows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """One step on the agent's windows (B, window, C, h, w) and as many of the experts' -> detached scalars."""
        size = min(self.config.batch_size, len(windows))
        experts = self._pictures(self.draw(rng, size)).requires_grad_(True)
        of_experts = self._verdict(experts)
        of_agent = self.judge(windows[:size])
        (slopes,) = torch.autograd.grad(of_experts.sum(), experts, create_graph=True)
        penalty = slopes.square().flatten(1).sum(1).mean()
        loss = 0.5 * ((of_experts - 1).square().mean() + (of_agent + 1).square().mean())
        self.optimizer.zero_grad(set_to_none=True)
        (loss + self.config.penalty * penalty).backward()
        self.optimizer.step()
        return {
            "amp_loss": loss.detach(),
            "amp_experts": of_experts.detach().mean(),
            "amp_agent": of_agent.detach().mean(),
        }

    def _pictures(self, windows: np.ndarray) -> Tensor:
        device = next(self.network.parameters()).device
        return torch.from_numpy(windows).to(device).flatten(1, 2).float().mul_(1 / 255).sub_(0.5)

    def _verdict(self, pictures: Tensor) -> Tensor:
        return self.network(pictures).squeeze(1)

    def get_extra_state(self) -> dict[str, Any]:
        """The optimiser, as a part of `state_dict`."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """The optimiser, as a part of `load_state_dict`."""
        self.optimizer.load_state_dict(state)
