"""Files that appear whole or not at all, and hashes that equal DVC's."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from viper_pipeline.core.errors import BadData

Json: TypeAlias = dict[str, Any]
"""An object of JSON or YAML: plain values by name."""
JsonView: TypeAlias = Mapping[str, Any]
"""The same, only to be read."""


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes `path`'s place only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file or the whole new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def atomic_dir(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that takes `path`'s place only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_writable(path: Path, folder: bool = False) -> None:
    """Raise BadData if nothing can be written to `path`: before hours of work, and without leaving a trace.

    folder: a new folder is wanted, which must not exist yet.
    """
    path = Path(path)
    if folder and (path.exists() or path.is_symlink()):
        raise BadData(f"{path}: exists already; name a new folder")
    if path.is_dir():
        raise BadData(f"{path}: is a folder; name a file in it")
    above = nearest_existing(path.absolute().parent)
    if not above.is_dir():
        raise BadData(f"{path}: {above} is a file; name another place")
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise BadData(f"{path}: nothing can be written in {above} ({error.strerror}); name another place") from error


def nearest_existing(place: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(p for p in (place, *place.absolute().parents) if p.exists())


def free_bytes(place: Path) -> int:
    """Bytes that may be written at a path, which need not exist yet."""
    return shutil.disk_usage(nearest_existing(place)).free


def md5_file(path: Path) -> str:
    """The md5 of a file's bytes, as DVC records it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def md5_dir(path: Path) -> str:
    """The md5 of a folder, as DVC records it (`....dir`): of the JSON list of its files and their hashes."""
    files = sorted(p for p in Path(path).rglob("*") if p.is_file())
    rows = [{"md5": md5_file(p), "relpath": p.relative_to(path).as_posix()} for p in files]
    rows.sort(key=lambda row: row["relpath"])
    return hashlib.md5(json.dumps(rows, sort_keys=True).encode()).hexdigest() + ".dir"


def md5_of(path: Path) -> str:
    """The hash DVC would record for a file or a folder."""
    return md5_dir(path) if Path(path).is_dir() else md5_file(path)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


EPISODES_FORMAT = "viper episodes 1"
CHECKSUM_BYTES = 512
"""Bytes before the HDF5 part of a file; they hold the hash of everything after them."""


def write_checksum(path: Path) -> None:
    """Write the hash of all that follows into the first bytes of the file, which HDF5 leaves to us."""
    with open(path, "r+b") as file:
        file.write(_digest(path).ljust(CHECKSUM_BYTES, b"\n"))


def begins_as_episodes(path: Path) -> bool:
    """Whether a file says that it is an episodes file of ours."""
    with open(path, "rb") as file:
        return file.read(len(EPISODES_FORMAT)) == EPISODES_FORMAT.encode()


def check_checksum(path: Path) -> None:
    """Raise BadData if any bit of a file has changed since it was written.

    Nothing is parsed: of a file whose tables are damaged, HDF5 may read without end.
    """
    try:
        with open(path, "rb") as file:
            found = file.read(CHECKSUM_BYTES)
        whole = found == _digest(path).ljust(CHECKSUM_BYTES, b"\n")
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({error.strerror})") from error
    if not found.startswith(EPISODES_FORMAT.encode()):
        raise BadData(f"{path}: no file of format '{EPISODES_FORMAT}'; convert videos with `viper import`")
    if not whole:
        raise BadData(f"{path}: damaged: its sha256 is not what it was when the file was written")


def _digest(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(CHECKSUM_BYTES)
        return f"{EPISODES_FORMAT}\nsha256 {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode()
