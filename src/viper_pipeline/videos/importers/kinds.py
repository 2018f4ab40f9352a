"""Which importer reads a file or folder of videos, by its ending or by what lies in it."""

from __future__ import annotations

from pathlib import Path

ENDINGS = {".npz": "npz", ".h5": "episodes"}


def kind_of(path: Path) -> str:
    """`npz`, `episodes`, or `video` for everything else."""
    path = Path(path)
    if path.is_dir():
        return "npz" if any(path.rglob("*.npz")) else "video"
    return ENDINGS.get(path.suffix.lower(), "video")
