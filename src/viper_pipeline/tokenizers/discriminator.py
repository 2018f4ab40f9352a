"""StyleGAN's discriminator: blurred residual blocks, and its R1 penalty per sample (paper 4.1, Table 1)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from viper_pipeline.core.config import Config
from viper_pipeline.training.initialization import initialize_as_flax


class DiscriminatorConfig(Config):
    """The adversarial loss; a weight of 0 leaves it out."""

    weight: float = Field(0.1, ge=0, description="of the adversarial loss (Table 1); 0: no discriminator")
    r1_gamma: float = Field(
        31.8,
        ge=0,
        description="R1: gamma * mean over samples of |dD/dx|^2. The paper's 1e8 multiplies the mean "
        "square of the gradient of the batch's mean: gamma = 1e8 / (B^2 * H * W * C) for B samples per device, "
        "31.8 for B = 16 (batch 128 on 8 devices), 0.5 for B = 128",
    )
    r1_every: int = Field(
        1, gt=0, description="updates between penalties (lazy regularization); each is scaled by this number"
    )
    width: int = Field(32, gt=0, description="channels of the first layer (Table 1)")
    max_width: int = Field(512, gt=0, description="largest number of channels (Table 1)")
    group: int = Field(4, gt=0, description="samples per group of the minibatch standard deviation (Table 1)")


class Blur(nn.Module):
    """The separable filter [1, 3, 3, 1] / 8, per channel; optionally keeps every second pixel."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(line, line)[None, None], persistent=False)

    def forward(self, x: Tensor, padding: int, stride: int = 1) -> Tensor:
        """(B, C, H, W) -> (B, C, ., .)."""
        channels = x.shape[1]
        return F.conv2d(x, self.kernel.to(x.dtype).expand(channels, 1, 4, 4), None, stride, padding, groups=channels)


class Block(nn.Module):
    """Halves the resolution: 3x3, blurred 3x3 of stride 2, plus a blurred 1x1 shortcut; their sum over sqrt 2."""

    def __init__(self, inputs: int, inner: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, inner, 3, padding=1)
        self.second = nn.Conv2d(inner, outputs, 3, stride=2)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.blur = Blur()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H/2, W/2)."""
        y = F.leaky_relu(self.first(x), 0.01)
        y = F.leaky_relu(self.second(self.blur(y, 2)), 0.01)
        return (y + self.shortcut(self.blur(x, 1, stride=2))) / math.sqrt(2)


def minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """Append one channel: the standard deviation over groups of samples, averaged over channels and positions.

    (B, C, H, W) -> (B, C + 1, H, W). A group is the largest number up to `group` that divides B.
    """
    B, _, H, W = x.shape
    size = max(g for g in range(1, min(group, B) + 1) if B % g == 0)
    y = x.view(size, B // size, *x.shape[1:])
    y = (y.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    return torch.cat([x, y.repeat(size)[:, None, None, None].expand(B, 1, H, W)], 1)


class Discriminator(nn.Module):
    """(B, 3, H, H) -> (B,): logits that a frame is real."""

    def __init__(self, config: DiscriminatorConfig, size: int) -> None:
        """size: height and width of frames in pixels, 4 times a power of two."""
        super().__init__()
        self.config = config
        count = int(math.log2(size)) - 2
        # at 64 px: 64 128 256 512 512, as in the reference; a block's inner width is the next block's input width
        widths = [min(config.max_width, config.width * 2 ** (i + 1)) for i in range(count + 1)]
        inputs = [config.width, *widths[:-2]]
        self.stem = nn.Conv2d(3, config.width, 1)
        self.blocks = nn.Sequential(*map(Block, inputs, widths[1:], widths[:-1]))
        last = widths[count - 1]
        self.last = nn.Conv2d(last + 1, config.max_width, 3)
        self.head = nn.Sequential(
            nn.Linear(config.max_width * 4, config.max_width),
            nn.LeakyReLU(0.01),
            nn.Linear(config.max_width, 1),
        )

    def initialize_as_reference(self) -> None:
        """Weights as the reference code draws them: in the blocks small ones, elsewhere flax's."""
        initialize_as_flax(self)
        for layer in self.blocks.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, H) in [-1, 1] -> (B,)."""
        y = self.blocks(F.leaky_relu(self.stem(x), 0.01))
        y = F.leaky_relu(self.last(minibatch_deviation(y, self.config.group)), 0.01)
        return self.head(y.flatten(1)).squeeze(1)


def r1(logits: Tensor, real: Tensor) -> Tensor:
    """Mean over samples of |d D(x) / dx|^2, from logits (B,) of frames (B, 3, H, H) that require a gradient.

    The sum of the logits is differentiated, not their mean: a sample's penalty must not depend on the batch size.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gradient.float().flatten(1).square().sum(1).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic loss of logits (B,) and (B,)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating logistic loss of logits (B,)."""
    return F.softplus(-fake).mean()
