"""Folders of .mp4, .gif and other videos.

What a file says of time. Of a film each stored frame becomes one frame, whatever its time: nothing is repeated or
dropped to reach a constant rate, and frames that an edit has hidden stay hidden, as in every player. A GIF stores how
long each frame lasts, and its writers merge equal frames into one that lasts longer: such a frame is repeated, so that
all last as long as the shortest one. GIFs whose durations are no multiples of the shortest are refused.

Videos carry no checksums. Every video of which the decoder reports an error, or that has fewer frames than its index
promises, is refused, and so is a GIF whose pixels do not add up; docs/reliability.md says how many flipped bits are
noticed. Frames are decoded and resized one by
one, and those of a long video lie in a temporary file, so memory depends neither on their number nor on their size.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageSequence

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode, resized, unknown_rewards
from viper_pipeline.data.importers import checked_frames
from viper_pipeline.data.importers.folders import files_of
from viper_pipeline.data.importers.gif_stream import refuse_damaged_gif
from viper_pipeline.data.importers.spool import collected

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

STRICT = {"err_detect": "explode"}
"""ffmpeg's option: errors end the decoding, where it would conceal them."""
LONGEST = 100_000
"""Frames that a GIF may stand for."""
NO_VIDEOS = {
    b"version https://git-lfs": "a pointer of Git LFS; `git lfs pull` gets the file",
    b"<!doctype": "a web page; download the file itself",
    b"<html": "a web page; download the file itself",
    b"\x00\x05\x16\x07": "a note of macOS about another file; delete it",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"\x89HDF": "an HDF5 file; import it with kind hdf5, or kind minari",
    b"viper episodes": "an episodes file; import it with kind episodes",
}
"""How files begin that are often taken for videos -> what they are, and the remedy."""


def read_video_files(path: Path, size: int, **_: object) -> Iterator[Episode]:
    """Every video below `path`, in the order of names; each is one episode of unknown return.

    Raises BadData naming the file for videos that are damaged, cut short or empty.
    """
    for file in files_of("video", path):
        frames = _frames(file, size)
        yield Episode(frames, unknown_rewards(len(frames)))


def stored_size(file: Path) -> tuple[int, int, int]:
    """(frames, height, width) by a film's index and its first picture; 0 frames where the index does not say.

    Raises BadData if it cannot be opened, or its first picture not be read.
    """
    _refuse_others(file)
    try:
        if file.suffix.lower() == ".gif":
            with Image.open(file, formats=["GIF"]) as image:
                return getattr(image, "n_frames", 1), image.height, image.width
        with open_film(file) as (_, stream):
            count = stream.frames
        if (first := next(_decode(file), None)) is None:
            raise BadData(f"{file}: holds no frame")
    except BadData:
        raise
    except Exception as error:  # decoders have many exceptions of their own
        raise unreadable(file, error) from error
    return count, first.shape[0], first.shape[1]


def _frames(file: Path, size: int) -> np.ndarray:
    """All frames (T, size, size, 3), each resized as it is decoded: a video of full size would not fit into memory."""
    _refuse_others(file)
    decode = _decode_gif if file.suffix.lower() == ".gif" else _decode
    try:
        frames = collected(resized(checked_frames(frame[None], file, least=1), size)[0] for frame in decode(file))
    except BadData:
        raise
    except Exception as error:  # decoders have many exceptions of their own
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise unreadable(file, error) from error
    if not len(frames):
        raise BadData(f"{file}: holds no frame")
    return checked_frames(frames, file)


def _refuse_others(file: Path) -> None:
    """Say what a file is that is no video."""
    with file.open("rb") as content:
        begins = content.read(64)
    if not begins:
        raise BadData(f"{file}: is empty (0 bytes); copy it again")
    for beginning, what in NO_VIDEOS.items():
        if begins.lstrip().lower().startswith(beginning.lower()):
            raise BadData(f"{file}: no video but {what}")


@contextmanager
def open_film(file: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A film and its pictures, strictly decoded, in one thread: equal frames on every machine.

    Raises BadData for a film without pictures, and where it is left if the decoder has reported an error.
    """
    import av

    av.logging.set_level(av.logging.ERROR)
    with av.logging.Capture(local=True) as errors, av.open(str(file), options=STRICT) as container:
        if not container.streams.video:
            raise BadData(f"{file}: has no pictures in it{', only sound' if container.streams.audio else ''}")
        stream = container.streams.video[0]
        stream.codec_context.options = STRICT
        stream.thread_type = "NONE"
        yield container, stream
        if errors:
            raise unreadable(file, errors[0][2].strip())


def _decode(file: Path) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8, turned as the file says."""
    with open_film(file) as (container, stream):
        stored = hidden = count = 0
        frames_of_index = stream.frames
        halves = False  # interlaced films may store the two halves of a frame one by one
        for packet in container.demux(stream):
            if packet.size:
                stored, hidden = stored + 1, hidden + bool(packet.is_discard)
            for frame in packet.decode():
                count, halves = count + 1, halves or bool(frame.interlaced_frame)
                yield np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
    promised = max(frames_of_index, stored) - hidden
    if count < promised and (not halves or stored < frames_of_index):
        raise BadData(f"{file}: cut short: {count} of {promised} frames can be read; copy it again")


def _decode_gif(file: Path) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8 of a GIF, each as often as it lasts; what is transparent shows the frame before."""
    refuse_damaged_gif(file)
    with Image.open(file, formats=["GIF"]) as image:
        repeats = repeats_of([int(frame.info.get("duration", 0)) for frame in ImageSequence.Iterator(image)], file)
        for frame, times in zip(ImageSequence.Iterator(image), repeats, strict=True):
            picture = np.asarray(frame.convert("RGB"))
            for _ in range(times):
                yield picture


def repeats_of(milliseconds: list[int], file: Path) -> list[int]:
    """Durations of a GIF's frames -> how often each is repeated, so that all last equally long.

    Raises BadData where that cannot be.
    """
    shortest = min(milliseconds, default=0)
    if not any(milliseconds):  # none is said: all alike
        return [1] * len(milliseconds)
    if shortest == 0 or any(one % shortest for one in milliseconds):
        odd = next(one for one in milliseconds if shortest == 0 or one % shortest)
        raise BadData(
            f"{file}: its frames last from {shortest} to {max(milliseconds)} ms, and {odd or max(milliseconds)} is no "
            f"multiple of {shortest}; save it with frames of equal duration"
        )
    repeats = [one // shortest for one in milliseconds]
    if sum(repeats) > LONGEST:
        raise BadData(f"{file}: stands for {sum(repeats):,} frames of {shortest} ms, more than {LONGEST:,}; shorten it")
    return repeats


def unreadable(file: Path, error: object) -> BadData:
    """What is raised of a film for what a decoder says, without the path in it, which stands before."""
    words = getattr(error, "strerror", None) or str(error).strip() or repr(error)
    return BadData(f"{file}: not a readable video, damaged or cut short ({str(words).splitlines()[0]})")
