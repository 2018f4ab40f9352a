"""How well a tokenizer gives frames back: a picture, and numbers that do not forget small things."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from viper_pipeline.tokenizers.base import Tokenizer


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
