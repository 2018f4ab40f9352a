"""What a tokenizer offers: codes for the video models, pictures for people, a loss for the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from viper_pipeline.training.artifacts import Directory


class Tokenizer(Protocol):
    """Frames (N, H, W, C) uint8 <-> codes (N, h, w) int64 in 0..K-1, for all tasks of a suite."""

    @property
    def parts(self) -> Mapping[str, list[nn.Parameter]]:
        """The parameters of each part, in the order of their updates."""
        ...

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w): codes of a frame."""

    @property
    def codebook(self) -> Tensor:
        """(K, D): the vectors that codes stand for."""

    def encode(self, frames: Tensor) -> Tensor:
        """uint8 (N, H, W, C) -> int64 (N, h, w). A frame's codes never depend on the frames beside it."""

    def decode(self, codes: Tensor) -> Tensor:
        """Integers (N, h, w) -> uint8 (N, H, W, C)."""

    def loss(self, batch: tuple[Tensor, Tensor], part: str) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one part on (frames uint8 (B, H, W, C), task ids (B,)), and detached metrics."""

    def to_directory(self) -> Directory:
        """Weights and configuration, for the disk."""

    @classmethod
    def from_directory(cls, directory: Directory) -> Any:
        """The tokenizer that `to_directory` described, ready to encode and decode."""


def to_float(frames: Tensor) -> Tensor:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in [-1, 1]."""
    return torch.as_tensor(frames).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """float (N, C, H, W), clipped to [-1, 1] -> uint8 (N, H, W, C), rounded."""
    return ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
