"""One recorded rollout."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageSequence

Kind = Literal["expert", "noisy", "random", "idle"]
"""Who acted: an expert, an expert under noise, uniformly random actions, or the action that does nothing."""
KINDS: tuple[Kind, ...] = ("expert", "noisy", "random", "idle")
"""Their order is the code in which files store them."""


@dataclass(frozen=True)
class Episode:
    """A video with its true rewards.

    frames: uint8 (T, H, W, C), or int16 codes (T, h, w).
    rewards: float32 (T,); rewards[t] belongs to the transition into frame t, rewards[0] is 0; all NaN if unknown.
    """

    frames: np.ndarray
    rewards: np.ndarray
    seed: int = 0
    kind: str = "expert"

    @property
    def ret(self) -> float:
        """The true return: the sum of the rewards, NaN if unknown."""
        return float(np.sum(self.rewards, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.frames)


def unknown_rewards(length: int) -> np.ndarray:
    """Rewards of a video that has none, (T,): NaN."""
    return np.full(length, np.nan, np.float32)


def png(image: np.ndarray, zoom: int = 1) -> bytes:
    """uint8 (H, W, 3) -> PNG, each pixel `zoom` times as large."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image).repeat(zoom, 0).repeat(zoom, 1)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def strip(rows: Sequence[np.ndarray], zoom: int = 1) -> bytes:
    """Videos uint8 (T, H, W, 3), one per row, their frames side by side -> PNG."""
    lines = [np.concatenate(list(np.asarray(row)), 1) for row in rows]
    width = max(line.shape[1] for line in lines)
    return png(np.concatenate([np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0))) for line in lines]), zoom)


def gif(frames: np.ndarray, milliseconds: int = 50, zoom: int = 2) -> bytes:
    """A video uint8 (T, H, W, 3) -> GIF."""
    images = [Image.fromarray(f.repeat(zoom, 0).repeat(zoom, 1)).quantize(64) for f in np.asarray(frames)]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    return buffer.getvalue()


def gif_frames(content: bytes) -> tuple[np.ndarray, int]:
    """A GIF -> every frame in full color, uint8 (T, H, W, 3), and for how many milliseconds the first is shown."""
    with Image.open(io.BytesIO(content)) as image:
        milliseconds = int(image.info.get("duration", 50)) or 50
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]), milliseconds


def resized(frames: np.ndarray, size: int) -> np.ndarray:
    """uint8 (T, H, W, 3) -> (T, size, size, 3): each new pixel is the mean of the area it covers."""
    if frames.shape[1:3] == (size, size):
        return frames
    return np.stack([np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BOX)) for frame in frames])
