"""Small moving things count more: pixels that differ from their task's median background weigh more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

THRESHOLD = 20
"""Grey levels (0-255, in any channel) by which a foreground pixel differs from the background."""


def median_background(frames: np.ndarray | Tensor, most: int = 2000) -> np.ndarray:
    """frames uint8 (N, H, W, C) of one task -> uint8 (H, W, C), the median of `most` of them, evenly spaced.

    Frames of varied behaviour give a better background: what an expert never moves is background too.
    """
    frames = np.asarray(frames)
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int))]
    middle = np.partition(chosen, (len(chosen) - 1) // 2, axis=0)[(len(chosen) - 1) // 2]
    return np.ascontiguousarray(middle)


def median_backgrounds(frames_by_task: Sequence[np.ndarray | Tensor]) -> Tensor:
    """Frames of each task, in the order of task ids -> uint8 (tasks, H, W, C)."""
    return torch.as_tensor(np.stack([median_background(frames) for frames in frames_by_task]))


class Foreground(nn.Module):
    """Knows every task's background."""

    backgrounds: Tensor

    def __init__(self, backgrounds: Tensor) -> None:
        """backgrounds: uint8 (tasks, H, W, C)."""
        super().__init__()
        self.register_buffer("backgrounds", backgrounds.clone())

    def mask(self, frames: Tensor, task: Tensor) -> Tensor:
        """uint8 (B, H, W, C), task ids (B,) -> bool (B, 1, H, W)."""
        difference = (frames.short() - self.backgrounds[task.long()].short()).abs()
        return (difference.amax(3) > THRESHOLD)[:, None]
