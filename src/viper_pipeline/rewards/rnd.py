"""Random network distillation: novelty is the error of predicting a fixed random network (Burda et al. 2018).

The exploration bonus of VIPER with DrQ (paper 3.3 and Table 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from viper_pipeline.rewards.base import RNDConfig
from viper_pipeline.training.checkpoints import StateDict


def image_mlp(
    shape: tuple[int, int, int],
    channels: Sequence[int],
    kernels: Sequence[int],
    strides: Sequence[int],
    hidden: Sequence[int],
    outputs: int,
) -> nn.Sequential:
    """Convolutions without padding, then an MLP: (B, *shape) -> (B, outputs), with shape (C, h, w)."""
    layers: list[nn.Module] = []
    for (a, b), kernel, stride in zip(pairwise([shape[0], *channels]), kernels, strides, strict=True):
        layers += [nn.Conv2d(a, b, kernel, stride), nn.ReLU()]
    layers.append(nn.Flatten())
    with torch.no_grad():
        size = nn.Sequential(*layers)(torch.zeros(1, *shape)).shape[1]
    for a, b in pairwise([size, *hidden]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1] if hidden else size, outputs))


class RND(nn.Module):
    """An exploration bonus that is high for frames unlike those seen before."""

    Config = RNDConfig

    def __init__(self, config: RNDConfig, frame_shape: tuple[int, int, int]) -> None:
        """frame_shape: (C, h, w) of the frames that `explore` is given."""
        super().__init__()
        self.config = config
        sizes = (config.channels, config.kernels, config.strides, config.hidden, config.outputs)
        self.fixed = image_mlp(frame_shape, *sizes).requires_grad_(False)
        self.predictor = image_mlp(frame_shape, *sizes)
        self.optimizer = torch.optim.Adam(self.predictor.parameters(), config.learning_rate, fused=True)
        self.variance: Tensor
        self.updates: Tensor
        self.register_buffer("variance", torch.zeros(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def errors(self, frames: np.ndarray) -> Tensor:
        """frames (B, C, h, w) uint8 -> prediction errors (B,)."""
        x = torch.from_numpy(frames).to(self.variance.device).float().mul_(1 / 255).sub_(0.5)
        with torch.no_grad():
            target = self.fixed(x)
        return (self.predictor(x) - target).square().mean(1)

    @torch.no_grad()
    def bonus(self, frames: np.ndarray) -> np.ndarray:
        """frames (B, C, h, w) uint8 -> unweighted bonus (B,) float32 within [0, clip], without any training."""
        deviation = self.variance.sqrt() + 1e-8
        parts = [self.errors(part) for part in np.array_split(frames, -(-len(frames) // 1024))]
        return (torch.cat(parts) / deviation).clamp(max=self.config.clip).cpu().numpy()

    def update(self, frames: np.ndarray) -> dict[str, Tensor]:
        """One training step of the predictor on frames (B, C, h, w) uint8."""
        errors = self.errors(frames)
        loss = errors.mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.updates += 1
            step = torch.clamp(1 / self.updates, min=1 - self.config.decay)
            variance = errors.detach().square().mean() - loss.detach().square()
            self.variance.lerp_(variance.clamp(min=0), step)  # rounding may leave a negative variance of equal frames
        return {"rnd_error": loss.detach()}

    def get_extra_state(self) -> StateDict:
        """The optimizer's state, as a part of `state_dict`."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: StateDict) -> None:
        """The optimizer's state, as a part of `load_state_dict`."""
        self.optimizer.load_state_dict(state)
