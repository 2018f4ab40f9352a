"""Networks of soft actor-critic from pixels (paper Table 4), and how frames are scaled down for an agent.

SAC: a convolutional encoder, whose features a trunk narrows for each head: an ensemble of critics and a Gaussian actor.
`Ensemble` serves Dreamer's disagreement as well, and both agents scale frames down with `downscale`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viper_pipeline.core.errors import BadParams


class PixelEncoder(nn.Module):
    """Images (B, channels, h, w) uint8 -> features (B, size): convolutions without padding."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
    ) -> None:
        """shape: (channels, h, w) of an image; its channels are the colors of all frames of a stack."""
        super().__init__()
        layers: list[nn.Module] = []
        for (a, b), kernel, stride in zip(pairwise([shape[0], *channels]), kernels, strides, strict=True):
            conv = nn.Conv2d(a, b, kernel, stride)
            conv.weight.data = conv.weight.data.to(memory_format=torch.channels_last)
            layers += [conv, nn.ReLU(inplace=True)]
        self.convs = nn.Sequential(*layers)
        with torch.no_grad():
            self.size = self.convs(torch.zeros(1, *shape)).numel()

    def forward(self, images: Tensor) -> Tensor:
        x = images.contiguous(memory_format=torch.channels_last).float()
        return self.convs(x.mul_(1 / 255).sub_(0.5)).permute(0, 2, 3, 1).flatten(1)  # in memory order: no copy


class Trunk(nn.Module):
    """Features (B, size) -> (B, latent) within (-1, 1)."""

    def __init__(self, size: int, latent: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(size, latent), nn.LayerNorm(latent)

    def forward(self, features: Tensor) -> Tensor:
        return torch.tanh(self.norm(self.linear(features)))


class Ensemble(nn.Module):
    """`members` MLPs of one shape, run as one batched product: (B, inputs) -> (members, B, outputs)."""

    def __init__(self, members: int, sizes: Sequence[int], norm: bool) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        self.norms = nn.ModuleList([nn.LayerNorm(n) for n in sizes[1:-1]] if norm else [])
        for a, b in pairwise(sizes):
            bound = a**-0.5
            self.weights.append(nn.Parameter(torch.empty(members, a, b).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(members, 1, b).uniform_(-bound, bound)))

    def forward(self, x: Tensor) -> Tensor:
        x = x.expand(len(self.weights[0]), *x.shape)
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if layer < last:
                x = F.relu(self.norms[layer](x) if len(self.norms) else x)
        return x


class SACCritic(nn.Module):
    """Features and actions -> values (members, B)."""

    def __init__(self, size: int, latent: int, hidden: Sequence[int], actions: int, members: int, norm: bool) -> None:
        super().__init__()
        self.trunk = Trunk(size, latent)
        self.values = Ensemble(members, [latent + actions, *hidden, 1], norm)

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        return self.values(torch.cat([self.trunk(features), action], 1)).squeeze(-1)


class SACActor(nn.Module):
    """Features -> a Gaussian policy squashed by tanh."""

    def __init__(
        self, size: int, latent: int, hidden: Sequence[int], actions: int, log_std: tuple[float, float]
    ) -> None:
        super().__init__()
        self.trunk, self.log_std = Trunk(size, latent), log_std
        layers: list[nn.Module] = []
        for a, b in pairwise([latent, *hidden]):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.head = nn.Sequential(*layers, nn.Linear(hidden[-1], 2 * actions))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """-> mean before tanh (B, A), log standard deviation (B, A)."""
        mean, log_std = self.head(self.trunk(features)).chunk(2, 1)
        low, high = self.log_std
        return mean, low + 0.5 * (high - low) * (torch.tanh(log_std) + 1)

    def sample(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """-> action (B, A), its log-density (B,)."""
        mean, log_std = self(features)
        noise = torch.randn_like(mean)
        raw = mean + log_std.exp() * noise
        density = -0.5 * noise.square() - log_std - 0.9189385 - 2 * (0.6931472 - raw - F.softplus(-2 * raw))
        return torch.tanh(raw), density.sum(1)


def downscaled_shape(frame_shape: tuple[int, int, int], pixels: int) -> tuple[int, int, int]:
    """(H, W, C) of the environment's frames -> (C, pixels, pixels). Raises BadParams if `pixels` does not divide H."""
    height, width, colors = frame_shape
    if height % pixels or width != height:
        raise BadParams(f"pixels: {pixels} does not divide frames of {height}x{width}")
    return colors, pixels, pixels


def downscale(frames: np.ndarray, pixels: int) -> np.ndarray:
    """Frames (E, H, W, C) uint8 -> means over blocks of pixels, (E, C, pixels, pixels) uint8.

    Colors come first, so that frames can be stacked along the channels without a copy.
    """
    count, height, _, colors = frames.shape
    factor = height // pixels
    blocks = frames.reshape(count, pixels, factor, pixels, factor, colors)
    total = blocks.sum(axis=(2, 4), dtype=np.uint32) + factor * factor // 2
    return (total // (factor * factor)).astype(np.uint8).transpose(0, 3, 1, 2)


def contrasted(frames: np.ndarray, background: np.ndarray, contrast: float) -> np.ndarray:
    """Frames (..., C, h, w) uint8 -> 128 + contrast times their difference from the background (C, h, w), uint8."""
    return np.clip(128 + contrast * (frames - background), 0, 255).astype(np.uint8)
