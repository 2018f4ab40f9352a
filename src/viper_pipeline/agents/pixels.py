"""Frames as agents see them: averaged down to a smaller picture, colours first."""

from __future__ import annotations

import numpy as np

from viper_pipeline.errors import BadParams


def seen_shape(frame_shape: tuple[int, int, int], pixels: int) -> tuple[int, int, int]:
    """(H, W, C) of the environment's frames -> (C, pixels, pixels). Raises BadParams where that is not possible."""
    height, width, colours = frame_shape
    if height % pixels or width != height:
        raise BadParams(f"pixels: {pixels} does not divide frames of {height}x{width}")
    return colours, pixels, pixels


def averaged(frames: np.ndarray, pixels: int) -> np.ndarray:
    """Frames (E, H, W, C) uint8 -> means of blocks (E, C, pixels, pixels); colours first: stacks cost nothing."""
    count, height, _, colours = frames.shape
    factor = height // pixels
    blocks = frames.reshape(count, pixels, factor, pixels, factor, colours)
    total = blocks.sum(axis=(2, 4), dtype=np.uint32) + factor * factor // 2
    return (total // (factor * factor)).astype(np.uint8).transpose(0, 3, 1, 2)
