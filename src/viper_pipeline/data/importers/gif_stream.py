"""Whether the compressed pixels of a GIF are whole. It has no checksums, but it says how many pixels a picture has.

Decoders fill up what is missing, cut off what is too much, and end at the first byte that looks like an end. So every
picture's codes are followed here, without making pixels of them: a flipped bit nearly always turns a code into one that
stands for another number of pixels, and then all of them no longer add up. Not seen are a code that became another one
of the same length, and colors: the tables of a GIF hold nothing to compare them with.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from viper_pipeline.core.errors import BadData

TRAILER, EXTENSION, PICTURE = b";", b"!", b","
"""The bytes that blocks of a GIF begin with."""
LARGEST_TABLE = 4096
"""Codes that a table can hold; their numbers have twelve bits."""
WIDEST = 12
BEGINS = (b"GIF87a", b"GIF89a")


class _Damaged(ValueError):
    """What is wrong, in words."""


def refuse_damaged_gif(file: Path) -> None:
    """Follow every block and every code of a GIF to its end; the pictures themselves are not made.

    Raises BadData naming the file and the picture, for one that is cut short or damaged where that can be seen.
    """
    picture = 0
    try:
        with file.open("rb") as content:
            header = _read(content, 13)
            if not header.startswith(BEGINS):
                raise _Damaged("it does not begin as a GIF")
            _read(content, _table_bytes(header[10]))
            while (kind := _read(content, 1)) != TRAILER:
                if kind == EXTENSION:
                    _read(content, 1)
                    for _ in _blocks(content):
                        pass
                elif kind == PICTURE:
                    picture += 1
                    about = _read(content, 9)
                    width, height = (int.from_bytes(about[at : at + 2], "little") for at in (4, 6))
                    _read(content, _table_bytes(about[8]))
                    (bits,) = _read(content, 1)
                    _follow(b"".join(_blocks(content)), bits, width * height)
                else:
                    raise _Damaged(f"a block begins with byte 0x{kind[0]:02x}, which means nothing")
            if content.read(1):
                raise _Damaged("bytes follow its end")
    except _Damaged as error:
        place = f"picture {picture}: " if picture else ""
        raise BadData(f"{file}: damaged, cut short, or no GIF: {place}{error}; copy it again") from error


def _read(content: IO[bytes], count: int) -> bytes:
    found = content.read(count)
    if len(found) < count:
        raise _Damaged("its end is missing")
    return found


def _table_bytes(flags: int) -> int:
    """Bytes of the table of colors that follows, by the flags before it."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(content: IO[bytes]) -> Iterator[bytes]:
    """The parts that data are stored in, each after its length, up to one of length 0."""
    while length := _read(content, 1)[0]:
        yield _read(content, length)


def _follow(codes: bytes, bits: int, pixels: int) -> None:
    """Raise _Damaged unless the codes of a picture (LZW, the first ones of bits + 1 bits) stand for so many pixels.

    Some writers leave out the code of the end, and some let a byte follow it. Both are harmless.
    """
    if not 1 <= bits <= 8:
        raise _Damaged(f"codes of {bits} bits")
    clear, end = 1 << bits, (1 << bits) + 1
    fresh = [1] * clear + [0, 0]
    lengths, width, last = [*fresh], bits + 1, 0  # pixels that each code stands for; bits of a code; pixels of the last
    held = waiting = made = 0
    for at, byte in enumerate(codes, 1):
        held |= byte << waiting
        waiting += 8
        while waiting >= width:
            code = held & ((1 << width) - 1)
            held >>= width
            waiting -= width
            if code == clear:
                lengths, width, last = [*fresh], bits + 1, 0
                continue
            if code == end:
                if made < pixels:
                    raise _Damaged(f"{made} of {pixels} pixels")
                return
            known = len(lengths)
            if code < known:
                length = lengths[code]
            elif code == known < LARGEST_TABLE and last:
                length = last + 1
            else:
                raise _Damaged(f"code {code}, and there are {known}")
            if last and known < LARGEST_TABLE:
                lengths.append(last + 1)
                if known + 1 == 1 << width and width < WIDEST:
                    width += 1
            last = length
            made += length
            if made > pixels and (made - length < pixels or at < len(codes)):  # else the rest of the last byte
                raise _Damaged(f"more than {pixels} pixels")
    if made < pixels:
        raise _Damaged(f"{made} of {pixels} pixels")
