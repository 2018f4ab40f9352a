"""Folders of .mp4, .gif and other videos.

Each stored frame becomes one frame, whatever the file says of its time: nothing is repeated or dropped to reach a
constant rate. Lossy videos carry no checksums. Every video of which the decoder reports an error, or that has fewer
frames than its index promises, is refused; of single flipped bits a decoder notices about half.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode, resized, unknown_rewards
from viper_pipeline.data.importers import checked_frames

ENDINGS = (".mp4", ".gif", ".avi", ".mov", ".webm", ".mkv", ".m4v")
STRICT = {"err_detect": "explode"}
"""ffmpeg's option: errors end the decoding, where it would conceal them."""
TRAILER = b";"
"""The last byte of every GIF."""


def read_video_files(path: Path, size: int, **_: object) -> Iterator[Episode]:
    """Every video below `path`, in the order of names; each is one episode of unknown return.

    Raises BadData naming the file for videos that are damaged, cut short or empty.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
    if not files:
        raise BadData(f"{path}: holds no video ({', '.join(ENDINGS)})")
    for file in files:
        frames = _frames(file, size)
        yield Episode(frames, unknown_rewards(len(frames)))


def _frames(file: Path, size: int) -> np.ndarray:
    """All frames (T, size, size, 3), each resized as it is decoded: a video of full size would not fit into memory."""
    decode = _decode_gif if file.suffix.lower() == ".gif" else _decode
    try:
        frames = [resized(checked_frames(frame[None], file, least=1), size)[0] for frame in decode(file)]
    except BadData:
        raise
    except Exception as error:  # decoders have many exceptions of their own
        raise BadData(f"{file}: not a readable video, damaged or cut short ({_first_line(error)})") from error
    if not frames:
        raise BadData(f"{file}: holds no frame")
    return checked_frames(np.stack(frames), file)


def _decode(file: Path) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8, turned as the file says. One thread: equal frames on every machine."""
    import av

    av.logging.set_level(av.logging.ERROR)
    with av.logging.Capture(local=True) as errors, av.open(str(file), options=STRICT) as container:
        if not container.streams.video:
            raise BadData(f"{file}: has no pictures in it")
        stream = container.streams.video[0]
        stream.codec_context.options = STRICT
        stream.thread_type = "NONE"
        count = 0
        for frame in container.decode(stream):
            yield np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
            count += 1
        if errors:
            raise BadData(f"{file}: not a readable video, damaged or cut short ({errors[0][2].strip()})")
        if stream.frames and count < stream.frames:
            raise BadData(f"{file}: cut short: {count} of {stream.frames} frames can be read; copy it again")


def _decode_gif(file: Path) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8 of a GIF; what is transparent shows the frame before."""
    with file.open("rb") as content:
        content.seek(-1, 2)
        if content.read(1) != TRAILER:
            raise BadData(f"{file}: cut short, or no GIF: its last byte is missing; copy it again")
    with Image.open(file) as image:
        for frame in ImageSequence.Iterator(image):
            yield np.asarray(frame.convert("RGB"))


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else repr(error)
