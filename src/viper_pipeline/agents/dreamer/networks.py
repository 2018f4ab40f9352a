"""DreamerV3's math and layers (Hafner et al. 2023), of which world model and actor-critic are built.

Math: symlog, two-hot, unimix, balanced KL, lambda-returns. Each is tested against an independent implementation.
Layers: MLPs with layer norm and SiLU, convolutions from images to 4 x 4 and back, heads that predict numbers two-hot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BINS = 255
LIMIT = 20.0
"""The bins of a two-hot code are evenly spaced from -LIMIT to LIMIT, in symlog units."""


def symlog(x: Tensor) -> Tensor:
    """sign(x) ln(1 + |x|): compresses numbers of any magnitude."""
    return x.sign() * x.abs().log1p()


def symexp(x: Tensor) -> Tensor:
    """The inverse of `symlog`."""
    return x.sign() * x.abs().expm1()


def two_hot(values: Tensor) -> Tensor:
    """values (...) -> weights (..., BINS) of the two bins around each symlog(value), whose weighted mean it is."""
    place = (symlog(values).clamp(-LIMIT, LIMIT) + LIMIT) * ((BINS - 1) / (2 * LIMIT))
    below = place.floor().clamp(max=BINS - 2).long()
    above = (place - below).unsqueeze(-1)
    code = torch.zeros(*values.shape, BINS, device=values.device)
    code.scatter_(-1, below.unsqueeze(-1), 1 - above)
    return code.scatter_(-1, below.unsqueeze(-1) + 1, above)


def two_hot_loss(logits: Tensor, values: Tensor) -> Tensor:
    """logits (..., BINS), values (...) -> cross-entropy (...) with the values' two-hot codes, in nats."""
    return -(two_hot(values) * F.log_softmax(logits, -1)).sum(-1)


def two_hot_mean(logits: Tensor) -> Tensor:
    """logits (..., BINS) -> predicted values (...): symexp of the mean bin."""
    return symexp(F.softmax(logits, -1) @ torch.linspace(-LIMIT, LIMIT, BINS, device=logits.device))


def unimix(logits: Tensor, uniform: float) -> Tensor:
    """logits (..., K) -> log-probabilities (..., K), mixed with a share `uniform` of the uniform distribution."""
    if not uniform:
        return F.log_softmax(logits, -1)
    return (F.softmax(logits, -1) * (1 - uniform) + uniform / logits.shape[-1]).log()


def categorical_kl(p: Tensor, q: Tensor) -> Tensor:
    """Log-probabilities (..., S, K) of S independent variables -> KL(p, q) (...), in nats."""
    return (p.exp() * (p - q)).sum((-1, -2))


