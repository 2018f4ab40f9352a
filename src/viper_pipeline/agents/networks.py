"""Networks of soft actor-critic from pixels (paper Table 4), and how frames are scaled down for an agent.

SAC: a convolutional encoder, whose features a trunk narrows for each head: an ensemble of critics and a Gaussian actor.
`Ensemble` serves Dreamer's disagreement as well, and both agents scale frames down with `downscale`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

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
        middle: float = 0.5,
    ) -> None:
        """shape: (channels, h, w) of an image; its channels are the colors of all frames of a stack.

        middle: the brightness, 0 to 1, that becomes 0.
        """
        super().__init__()
        self.middle = middle
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
        return self.convs(x.mul_(1 / 255).sub_(self.middle)).permute(0, 2, 3, 1).flatten(1)  # in memory order: no copy


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
        self,
        size: int,
        latent: int,
        hidden: Sequence[int],
        actions: int,
        log_std: tuple[float, float],
        clip: bool = False,
    ) -> None:
        """log_std: limits of the log standard deviation, squashed into them, or clipped to them (`clip`)."""
        super().__init__()
        self.trunk, self.log_std, self.clip = Trunk(size, latent), log_std, clip
        layers: list[nn.Module] = []
        for a, b in pairwise([latent, *hidden]):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.head = nn.Sequential(*layers, nn.Linear(hidden[-1], 2 * actions))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """-> mean before tanh (B, A), log standard deviation (B, A)."""
        mean, log_std = self.head(self.trunk(features)).chunk(2, 1)
        low, high = self.log_std
        if self.clip:
            return mean, log_std.clamp(low, high)
        return mean, low + 0.5 * (high - low) * (torch.tanh(log_std) + 1)

    def sample(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """-> action (B, A), its log-density (B,)."""
        mean, log_std = self(features)
        noise = torch.randn_like(mean)
        raw = mean + log_std.exp() * noise
        density = -0.5 * noise.square() - log_std - 0.9189385 - 2 * (0.6931472 - raw - F.softplus(-2 * raw))
        return torch.tanh(raw), density.sum(1)


class FlatParameters:
    """The parameters of some modules as one vector, of which each becomes a view: one step moves them all.

    On a CPU, an optimizer's step and a moving average spend most of their time on walking through small parameters.
    Moving the modules to another device or type ends this; build it anew then.
    """

    def __init__(self, modules: Sequence[nn.Module | nn.Parameter]) -> None:
        """modules: in the order of the vector."""
        parts = [list(m.parameters()) if isinstance(m, nn.Module) else [m] for m in modules]
        self.parameters = [parameter for part in parts for parameter in part]
        self.sizes = [sum(p.numel() for p in part) for part in parts]
        self.vector = self.gather([p.data for p in self.parameters])
        chunks = self.vector.split([p.numel() for p in self.parameters])
        for parameter, chunk in zip(self.parameters, chunks, strict=True):
            if _channels_last(parameter):
                out, inside, height, width = parameter.shape
                parameter.data = chunk.view(out, height, width, inside).permute(0, 3, 1, 2)
            else:
                parameter.data = chunk.view(parameter.shape)

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """Tensors shaped as the parameters, in their order -> one vector."""
        pairs = zip(self.parameters, tensors, strict=True)
        return torch.cat([(t.permute(0, 2, 3, 1) if _channels_last(p) else t).reshape(-1) for p, t in pairs])

    def part(self, first: int, last: int) -> Tensor:
        """The part of the vector that belongs to the modules `first` to `last` (exclusive)."""
        return self.vector[sum(self.sizes[:first]) : sum(self.sizes[:last])]


def _channels_last(parameter: Tensor) -> bool:
    return parameter.ndim == 4 and not parameter.is_contiguous()


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


@torch.no_grad()
def initialize_orthogonal(module: nn.Module, gain: float = 2**0.5) -> None:
    """Give every layer an orthogonal matrix times `gain`, and biases of 0; norms are left alone."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            part.weight.copy_(nn.init.orthogonal_(torch.empty(part.weight.shape), gain))
            nn.init.zeros_(cast(Tensor, part.bias))
        elif isinstance(part, Ensemble):
            for weight, bias in zip(part.weights, part.biases, strict=True):
                for member in weight:
                    nn.init.orthogonal_(member, gain)
                nn.init.zeros_(bias)


@torch.no_grad()
def soft_update(source: nn.Module, target: nn.Module, step: float) -> None:
    """Move the target's parameters towards the source's; step: share of the way, 1 copies."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), step)


def contrasted(frames: np.ndarray, background: np.ndarray, contrast: float) -> np.ndarray:
    """Frames (..., C, h, w) uint8 -> 128 + contrast times their difference from the background (C, h, w), uint8."""
    return np.clip(128 + contrast * (frames - background), 0, 255).astype(np.uint8)


def contrast_to_median(frames: np.ndarray, contrast: float) -> np.ndarray:
    """Rewrite frames (E, rows, C, h, w) uint8 in place as `contrasted` to their median (C, h, w), which is returned."""
    background = np.median(frames[:, :: max(1, frames.shape[1] // 200)], axis=(0, 1))
    for own in frames:
        own[:] = contrasted(own, background, contrast)
    return background
