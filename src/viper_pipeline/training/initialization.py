"""How parameters begin: as in flax, since the reference code names no initialization. Which ones do not decay."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

CUT = 0.87962566103423978
"""Deviation of a standard normal cut at two deviations."""


def without_decay(*parameters: nn.Parameter) -> None:
    """Mark tables of vectors, which weight decay leaves alone although they have two axes."""
    for parameter in parameters:
        parameter.no_decay = True  # type: ignore[attr-defined]


@torch.no_grad()
def lecun_normal(weight: Tensor, fan_in: int) -> None:
    """Fill with a normal of variance 1 / fan_in, cut at two of the deviations it had before it was cut."""
    deviation = 1 / math.sqrt(fan_in) / CUT
    nn.init.trunc_normal_(weight, 0, deviation, -2 * deviation, 2 * deviation)


@torch.no_grad()
def initialize_as_flax(model: nn.Module) -> None:
    """Draw every linear and convolution layer anew: weights by `lecun_normal`, biases nought.

    torch's own begin at a uniform of 0.58 times that deviation. Norms are alike in both. Draws from torch's global
    generator, in the order of `model.modules()`.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            lecun_normal(module.weight, module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
