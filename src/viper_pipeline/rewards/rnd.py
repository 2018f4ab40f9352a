"""Random network distillation: novelty is the error of predicting a fixed random network (Burda et al. 2018).

The exploration bonus of VIPER with DrQ (paper 3.3 and Table 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from viper_pipeline.core.config import Config


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


class RNDConfig(Config):
    """Sizes of the two networks and weight of the bonus; the defaults are the paper's Table 4."""

    channels: tuple[int, ...] = Field((32, 64, 64), description="of the convolutions (Table 4)")
    kernels: tuple[int, ...] = Field((6, 4, 3), description="of the convolutions; the paper is silent")
    strides: tuple[int, ...] = Field((3, 2, 1), description="of the convolutions; the paper is silent")
    hidden: tuple[int, ...] = Field((512, 512), description="layers of the MLP (Table 4)")
    outputs: int = Field(512, gt=0, description="numbers to predict; the paper is silent")
    learning_rate: float = Field(3e-4, gt=0, description="of Adam (Table 4)")
    weight: float = Field(1.0, ge=0, description="beta: what the bonus counts beside the reward (Table 4)")
    final_weight: float | None = Field(None, ge=0, description="beta in the end, reached linearly; null: the same")
    final_at: float = Field(1.0, gt=0, le=1, description="share of training after which beta is final_weight")
    clip: float = Field(5.0, gt=0, description="largest bonus, in running standard deviations")
    decay: float = Field(0.999, gt=0, lt=1, description="of the running standard deviation")
    batch_size: int | None = Field(None, gt=0, description="of a batch, what the predictor learns; null: all")


class RND(nn.Module):
    """A bonus for arriving at frames unlike those arrived at before."""

    Config = RNDConfig

    def __init__(self, config: RNDConfig, frame_shape: tuple[int, int, int]) -> None:
        """frame_shape: (C, h, w) of the frames that `bonus` and `update` will be given."""
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
            wanted = self.fixed(x)
        return (self.predictor(x) - wanted).square().mean(1)

    @torch.no_grad()
    def bonus(self, frames: np.ndarray) -> np.ndarray:
        """frames (B, C, h, w) uint8 -> unweighted bonus (B,) float32 within [0, clip]; learns nothing."""
        return self._normalised(self.errors(frames))

    def update(self, frames: np.ndarray) -> dict[str, Tensor]:
        """Learn to predict the fixed network on frames (B, C, h, w)."""
        return {"rnd_error": self._learn(self.errors(frames))}

    def explore(self, frames: np.ndarray, done: float) -> np.ndarray:
        """frames (B, C, h, w) -> weighted bonus (B,) float32, computed before these frames are learnt.

        done: share of training (0 to 1) that lies behind.
        """
        errors = self.errors(frames)
        self._learn(errors[: self.config.batch_size])
        return self._normalised(errors.detach()) * np.float32(self.weight(done))

    def weight(self, done: float) -> float:
        """beta at this point of training."""
        first, last = self.config.weight, self.config.final_weight
        return first if last is None else first + (last - first) * min(done / self.config.final_at, 1.0)

    def _learn(self, errors: Tensor) -> Tensor:
        loss = errors.mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.updates += 1
            step = torch.clamp(1 / self.updates, min=1 - self.config.decay)
            spread = errors.detach().square().mean() - loss.detach().square()
            self.variance.lerp_(spread.clamp(min=0), step)  # of equal frames, rounding may leave less than nothing
        return loss.detach()

    def _normalised(self, errors: Tensor) -> np.ndarray:
        deviation = self.variance.sqrt() + 1e-8
        return (errors / deviation).clamp(max=self.config.clip).cpu().numpy()

    def get_extra_state(self) -> dict[str, Any]:
        """The optimiser, as a part of `state_dict`."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """The optimiser, as a part of `load_state_dict`."""
        self.optimizer.load_state_dict(state)
