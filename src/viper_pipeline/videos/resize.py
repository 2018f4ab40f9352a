"""Frames of any size as squares of the size that models read."""

from __future__ import annotations

import numpy as np
from PIL import Image


def resized(frames: np.ndarray, size: int) -> np.ndarray:
    """uint8 (T, H, W, 3) -> (T, size, size, 3): each new pixel is the mean of the area it covers."""
    if frames.shape[1:3] == (size, size):
        return frames
    return np.stack([np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BOX)) for frame in frames])
