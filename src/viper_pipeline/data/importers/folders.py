"""Which files of a folder are its videos: one answer for every importer that reads files.

Links are followed, each file is taken once, and endings may be in capitals. Hidden names (.DS_Store, ._film.mp4) are
passed over. A folder that holds files of two importers is refused, since one of them would be left out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from viper_pipeline.core.errors import BadData

VIDEOS = (".mp4", ".gif", ".avi", ".mov", ".webm", ".mkv", ".m4v")
ENDINGS = {**dict.fromkeys(VIDEOS, "video"), ".npz": "npz", ".h5": "episodes"}
"""Ending, in small letters -> the importer that reads such files."""
HIDDEN = (".", "__MACOSX")
"""How names begin that people did not put there."""


@dataclass(frozen=True)
class Listing:
    """What was found at a path."""

    path: Path
    files: tuple[Path, ...]  # in the order of their names
    kinds: tuple[str, ...]  # importers that read them: one, if the folder is no mixture
    others: tuple[Path, ...]  # files that no importer of files reads

    def count(self) -> str:
        """In words: how many files were taken, and how many were not."""
        endings = Counter(file.suffix.lower() for file in self.files)
        taken = " and ".join(f"{number} {ending}" for ending, number in sorted(endings.items())) or "no"
        passed = f"; {len(self.others)} other files passed over ({self.others[0].name} ...)" if self.others else ""
        return f"{taken} files{passed}"


def listed(path: Path) -> Listing:
    """The videos at a path, a file or a folder. Raises BadData for a path that is not there, and for broken links.

    A single file is taken whatever its name is.
    """
    path = Path(path)
    if path.is_file():
        return Listing(path, (path,), (ENDINGS.get(path.suffix.lower(), "video"),), ())
    if not path.is_dir():
        what = "is a link that leads nowhere" if path.is_symlink() else "there is no such file or folder"
        raise BadData(f"{path}: {what}")
    taken: list[Path] = []
    others: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for file in sorted(_walk(path, set())):
        try:
            state = file.stat()
        except OSError as error:
            raise BadData(f"{file}: a link that leads nowhere, or unreadable ({error.strerror}); delete it") from error
        if (state.st_dev, state.st_ino) in seen:
            continue
        seen.add((state.st_dev, state.st_ino))
        (taken if file.suffix.lower() in ENDINGS else others).append(file)
    kinds = sorted({ENDINGS[file.suffix.lower()] for file in taken})
    return Listing(path, tuple(taken), tuple(kinds), tuple(others))


def files_of(kind: str, path: Path) -> tuple[Path, ...]:
    """The files at `path` that importer `kind` reads. Raises BadData if there are none, or those of another as well."""
    found = listed(path)
    if path.is_file():
        return found.files
    endings = ", ".join(ending for ending, importer in ENDINGS.items() if importer == kind)
    if len(found.kinds) > 1:
        raise BadData(f"{path}: holds {found.count()}, which are read in different ways; give each a folder of its own")
    if found.kinds != (kind,):
        what = f"{found.count()}, which kind {found.kinds[0]} reads" if found.kinds else found.count()
        raise BadData(
            f"{path}: holds no {f'video ({endings})' if kind == 'video' else f'{endings} file'}; it holds {what}"
        )
    return found.files


def _walk(folder: Path, above: set[tuple[int, int]]) -> Iterator[Path]:
    """Every file in a folder and in those in it, links followed, but not back into a folder that it is in."""
    state = folder.stat()
    here = (state.st_dev, state.st_ino)
    if here in above:
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise BadData(f"{folder}: cannot be read ({error.strerror})") from error
    for entry in entries:
        if entry.name.startswith(HIDDEN):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), above | {here})
        elif entry.is_file() or entry.is_symlink():
            yield Path(entry.path)
