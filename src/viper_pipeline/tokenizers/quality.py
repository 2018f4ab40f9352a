"""How well a tokenizer keeps what it encodes: reconstruction errors, apart for foreground and background."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from viper_pipeline.tokenizers.base import Tokenizer

THRESHOLD = 20
"""Gray levels (0-255, in any channel) by which a foreground pixel differs from the background."""


def median_background(frames: np.ndarray | Tensor, most: int = 2000) -> np.ndarray:
    """frames uint8 (N, H, W, C) of one task -> uint8 (H, W, C), the median of `most` of them, evenly spaced.

    Frames of varied behavior give a better background: what an expert never moves would count as background too.
    """
    frames = np.asarray(frames)
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int))]
    middle = np.partition(chosen, (len(chosen) - 1) // 2, axis=0)[(len(chosen) - 1) // 2]
    return np.ascontiguousarray(middle)


def median_backgrounds(frames_by_task: Sequence[np.ndarray | Tensor]) -> Tensor:
    """Frames of each task, in the order of task ids -> uint8 (tasks, H, W, C)."""
    return torch.as_tensor(np.stack([median_background(frames) for frames in frames_by_task]))


class Foreground(nn.Module):
    """Separates foreground from background, given the background of every task."""

    backgrounds: Tensor

    def __init__(self, backgrounds: Tensor) -> None:
        """backgrounds: uint8 (tasks, H, W, C)."""
        super().__init__()
        self.register_buffer("backgrounds", backgrounds.clone())

    def mask(self, frames: Tensor, task: Tensor) -> Tensor:
        """uint8 (B, H, W, C), task ids (B,) -> bool (B, 1, H, W)."""
        difference = (frames.short() - self.backgrounds[task.long()].short()).abs()
        return (difference.amax(3) > THRESHOLD)[:, None]


def reconstruct(tokenizer: Tokenizer, frames: np.ndarray | Tensor) -> np.ndarray:
    """uint8 (N, H, W, C) -> the same frames encoded and decoded, uint8 (N, H, W, C)."""
    return tokenizer.decode(tokenizer.encode(torch.as_tensor(frames))).cpu().numpy()


def psnr(frames: np.ndarray, reconstructions: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over uint8 (N, H, W, C); infinite where nothing differs."""
    error = np.square(frames.astype(np.float64) - reconstructions).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def foreground_l1(frames: np.ndarray, reconstructions: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute error in gray levels (0-255) where the bool mask (N, H, W) holds; NaN if nowhere."""
    error = np.abs(frames.astype(np.float64) - reconstructions).mean(-1)[mask]
    return float(error.mean()) if error.size else float("nan")


def quality(frames: np.ndarray, reconstructions: np.ndarray, mask: np.ndarray | None = None) -> dict[str, float]:
    """psnr (dB), and with a foreground mask (N, H, W) foreground_l1 and background_l1 (gray levels)."""
    numbers = {"psnr": psnr(frames, reconstructions)}
    if mask is not None:
        numbers["foreground_l1"] = foreground_l1(frames, reconstructions, mask)
        numbers["background_l1"] = foreground_l1(frames, reconstructions, ~mask)
    return numbers


def picture(rows: Sequence[tuple[np.ndarray, np.ndarray]], zoom: int = 2) -> bytes:
    """A PNG: for each (frames, reconstructions), both uint8 (N, H, W, C), one row of each, frames above."""
    lines = [np.concatenate(list(images), 1) for pair in rows for images in pair]
    width = max(line.shape[1] for line in lines)
    page = np.concatenate([np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0))) for line in lines])
    page = page.repeat(zoom, 0).repeat(zoom, 1)
    buffer = io.BytesIO()
    Image.fromarray(page.squeeze(-1) if page.shape[-1] == 1 else page).save(buffer, "png")
    return buffer.getvalue()
