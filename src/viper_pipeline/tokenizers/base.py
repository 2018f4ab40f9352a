"""What a tokenizer offers: codes for the video models, pictures for people, a loss for the training loop."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
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


def reconstruct(tokenizer: Tokenizer, frames: np.ndarray | Tensor) -> np.ndarray:
    """uint8 (N, H, W, C) -> what is left after encoding and decoding, uint8 (N, H, W, C)."""
    return tokenizer.decode(tokenizer.encode(torch.as_tensor(frames))).cpu().numpy()


def psnr(frames: np.ndarray, again: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over uint8 (N, H, W, C); infinite where nothing differs."""
    error = np.square(frames.astype(np.float64) - again).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def foreground_l1(frames: np.ndarray, again: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute error in grey levels (0-255) where the bool mask (N, H, W) holds; NaN if nowhere."""
    error = np.abs(frames.astype(np.float64) - again).mean(-1)[mask]
    return float(error.mean()) if error.size else float("nan")


def quality(frames: np.ndarray, again: np.ndarray, mask: np.ndarray | None = None) -> dict[str, float]:
    """psnr (dB), and with a foreground mask (N, H, W) foreground_l1 and background_l1 (grey levels)."""
    numbers = {"psnr": psnr(frames, again)}
    if mask is not None:
        numbers["foreground_l1"] = foreground_l1(frames, again, mask)
        numbers["background_l1"] = foreground_l1(frames, again, ~mask)
    return numbers


def picture(rows: Sequence[tuple[np.ndarray, np.ndarray]], zoom: int = 2) -> bytes:
    """A PNG: for each (frames, again), both uint8 (N, H, W, C), a row of frames above what came back."""
    lines = [np.concatenate(list(images), 1) for pair in rows for images in pair]
    width = max(line.shape[1] for line in lines)
    page = np.concatenate([np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0))) for line in lines])
    page = page.repeat(zoom, 0).repeat(zoom, 1)
    buffer = io.BytesIO()
    Image.fromarray(page.squeeze(-1) if page.shape[-1] == 1 else page).save(buffer, "png")
    return buffer.getvalue()
