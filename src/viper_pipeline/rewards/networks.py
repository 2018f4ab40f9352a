"""Small image networks that rewards are made of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


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
