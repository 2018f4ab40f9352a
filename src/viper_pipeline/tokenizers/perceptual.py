"""Perceptual distance in the features of a VGG-16 whose weights the user provides (paper 4.1: LPIPS); no downloads.

Unlike LPIPS it has no learned channel weights: all layers count the same.
"""

from __future__ import annotations

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
