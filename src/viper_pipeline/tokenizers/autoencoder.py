"""Encoders and decoders of the VQ-GAN: the paper's (4.1, Table 1: residual blocks, attention at the lowest resolution),
and a light one for CPUs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


def norm(channels: int, groups: int = 32) -> nn.GroupNorm:
    """GroupNorm with `groups` groups, or the largest smaller number that divides the channels."""
    groups = min(groups, channels)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels, eps=1e-6)


class Residual(nn.Module):
    """Twice norm, swish, 3x3 convolution; a 1x1 shortcut where the width changes."""

    def __init__(self, inputs: int, outputs: int, groups: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(
            norm(inputs, groups),
            nn.SiLU(),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            norm(outputs, groups),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return self.shortcut(x) + self.body(x)


class Attention(nn.Module):
    """One head over all positions, with a residual connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        q, k, v = (part.flatten(2).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, 1))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return x + self.out(y.reshape(x.shape))


class Down(nn.Module):
    """Halves height and width: a 3x3 convolution of stride 2, padded below and to the right."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/2, W/2)."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    """Doubles height and width: nearest neighbor, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2H, 2W)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def middle(width: int) -> list[nn.Module]:
    """Residual, attention, residual, at the resolution of the codes: the only attention of the network."""
    return [Residual(width, width), Attention(width), Residual(width, width)]


def paper_encoder(base: int, multipliers: Sequence[int], blocks: int, latent: int, code: int) -> nn.Sequential:
    """(B, 3, H, W) -> (B, code, H/f, W/f) with f = 2 ** (len(multipliers) - 1)."""
    layers: list[nn.Module] = [nn.Conv2d(3, base, 3, padding=1)]
    width = base
    for level, multiplier in enumerate(multipliers):
        for _ in range(blocks):
            layers.append(Residual(width, base * multiplier))
            width = base * multiplier
        if level < len(multipliers) - 1:
            layers.append(Down(width))
    layers += [*middle(width), norm(width), nn.SiLU(), nn.Conv2d(width, latent, 3, padding=1)]
    return nn.Sequential(*layers, nn.Conv2d(latent, code, 1))


def paper_decoder(base: int, multipliers: Sequence[int], blocks: int, latent: int, code: int) -> nn.Sequential:
    """(B, code, h, w) -> (B, 3, h*f, w*f): the mirrored encoder with one more block per level."""
    width = base * multipliers[-1]
    layers: list[nn.Module] = [
        nn.Conv2d(code, latent, 1),
        nn.Conv2d(latent, width, 3, padding=1),
        *middle(width),
    ]
    for level, multiplier in reversed(list(enumerate(multipliers))):
        for _ in range(blocks + 1):
            layers.append(Residual(width, base * multiplier))
            width = base * multiplier
        if level:
            layers.append(Up(width))
    return nn.Sequential(*layers, norm(width), nn.SiLU(), nn.Conv2d(width, 3, 3, padding=1))


GROUPS = 8
"""Groups of the light network's GroupNorm."""


class Bottleneck(nn.Module):
    """A residual block of two 3x3 convolutions, half as wide inside: half the work of a full one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(width // 2, 1)
        self.body = nn.Sequential(
            norm(width, GROUPS),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, inner, 3, padding=1),
            norm(inner, GROUPS),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> the same shape."""
        return x + self.body(x)


def light_encoder(base: int, multipliers: Sequence[int], blocks: int, code: int) -> nn.Sequential:
    """(B, 3, H, W) -> (B, code, H/f, W/f), f = 2 ** len(multipliers): 4x4 convolutions of stride 2."""
    layers: list[nn.Module] = []
    width = 3
    for multiplier in multipliers:
        layers += [nn.Conv2d(width, base * multiplier, 4, 2, 1), nn.ReLU(inplace=True)]
        width = base * multiplier
    layers += [Bottleneck(width) for _ in range(blocks)]
    return nn.Sequential(*layers, norm(width, GROUPS), nn.ReLU(inplace=True), nn.Conv2d(width, code, 1))


def light_decoder(base: int, multipliers: Sequence[int], blocks: int, code: int) -> nn.Sequential:
    """(B, code, h, w) -> (B, 3, h*f, w*f): transposed 4x4 convolutions of stride 2.

    The last two levels are one convolution that makes 4x4 patches of pixels, faster than two at higher resolution.
    """
    width = base * multipliers[-1]
    layers: list[nn.Module] = [nn.Conv2d(code, width, 3, padding=1)]
    layers += [Bottleneck(width) for _ in range(blocks)]
    layers.append(nn.ReLU(inplace=True))
    for multiplier in reversed(multipliers[1:-1]):
        layers += [nn.ConvTranspose2d(width, base * multiplier, 4, 2, 1), nn.ReLU(inplace=True)]
        width = base * multiplier
    patch = 2 ** min(2, len(multipliers))
    return nn.Sequential(*layers, nn.Conv2d(width, 3 * patch**2, 3, padding=1), nn.PixelShuffle(patch))
