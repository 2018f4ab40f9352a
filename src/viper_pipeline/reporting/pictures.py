"""Pictures as bytes: figures as WebP and SVG, films as animated WebP, everything as data URLs."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageSequence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 90
FILM_EVERY = 4
"""One in so many frames of a film is kept."""
FILM_WIDTH = 100
"""Pixels. Wider films were enlarged when they were made; the page enlarges them again."""
QUALITY = 50
"""Of WebP, for frames: a tenth of the bytes, and a loss that is seen only beside the original."""


def decode_picture(content: bytes) -> np.ndarray:
    """A PNG as (H, W, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def figure_webp(figure: Figure, dpi: int = DPI, lossless: bool = True) -> bytes:
    """A figure as WebP; equal figures give equal bytes. The figure is closed. lossless: no, if it shows frames."""
    import matplotlib.pyplot as plt

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, metadata={"Software": None})
    plt.close(figure)
    settings = {"lossless": True} if lossless else {"quality": QUALITY}
    Image.open(drawn).convert("RGB").save(small, "WEBP", **settings)
    return small.getvalue()


def figure_svg(figure: Figure) -> bytes:
    """A figure as SVG; equal figures give equal bytes. The figure stays open."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "viper", "svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    figure.set_layout_engine("none")  # everything has its place now, and finding it takes longer than drawing
    return buffer.getvalue()


def short_film(film: bytes) -> bytes:
    """A GIF as animated WebP: one in FILM_EVERY frames, as much longer, at half the size if it was enlarged."""
    source = Image.open(io.BytesIO(film))
    shrink = 2 if source.width > FILM_WIDTH else 1
    size, duration = (source.width // shrink, source.height // shrink), int(source.info.get("duration", 50))
    frames = [
        frame.convert("RGB").resize(size, Image.Resampling.NEAREST)
        for number, frame in enumerate(ImageSequence.Iterator(source))
        if number % FILM_EVERY == 0
    ]
    buffer = io.BytesIO()
    settings = {"duration": duration * FILM_EVERY, "loop": 0, "quality": QUALITY}
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], **settings)
    return buffer.getvalue()


def compact(picture: bytes) -> bytes:
    """A PNG as WebP: lossless for line drawings, lossy for frames, where that takes less than half the bytes."""
    source = Image.open(io.BytesIO(picture)).convert("RGB")
    exact, lossy = io.BytesIO(), io.BytesIO()
    source.save(exact, "WEBP", lossless=True)
    source.save(lossy, "WEBP", quality=QUALITY)
    return exact.getvalue() if len(exact.getvalue()) < 2 * len(lossy.getvalue()) else lossy.getvalue()


def embed(content: bytes) -> str:
    """A WebP, or a PNG made smaller, as a data URL."""
    webp = content if content[:4] == b"RIFF" else compact(content)
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"
