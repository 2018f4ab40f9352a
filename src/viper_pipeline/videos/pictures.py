"""Frames as pictures: strips and GIFs, with the same bytes for the same frames."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image


def png(image: np.ndarray, zoom: int = 1) -> bytes:
    """uint8 (H, W, 3) -> PNG, each pixel `zoom` times as large."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image).repeat(zoom, 0).repeat(zoom, 1)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def strip(rows: Sequence[np.ndarray], zoom: int = 1) -> bytes:
    """Videos uint8 (T, H, W, 3), one a row, their frames side by side -> PNG."""
    lines = [np.concatenate(list(np.asarray(row)), 1) for row in rows]
    width = max(line.shape[1] for line in lines)
    return png(np.concatenate([np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0))) for line in lines]), zoom)


def gif(frames: np.ndarray, milliseconds: int = 50, zoom: int = 2) -> bytes:
    """A video uint8 (T, H, W, 3) -> GIF."""
    images = [Image.fromarray(f.repeat(zoom, 0).repeat(zoom, 1)).quantize(64) for f in np.asarray(frames)]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    return buffer.getvalue()
