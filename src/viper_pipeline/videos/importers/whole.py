"""Whether a .gif, .mp4 or .mov ends where its own structure says: a decoder takes a film cut short for a short film."""

from __future__ import annotations

BOXED = (".mp4", ".mov", ".m4v")


def cut_short(content: bytes, ending: str) -> bool:
    """Whether bytes are missing at the end of a file of this ending. False for formats that do not tell."""
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
    place = 13 + _colours(content[10])
    while content[place] != 0x3B:
        if content[place] == 0x2C:  # a picture: its own colours, the code size, then its data
            place += 10 + _colours(content[place + 9]) + 1
        elif content[place] == 0x21:  # an extension: its label, then its data
            place += 2
        else:
            return False
        while content[place]:
            place += content[place] + 1
        place += 1
    return True


def _colours(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
