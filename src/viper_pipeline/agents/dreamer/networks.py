"""The networks of DreamerV3: layers with layer norm and SiLU, pictures to 4 x 4 and back, two-hot heads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BINS = 255
LIMIT = 20.0
"""Bins of a two-hot code lie evenly from -LIMIT to LIMIT, in symlog units."""


def symlog(x: Tensor) -> Tensor:
    """sign(x) ln(1 + |x|): numbers of any size become small ones."""
    return x.sign() * x.abs().log1p()


def symexp(x: Tensor) -> Tensor:
    """The inverse of `symlog`."""
    return x.sign() * x.abs().expm1()


def two_hot(values: Tensor) -> Tensor:
    """values (...) -> weights (..., BINS) of the two bins around each symlog(value); their mean is that."""
    place = (symlog(values).clamp(-LIMIT, LIMIT) + LIMIT) * ((BINS - 1) / (2 * LIMIT))
    below = place.floor().clamp(max=BINS - 2).long()
    above = (place - below).unsqueeze(-1)
    code = torch.zeros(*values.shape, BINS, device=values.device)
    code.scatter_(-1, below.unsqueeze(-1), 1 - above)
    return code.scatter_(-1, below.unsqueeze(-1) + 1, above)


def two_hot_loss(logits: Tensor, values: Tensor) -> Tensor:
    """logits (..., BINS), values (...) -> cross-entropy (...) with their two-hot codes, in nats."""
    return -(two_hot(values) * F.log_softmax(logits, -1)).sum(-1)


def two_hot_mean(logits: Tensor) -> Tensor:
    """logits (..., BINS) -> the value (...) they stand for: symexp of the mean bin."""
    return symexp(F.softmax(logits, -1) @ torch.linspace(-LIMIT, LIMIT, BINS, device=logits.device))


def mixed(logits: Tensor, uniform: float) -> Tensor:
    """logits (..., K) -> log-probabilities (..., K) with a share `uniform` spread evenly over all classes."""
    if not uniform:
        return F.log_softmax(logits, -1)
    return (F.softmax(logits, -1) * (1 - uniform) + uniform / logits.shape[-1]).log()


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """log-probabilities (..., S, K) of S independent variables -> KL(p, q) (...), in nats."""
    return (p.exp() * (p - q)).sum((-1, -2))


def balanced_kl(posterior: Tensor, prior: Tensor, balance: float, free: float) -> tuple[Tensor, Tensor]:
    """log-probabilities (..., S, K) -> loss (...), KL (...).

    The share `balance` of the loss draws the prior to the posterior, the rest the posterior to the prior;
    below `free` nats neither is drawn.
    """
    dynamics = divergence(posterior.detach(), prior)
    representation = divergence(posterior, prior.detach())
    loss = balance * dynamics.clamp(min=free) + (1 - balance) * representation.clamp(min=free)
    return loss, dynamics.detach()


def lambda_returns(rewards: Tensor, discounts: Tensor, values: Tensor, mix: float) -> Tensor:
    """Returns (H, ...) of the first H states of H + 1.

    rewards (H, ...) of the steps, discounts (H, ...) of what follows them, values (H + 1, ...) of the states;
    mix: lambda, 0 trusts the next value, 1 none but the last.
    """
    following, returns = values[-1], []
    one_step = rewards + discounts * values[1:] * (1 - mix)
    for now, discount in zip(one_step.flip(0), discounts.flip(0), strict=True):
        following = now + discount * mix * following
        returns.append(following)
    return torch.stack(returns[::-1])


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