def balanced_kl(posterior: Tensor, prior: Tensor, balance: float, free: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities (..., S, K) -> loss (...), KL (...), in nats.

    The share `balance` of the loss trains the prior towards the posterior, the rest the posterior towards the prior;
    below `free` nats there is no gradient.
    """
    dynamics = categorical_kl(posterior.detach(), prior)
    representation = categorical_kl(posterior, prior.detach())
    loss = balance * dynamics.clamp(min=free) + (1 - balance) * representation.clamp(min=free)
    return loss, dynamics.detach()


def lambda_returns(rewards: Tensor, discounts: Tensor, values: Tensor, lam: float) -> Tensor:
    """Lambda-returns (H, ...) of the first H of H + 1 states.

    rewards (H, ...) of the steps, discounts (H, ...) of what follows them, values (H + 1, ...) of the states.
    lam: 0 bootstraps from the next value, 1 from the last one only.
    """
    following, returns = values[-1], []
    one_step = rewards + discounts * values[1:] * (1 - lam)
    for now, discount in zip(one_step.flip(0), discounts.flip(0), strict=True):
        following = now + discount * lam * following
        returns.append(following)
    return torch.stack(returns[::-1])


SMALLEST = 4
"""Side of the smallest feature map, between encoder and decoder."""


def initialized(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, scale: float = 1.0) -> nn.Module:
    """Initialize weights from a truncated normal of variance scale / mean(fan-in, fan-out), biases with 0."""
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(layer.weight)
    deviation = math.sqrt(scale / ((fan_in + fan_out) / 2)) / 0.87962566103423978
    if scale:
        nn.init.trunc_normal_(layer.weight, 0, deviation, -2 * deviation, 2 * deviation)
    else:
        nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class MLP(nn.Sequential):
    """(..., inputs) -> (..., hidden), or (..., outputs) if given; scale: of the output layer's initial weights."""

    def __init__(self, inputs: int, hidden: int, layers: int, outputs: int = 0, scale: float = 1.0) -> None:
        parts: list[nn.Module] = []
        for a, b in pairwise([inputs] + layers * [hidden]):
            parts += [initialized(nn.Linear(a, b, bias=False)), nn.LayerNorm(b, 1e-3), nn.SiLU()]
        if outputs:
            parts.append(initialized(nn.Linear(hidden, outputs), scale))
        super().__init__(*parts)


class TwoHotHead(nn.Module):
    """Predicts a number by its two-hot code; predicts 0 before it is trained."""

    def __init__(self, inputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.mlp = MLP(inputs, hidden, layers, BINS, scale=0.0)

    def forward(self, features: Tensor) -> Tensor:
        """features (..., F) -> values (...)."""
        return two_hot_mean(self.mlp(features))

    def loss(self, features: Tensor, values: Sequence[Tensor]) -> Tensor:
        """features (..., F), several targets (...) -> the sum of their losses (...), in nats."""
        logits = self.mlp(features)
        return torch.stack([two_hot_loss(logits, value) for value in values]).sum(0)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of feature maps (B, C, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Encoder(nn.Module):
    """Images (..., C, h, w) uint8 -> features (..., size): convolutions halve the image down to 4 x 4."""

    def __init__(self, frame_shape: tuple[int, int, int], depth: int) -> None:
        super().__init__()
        colors, side, _ = frame_shape
        parts: list[nn.Module] = []
        for a, b in pairwise([colors, *_channels(side, depth)]):
            parts += [initialized(nn.Conv2d(a, b, 4, 2, 1, bias=False)), ChannelNorm(b, 1e-3), nn.SiLU()]
        self.convs, self.size = nn.Sequential(*parts), b * SMALLEST**2

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(0, -4).float() / 255 - 0.5
        return self.convs(x).flatten(1).unflatten(0, images.shape[:-3])


class Decoder(nn.Module):
    """Features (..., F) -> images (..., C, h, w) in which 0 is black and 1 is white."""

    def __init__(self, inputs: int, frame_shape: tuple[int, int, int], depth: int) -> None:
        super().__init__()
        colors, side, _ = frame_shape
        channels = [*_channels(side, depth)[::-1], colors]
        self.linear = initialized(nn.Linear(inputs, channels[0] * SMALLEST**2))
        parts: list[nn.Module] = []
        for a, b in pairwise(channels[:-1]):
            parts += [initialized(nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False)), ChannelNorm(b, 1e-3), nn.SiLU()]
        self.convs = nn.Sequential(*parts, initialized(nn.ConvTranspose2d(channels[-2], colors, 4, 2, 1)))

    def forward(self, features: Tensor) -> Tensor:
        x = self.linear(features.flatten(0, -2)).unflatten(1, (-1, SMALLEST, SMALLEST))
        return self.convs(x).unflatten(0, features.shape[:-1]) + 0.5

    def loss(self, features: Tensor, images: Tensor) -> Tensor:
        """Squared error (...), summed over the pixels of images (..., C, h, w) uint8."""
        return F.mse_loss(self(features), images.float() / 255, reduction="none").sum((-1, -2, -3))


def _channels(side: int, depth: int) -> list[int]:
    return [depth * 2**i for i in range((side // SMALLEST).bit_length() - 1)]
