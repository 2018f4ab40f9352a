"""The first bytes of an episodes file: its format, and the hash of everything after them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from viper_pipeline.errors import BadData

FORMAT = "viper episodes 1"
SEAL = 512
"""Bytes before the HDF5 part of a file; they hold the hash of everything after them."""


def seal(path: Path) -> None:
    """Write the hash of all that follows into the first bytes of the file, which HDF5 leaves to us."""
    with open(path, "r+b") as file:
        file.write(_digest(path).ljust(SEAL, b"\n"))


def begins_as_episodes(path: Path) -> bool:
    """Whether a file says that it is an episodes file of ours."""
    with open(path, "rb") as file:
        return file.read(len(FORMAT)) == FORMAT.encode()


def check_seal(path: Path) -> None:
    """Raise BadData if any bit of a file has changed since it was written.

    Nothing is parsed: of a file whose tables are damaged, HDF5 may read without end.
    """
    try:
        with open(path, "rb") as file:
            found = file.read(SEAL)
        whole = found == _digest(path).ljust(SEAL, b"\n")
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({error.strerror})") from error
    if not found.startswith(FORMAT.encode()):
        raise BadData(f"{path}: no file of format '{FORMAT}'; convert videos with `viper import`")
    if not whole:
        raise BadData(f"{path}: damaged: its sha256 is not what it was when the file was written")


def _digest(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(SEAL)
        return f"{FORMAT}\nsha256 {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode()
