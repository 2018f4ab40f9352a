"""Films and pictures, small enough for a page that holds many."""

from __future__ import annotations

import io

from PIL import Image, ImageSequence

EVERY = 2
"""Frames of the film that become one of the page's."""
QUALITY = 75
"""Of WebP, for frames: a tenth of the bytes, and a loss that is seen only beside the original."""
WIDEST = 100
"""Pixels; wider films were enlarged when they were made, and the page enlarges them again."""


def smaller(film: bytes) -> bytes:
    """A GIF with every second frame at twice the time, at half the size if it was enlarged."""
    source = Image.open(io.BytesIO(film))
    shrink = 2 if source.width > WIDEST else 1
    frames, duration = [], int(source.info.get("duration", 50))
    for number, frame in enumerate(ImageSequence.Iterator(source)):
        if number % EVERY == 0:
            whole = frame.convert("RGB")
            size = (whole.width // shrink, whole.height // shrink)
            frames.append(whole.resize(size, Image.Resampling.NEAREST).quantize(64, dither=Image.Dither.NONE))
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration * EVERY, loop=0)
    return buffer.getvalue()


def compact(picture: bytes) -> bytes:
    """A PNG as WebP: exactly if it has a palette, as line drawings here have; else, as frames do, nearly."""
    source = Image.open(io.BytesIO(picture))
    buffer = io.BytesIO()
    lines = source.mode == "P"
    source.convert("RGB").save(buffer, "WEBP", lossless=lines, quality=QUALITY)
    return buffer.getvalue()
