"""Films and pictures, small enough for a page that holds many."""

from __future__ import annotations

import io

from PIL import Image, ImageSequence

EVERY = 4
"""Frames of the film that become one of the page's."""
COLOURS = 32
"""Of films and strips of frames."""
QUALITY = 50
"""Of WebP, for frames: a tenth of the bytes, and a loss that is seen only beside the original."""
WIDEST = 100
"""Pixels; wider films were enlarged when they were made, and the page enlarges them again."""


def smaller(film: bytes) -> bytes:
    """A GIF with every fourth frame at four times the time, at half the size if it was enlarged."""
    source = Image.open(io.BytesIO(film))
    shrink = 2 if source.width > WIDEST else 1
    frames, duration = [], int(source.info.get("duration", 50))
    for number, frame in enumerate(ImageSequence.Iterator(source)):
        if number % EVERY == 0:
            whole = frame.convert("RGB")
            size = (whole.width // shrink, whole.height // shrink)
            frames.append(whole.resize(size, Image.Resampling.NEAREST).quantize(COLOURS, dither=Image.Dither.NONE))
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration * EVERY, loop=0)
    return buffer.getvalue()


def flatter(picture: bytes) -> bytes:
    """A PNG in few colours: a strip of frames at half its bytes."""
    buffer = io.BytesIO()
    few = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def compact(picture: bytes) -> bytes:
    """A PNG as WebP: exactly, as line drawings deserve, unless half the bytes do for it nearly, as for frames."""
    source = Image.open(io.BytesIO(picture)).convert("RGB")
    exact, nearly = io.BytesIO(), io.BytesIO()
    source.save(exact, "WEBP", lossless=True)
    source.save(nearly, "WEBP", quality=QUALITY)
    return exact.getvalue() if len(exact.getvalue()) < 2 * len(nearly.getvalue()) else nearly.getvalue()
