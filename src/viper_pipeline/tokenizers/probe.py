"""Are small things that matter still there after a tokenizer: a game's ball, chicken or player, found by its color.

Reconstruction errors are means over pixels, and a ball is one of 4,096. So of games whose figure is known here it is
looked up in frames and in their reconstructions: the box of the figure's size that looks most like its color. Found
means: at most `NEAR` pixels from where it is in the frame, with at least `KEPT` of what it weighs there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from viper_pipeline.core.files import Json

NEAR = 2.0
"""Pixels by which a figure that counts as found may be off."""
KEPT = 0.25
"""Share of its weight that a figure keeps at least if it counts as found."""
SIDE = 64
"""Side of the frames in whose pixels figures are described."""
CONTRAST = 60.0
"""Gray levels by which a figure's color must differ from a pixel's background to be seen there."""
CHUNK = 256
"""Frames looked at together, which bounds memory."""


@dataclass(frozen=True)
class Figure:
    """Something small that a game is about, in frames of 64x64 pixels."""

    name: str
    color: tuple[int, int, int]
    size: tuple[int, int]
    """Height and width of a box around it."""
    region: tuple[int, int, int, int]
    """Rows and columns (top, bottom, left, right) in which it is looked for; bottom and right are not in it."""
    least: float
    """What it weighs at least where it is on the screen: the sum of a box's likeness, at most the box's area."""


FIGURES: Mapping[str, Mapping[str, Figure]] = {
    "atari": {
        "boxing": Figure("white boxer", (214, 214, 214), (14, 5), (9, 57, 8, 54), 15.0),
        "freeway": Figure("chicken", (252, 252, 84), (3, 3), (6, 62, 15, 22), 0.8),
        "kangaroo": Figure("kangaroo", (223, 183, 85), (8, 4), (9, 56, 6, 58), 6.0),
        "pong": Figure("ball", (236, 236, 236), (3, 3), (13, 57, 10, 54), 0.4),
    }
}
"""Suite -> task -> its figure. Colors are those of the console; sizes and places were read off its memory."""


def likeness(frames: np.ndarray, background: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """How much of each pixel is of a color and not of the background: uint8 (N, H, W, 3), (H, W, 3) -> (N, H, W).

    From 0 to 1. What is neither counts against it, and where the background is nearly of the color, it is 0.
    """
    base = background.astype(np.float32)
    towards = np.asarray(color, np.float32) - base
    length = np.linalg.norm(towards, axis=-1)
    away = frames.astype(np.float32) - base
    share = (away * towards).sum(-1) / np.maximum(length, 1.0) ** 2
    rest = np.linalg.norm(away - share[..., None] * towards, axis=-1) / np.maximum(length, 1.0)
    return np.where(length >= CONTRAST, np.clip(np.clip(share, 0, 1) - rest, 0, 1), 0.0)


def located(frames: np.ndarray, background: np.ndarray, figure: Figure) -> tuple[np.ndarray, np.ndarray]:
    """Where a figure is: uint8 (N, S, S, 3) and its background -> centers (N, 2), row and column, and weights (N,).

    The heaviest box of the figure's size in its region; its center is that of what lies in it. Pixels are those of a
    frame of 64x64 pixels, whatever S is.
    """
    if len(frames) > CHUNK:
        parts = [located(frames[i : i + CHUNK], background, figure) for i in range(0, len(frames), CHUNK)]
        return np.concatenate([p for p, _ in parts]), np.concatenate([w for _, w in parts])
    unit = frames.shape[1] / SIDE
    top, bottom, left, right = (round(edge * unit) for edge in figure.region)
    high, wide = (max(1, round(length * unit)) for length in figure.size)
    seen = likeness(frames[:, top:bottom, left:right], background[top:bottom, left:right], figure.color)
    boxes = sliding_window_view(seen, (1, high, wide))[:, :, :, 0]
    sums = boxes.sum((-2, -1)).reshape(len(frames), -1)
    best = sums.argmax(1)
    weights = sums[np.arange(len(frames)), best]
    row, column = np.divmod(best, boxes.shape[2])
    chosen = boxes[np.arange(len(frames)), row, column] + 1e-6 * np.ones((high, wide), np.float32)
    mass = chosen.sum((1, 2))
    down = (chosen.sum(2) * np.arange(high)).sum(1) / mass + row + top
    across = (chosen.sum(1) * np.arange(wide)).sum(1) / mass + column + left
    return (np.stack([down, across], 1) + 0.5) / unit, weights / unit**2


def found_again(frames: np.ndarray, again: np.ndarray, background: np.ndarray, figure: Figure) -> Json:
    """Whether a figure is where it was: frames and reconstructions, both uint8 (N, S, S, 3), and the background.

    Returns the number of `frames` in which the figure is, the share of them in which it is `found` again, and the
    share of its weight that it has `kept`, at most all of it in each frame; null without such a frame.
    """
    where, weight = located(frames, background, figure)
    there, left = located(again, background, figure)
    shown = weight >= figure.least
    if not shown.any():
        return {"frames": 0, "found": None, "kept": None}
    near = np.linalg.norm(where - there, axis=1)[shown] <= NEAR
    kept = np.minimum(left[shown] / weight[shown], 1.0)
    return {
        "frames": int(shown.sum()),
        "found": float((near & (kept >= KEPT)).mean()),
        "kept": float(np.where(near, kept, 0.0).mean()),
    }
