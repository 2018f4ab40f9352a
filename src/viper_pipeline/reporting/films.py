"""Films: frames or GIFs as H.264, which browsers play; every frame, in full color."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from viper_pipeline.data.episode import gif_frames

FRAME_MILLISECONDS = 30
"""How long one frame of an episode is shown."""
ZOOM = 2
"""H.264 keeps one color for four pixels, so that each pixel of a frame becomes four."""
QUALITY = "20"
"""The constant rate factor of the encoder: lower is better; 18 cannot be told from the original."""


INDEX = "films.json"
"""The list of the films of a folder."""


class Film(NamedTuple):
    """One episode on a page."""

    task: str
    name: str  # a method, random or expert
    file: str  # MP4
    ret: float | None  # its true return; None: unknown
    shown: int  # frames
    frames: int  # of the episode; a very long one is cut short
    agent: str = ""  # of a method
    seed: int = 0


def listed_films(files: Mapping[str, bytes]) -> list[Film]:
    """The films of a folder, in the order in which a page shows them."""
    return [Film(**row) for row in json.loads(files.get(INDEX, b"[]"))]


def write_mp4(film: Iterable[np.ndarray], out: Path | BinaryIO, rate: Fraction | int, quality: str = "18") -> None:
    """uint8 (T, H, W, 3), or frame by frame -> an H.264 film that browsers play.

    Odd sizes lose a row or a column, as H.264 demands. Equal films give equal bytes: one thread encodes, and nothing
    says when.
    """
    import av

    target = str(out) if isinstance(out, Path) else out
    with av.open(target, "w", format="mp4") as container:
        options = {"crf": quality, "preset": "slow", "threads": "1"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(film):
            height, width = (side // 2 * 2 for side in frame.shape[:2])
            if not number:
                stream.height, stream.width = height, width
            frame = frame[:height, :width]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def mp4(film: np.ndarray, milliseconds: int = FRAME_MILLISECONDS) -> bytes:
    """A film uint8 (T, H, W, 3) as MP4; milliseconds: of one frame."""
    buffer = io.BytesIO()
    write_mp4(film, buffer, Fraction(1000, milliseconds), QUALITY)
    return buffer.getvalue()


def episode_film(frames: np.ndarray, stride: int = 1) -> bytes:
    """The frames of an episode (T, H, W, 3), enlarged; stride: for how many steps of the environment each stands."""
    return mp4(frames.repeat(ZOOM, 1).repeat(ZOOM, 2), FRAME_MILLISECONDS * stride)


def film_of_gif(film: bytes) -> bytes:
    """Every frame of a GIF as MP4, each for as long as there."""
    frames, milliseconds = gif_frames(film)
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        frames = frames.repeat(ZOOM, 1).repeat(ZOOM, 2)
    return mp4(frames, milliseconds)
