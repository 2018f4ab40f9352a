"""Seeds and checkpoints: complete, atomic, and read without unpickling anything but tensors and plain values.

torch is imported inside functions: recording processes need seeds, and start in a third of the time without it.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import atomic_path

StateDict: TypeAlias = dict[str, Any]
"""What a checkpoint can hold: tensors, numbers, strings, lists and dictionaries of them, by name."""
ANEW = "delete it, and the same command starts this stage anew"

MAGIC = b"viper checkpoint 1\nsha256 "
HEADER_BYTES = len(MAGIC) + 64 + 1
"""Bytes before what torch wrote; they hold the hash of everything after them."""


def save_checkpoint(path: Path, state: StateDict) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) so that a kill leaves the old file or the new."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
        file.write(MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n")
        file.write(content)


def load_checkpoint(path: Path) -> StateDict | None:
    """The state at `path`, or None if there is none.

    Raises BadData for a file that is no checkpoint, or of which a bit has changed since it was written: what is
    trained on from such a state looks sound and is not.
    """
    if not Path(path).exists():
        return None
    import torch

    try:
        with open(path, "rb") as file:
            said = file.read(HEADER_BYTES)
            if not said.startswith(MAGIC):
                raise BadData(f"{path}: no checkpoint of this version; {ANEW}")
            if said[len(MAGIC) :].strip().decode(errors="replace") != hashlib.file_digest(file, "sha256").hexdigest():
                raise BadData(f"{path}: damaged: its sha256 is not what it was when the file was written; {ANEW}")
            file.seek(HEADER_BYTES)
            return torch.load(file, map_location="cpu", weights_only=True)
    except BadData:
        raise
    except Exception as error:
        raise BadData(f"{path}: not a readable checkpoint ({error}); {ANEW}") from error


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators (all devices)."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (libraries still draw from it)
    torch.manual_seed(seed)


def derive(seed: int, *path: int | str) -> int:
    """A seed for one purpose, derived from the run's seed and independent of all others.

    The same path gives the same seed on every machine: words are spelt out as bytes, not hashed by Python.
    """
    words = [seed]
    for part in path:
        words += [part] if isinstance(part, int) else list(part.encode())
    return int(np.random.SeedSequence([w % 2**32 for w in words]).generate_state(1)[0])


def random_state() -> StateDict:
    """The state of torch's generators (CPU and every CUDA device)."""
    import torch

    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: StateDict) -> None:
    """Undo everything that has been drawn since `random_state`."""
    import torch

    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def rng_state(rng: np.random.Generator) -> str:
    """A NumPy generator's state as text (it holds integers of 128 bits)."""
    return json.dumps(rng.bit_generator.state)


def restore_rng(rng: np.random.Generator, state: str) -> None:
    """Undo everything that has been drawn since `rng_state`."""
    rng.bit_generator.state = json.loads(state)
