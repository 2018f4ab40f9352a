"""Checkpoints: complete, atomic, and read without unpickling anything but tensors and plain values."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from viper_pipeline.errors import BadData
from viper_pipeline.files import atomic_write


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) so that a kill leaves the old file or the new."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    atomic_write(Path(path), buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state at `path`, or None if there is none. Raises BadData for a file that is no checkpoint."""
    if not Path(path).exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BadData(f"{path}: not a readable checkpoint ({error}); delete it to start this stage anew") from error
