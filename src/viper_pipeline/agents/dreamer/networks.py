"""The networks of DreamerV3: layers with layer norm and SiLU, pictures to 4 x 4 and back, two-hot heads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viper_pipeline.agents.dreamer.formulas import BINS, two_hot_loss, two_hot_mean

SMALLEST = 4
"""Side of the picture between encoder and decoder."""


def initialised(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, scale: float = 1.0) -> nn.Module:
    """Weights from a normal cut at two deviations, of variance scale / mean of fan-in and fan-out; no bias."""
    one, two = nn.init._calculate_fan_in_and_fan_out(layer.weight)
    deviation = math.sqrt(scale / ((one + two) / 2)) / 0.87962566103423978
    if scale:
        nn.init.trunc_normal_(layer.weight, 0, deviation, -2 * deviation, 2 * deviation)
    else:
        nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class MLP(nn.Sequential):
    """(..., inputs) -> (..., units), or (..., outputs) where they are given; their weights begin at `scale`."""

    def __init__(self, inputs: int, units: int, layers: int, outputs: int = 0, scale: float = 1.0) -> None:
        parts: list[nn.Module] = []
        for a, b in pairwise([inputs] + layers * [units]):
            parts += [initialised(nn.Linear(a, b, bias=False)), nn.LayerNorm(b, 1e-3), nn.SiLU()]
        if outputs:
            parts.append(initialised(nn.Linear(units, outputs), scale))
        super().__init__(*parts)


class TwoHotHead(nn.Module):
    """Predicts a number by a two-hot code; says 0 before it has learned."""

    def __init__(self, inputs: int, units: int, layers: int) -> None:
        super().__init__()
        self.mlp = MLP(inputs, units, layers, BINS, scale=0.0)

    def forward(self, features: Tensor) -> Tensor:
        """features (..., F) -> values (...)."""
        return two_hot_mean(self.mlp(features))

    def loss(self, features: Tensor, values: Sequence[Tensor]) -> Tensor:
        """features (..., F) -> the sum of the losses (...) for several targets (...)."""
        logits = self.mlp(features)
        return torch.stack([two_hot_loss(logits, value) for value in values]).sum(0)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of pictures (B, C, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Encoder(nn.Module):
    """Pictures (..., C, h, w) uint8 -> features (..., size): halved by convolutions down to 4 x 4."""

    def __init__(self, frame_shape: tuple[int, int, int], depth: int) -> None:
        super().__init__()
        colours, side, _ = frame_shape
        parts: list[nn.Module] = []
        for a, b in pairwise([colours, *_channels(side, depth)]):
            parts += [initialised(nn.Conv2d(a, b, 4, 2, 1, bias=False)), ChannelNorm(b, 1e-3), nn.SiLU()]
        self.convs, self.size = nn.Sequential(*parts), b * SMALLEST**2

    def forward(self, pictures: Tensor) -> Tensor:
        x = pictures.flatten(0, -4).float() / 255 - 0.5
        return self.convs(x).flatten(1).unflatten(0, pictures.shape[:-3])


class Decoder(nn.Module):
    """Features (..., F) -> pictures (..., C, h, w), black at 0 and white at 1."""

    def __init__(self, inputs: int, frame_shape: tuple[int, int, int], depth: int) -> None:
        super().__init__()
        colours, side, _ = frame_shape
        channels = [*_channels(side, depth)[::-1], colours]
        self.linear = initialised(nn.Linear(inputs, channels[0] * SMALLEST**2))
        parts: list[nn.Module] = []
        for a, b in pairwise(channels[:-1]):
            parts += [initialised(nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False)), ChannelNorm(b, 1e-3), nn.SiLU()]
        self.convs = nn.Sequential(*parts, initialised(nn.ConvTranspose2d(channels[-2], colours, 4, 2, 1)))

    def forward(self, features: Tensor) -> Tensor:
        x = self.linear(features.flatten(0, -2)).unflatten(1, (-1, SMALLEST, SMALLEST))
        return self.convs(x).unflatten(0, features.shape[:-1]) + 0.5

    def loss(self, features: Tensor, pictures: Tensor) -> Tensor:
        """Squared error (...) summed over the pixels of pictures (..., C, h, w) uint8."""
        return F.mse_loss(self(features), pictures.float() / 255, reduction="none").sum((-1, -2, -3))


def _channels(side: int, depth: int) -> list[int]:
    return [depth * 2**i for i in range((side // SMALLEST).bit_length() - 1)]
