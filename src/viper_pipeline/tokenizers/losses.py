"""Networks that compare reconstructions with frames: a discriminator and a perceptual distance (paper 4.1, Table 1).

The discriminator is StyleGAN's: blurred residual blocks, and an R1 penalty per sample. The perceptual distance is one
in the features of a VGG-16 whose weights the user provides; nothing is downloaded. Unlike LPIPS it has no learned
channel weights: all layers count the same.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import safetensors
import safetensors.numpy
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData
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


class DiscriminatorBlock(nn.Module):
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
        self.blocks = nn.Sequential(*map(DiscriminatorBlock, inputs, widths[1:], widths[:-1]))
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


WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of VGG-16's 3x3 convolutions, stage by stage; 2x2 max-pooling between stages."""


class PerceptualConfig(Config):
    """The perceptual loss."""

    kind: Literal["none", "vgg"] = Field("none", description="vgg: needs `weights`")
    weight: float = Field(0.1, ge=0, description="of the perceptual loss (Table 1)")
    weights: Path | None = Field(
        None,
        description="the 13 convolutions of a VGG-16: safetensors (torchvision's layout) or HDF5 (Keras's)",
    )
    inputs: Literal["torchvision", "caffe"] = Field(
        "torchvision",
        description="input that the weights expect: RGB standardized by ImageNet's mean and deviation, or BGR 0-255 "
        "minus the mean",
    )

    @model_validator(mode="after")
    def _weights_given(self) -> PerceptualConfig:
        if self.kind == "vgg" and self.weights is None:
            raise ValueError("kind vgg needs `weights`: a file with a VGG-16 (or choose kind none)")
        return self


class VGG(nn.Module):
    """A frozen VGG-16; not part of any checkpoint."""

    mean: Tensor
    scale: Tensor

    def __init__(self, path: Path, inputs: str = "torchvision") -> None:
        """Raises BadData if the file holds no VGG-16."""
        super().__init__()
        self.inputs = inputs
        for i, (kernel, bias) in enumerate(read_vgg(path)):
            self.register_buffer(f"kernel{i}", torch.as_tensor(kernel), persistent=False)
            self.register_buffer(f"bias{i}", torch.as_tensor(bias), persistent=False)
        if inputs == "caffe":
            mean, scale = torch.tensor([123.68, 116.779, 103.939]) / 255, torch.full((3,), 1 / 255)
        else:
            mean, scale = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean[:, None, None], persistent=False)
        self.register_buffer("scale", scale[:, None, None], persistent=False)

    def features(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [-1, 1] -> the last activations of the five stages, normalized to length 1 per position."""
        x = ((x + 1) / 2 - self.mean) / self.scale
        if self.inputs == "caffe":
            x = x.flip(1)
        found, i = [], 0
        for stage, widths in enumerate(WIDTHS):
            if stage:
                x = F.max_pool2d(x, 2)
            for _ in widths:
                x = F.relu(F.conv2d(x, getattr(self, f"kernel{i}"), getattr(self, f"bias{i}"), padding=1))
                i += 1
            found.append(x * torch.rsqrt(x.square().sum(1, keepdim=True) + 1e-10))
        return found

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Frames (B, 3, H, W) in [-1, 1], at least 16 pixels wide -> distances (B,)."""
        pairs = zip(self.features(x), self.features(y), strict=True)
        return torch.stack([(a - b).square().sum(1).mean((1, 2)) for a, b in pairs]).sum(0)


def read_vgg(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """The 13 kernels (out, in, 3, 3) and biases (out,), first layer first; other layers are ignored.

    Layers are taken in the natural order of their names (conv2 before conv10) and assigned by shape.
    Raises BadData if the file cannot be read, or the 3x3 convolutions in it are not a VGG-16's.
    """
    layers = _layers(_arrays(Path(path)))
    expected, inputs = [], 3
    for width in (w for stage in WIDTHS for w in stage):
        expected.append((width, inputs))
        inputs = width
    found: dict[tuple[int, int], list[tuple[np.ndarray, np.ndarray]]] = {}
    for kernel, bias in layers:
        found.setdefault((kernel.shape[0], kernel.shape[1]), []).append((kernel, bias))
    for shape in sorted(set(expected)):
        have, need = len(found.get(shape, [])), expected.count(shape)
        if have != need:
            raise BadData(
                f"{path}: no VGG-16: {have} 3x3 convolutions from {shape[1]} to {shape[0]} channels, "
                f"not {need}; `perceptual.weights` wants the 13 of a VGG-16 (or choose kind none)"
            )
    return [found[shape].pop(0) for shape in expected]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _parent(name: str) -> str:
    return re.split(r"[./][^./]*$", name)[0]


def _layers(arrays: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """3x3 kernels (out, in, 3, 3), each with the one vector (out,) that has the same name prefix."""
    layers = []
    for name in sorted(arrays, key=_natural):
        kernel = arrays[name]
        if kernel.ndim != 4:
            continue
        if kernel.shape[2:] != (3, 3):
            kernel = kernel.transpose(3, 2, 0, 1)  # Keras: (3, 3, in, out)
        if kernel.shape[2:] != (3, 3):
            continue
        prefix = _parent(name)
        near = [a for n, a in arrays.items() if a.shape == kernel.shape[:1] and _parent(n) == prefix]
        if len(near) == 1:
            layers.append((np.array(kernel, np.float32, order="C"), np.array(near[0], np.float32)))
    return layers


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.numpy.load(path.read_bytes()))
        arrays: dict[str, np.ndarray] = {}

        def visit(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset) and item.ndim:
                arrays[name] = item[()]

        with h5py.File(path, "r") as file:
            file.visititems(visit)
        return arrays
    except FileNotFoundError as error:
        raise BadData(f"{path}: missing; `perceptual.weights` names a VGG-16's weights, which you provide") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise BadData(f"{path}: neither safetensors nor HDF5 ({error})") from error
