"""Folders of .mp4 and .gif files: anybody's videos.

Lossy films carry no checksums. Every film that is cut short is refused, and every one of which the decoder reports
an error; of single flipped bits a decoder notices about half.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode, resized, unknown_rewards
from viper_pipeline.data.importers import checked_frames

BOXED = (".mp4", ".mov", ".m4v")


def is_truncated(content: bytes, ending: str) -> bool:
    """Whether bytes are missing at the end of a file of this ending. False for formats that do not say."""
    try:
        if ending in BOXED:
            return _boxes_end(content) != len(content)
        return ending == ".gif" and not _has_trailer(content)
    except IndexError:
        return True


def _boxes_end(content: bytes) -> int:
    """Where the last box ends that the boxes before lead to (ISO 14496-12)."""
    place = 0
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        if size == 1:  # the size did not fit and stands after the box's name
            size = int.from_bytes(content[place + 8 : place + 16], "big")
        if size == 0:  # up to the end of the file, wherever that is
            return len(content)
        if size < 8:
            raise IndexError("no box is so small")
        place += size
    return place


def _has_trailer(content: bytes) -> bool:
    """Walk over the blocks of a GIF89a up to its last byte, `;`."""
    place = 13 + _color_table(content[10])
    while content[place] != 0x3B:
        if content[place] == 0x2C:  # a picture: its own colors, the code size, then its data
            place += 10 + _color_table(content[place + 9]) + 1
        elif content[place] == 0x21:  # an extension: its label, then its data
            place += 2
        else:
            return False
        while content[place]:
            place += content[place] + 1
        place += 1
    return True


def _color_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


ENDINGS = (".mp4", ".gif", ".avi", ".mov", ".webm", ".mkv", ".m4v")


def read_video_files(path: Path, size: int, **_: object) -> Iterator[Episode]:
    """Every video below `path`, in the order of names; each is one episode of unknown return."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
    if not files:
        raise BadData(f"{path}: holds no video ({', '.join(ENDINGS)})")
    for file in files:
        frames = _frames(file, size)
        yield Episode(frames, unknown_rewards(len(frames)))


def _frames(file: Path, size: int) -> np.ndarray:
    """All frames, each resized as it is decoded: a film of full size would not fit into memory."""
    import imageio.v3 as iio

    ending = file.suffix.lower()
    try:
        _refuse_damage(file, ending)
        plugin = "pillow" if ending == ".gif" else "FFMPEG"
        frames = [
            resized(checked_frames(_rgb(frame)[None], file, least=1), size)[0]
            for frame in iio.imiter(file, plugin=plugin)
        ]
    except BadData:
        raise
    except Exception as error:  # decoders have many exceptions of their own
        raise BadData(f"{file}: not a readable video ({_first_line(error)})") from error
    if not frames:
        raise BadData(f"{file}: holds no frame")
    return checked_frames(np.stack(frames), file)


def _refuse_damage(file: Path, ending: str) -> None:
    if is_truncated(file.read_bytes(), ending):
        raise BadData(f"{file}: cut short, or no {ending} file: it ends before its last block does; copy it again")
    if ending == ".gif":
        return
    import imageio_ffmpeg

    # decoding for its errors alone: for frames, the decoder conceals damage and goes on
    words = ["-v", "error", "-xerror", "-err_detect", "explode", "-i", str(file), "-map", "0:v:0", "-f", "null", "-"]
    done = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", *words], capture_output=True, check=False)
    if done.returncode or done.stderr:
        raise BadData(f"{file}: not a readable video ({_first_line(done.stderr.decode(errors='replace'))})")


def _rgb(frame: np.ndarray) -> np.ndarray:
    """(H, W), (H, W, 3) or (H, W, 4) -> (H, W, 3)."""
    return frame[..., :3] if frame.ndim == 3 else np.repeat(frame[..., None], 3, -1)


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else repr(error)
