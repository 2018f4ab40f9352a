"""Encoder and decoder for a laptop's CPU: nothing at full resolution, nothing wide but near the codes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from viper_pipeline.tokenizers.networks import norm

GROUPS = 8


class Bottleneck(nn.Module):
    """A residual block of two 3x3 convolutions that is half as wide inside: half the work of a full one."""

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
    """(B, code, h, w) -> (B, 3, h*f, w*f): transposed 4x4 convolutions of stride 2, the last two in one.

    That last convolution makes whole 4x4 patches of pixels: faster than two at higher resolution.
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
