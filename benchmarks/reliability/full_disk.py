"""A disk that is full in the middle of a write: the earlier file stays whole, and after some room is made it goes on.

Run as root: python benchmarks/reliability/full_disk.py [COUNT]. A small tmpfs is mounted and filled so that a write
ends at one of COUNT moments. Prints one line; says so where nothing can be mounted. HDF5 tries to write again when its
objects are freed and says so at length, which is left out here; it may even crash when the process ends.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from viper_pipeline.core.errors import os_message
from viper_pipeline.core.files import atomic_write, md5_of
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import write_groups
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.training.artifacts import ModelArtifact, save_artifact
from viper_pipeline.training.checkpoints import save_checkpoint

SIZE = 8 * 2**20


def writers(folder: Path) -> dict[Path, Callable[[int], None]]:
    """What is written -> how; the number makes one content differ from the next. Each takes about 2 MB."""

    def frames(seed: int) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (160, 64, 64, 3), dtype=np.uint8)

    def weights(seed: int) -> torch.Tensor:
        return torch.randn(500_000, generator=torch.Generator().manual_seed(seed))

    episodes, model, state, report = folder / "a.h5", folder / "model", folder / "state.pt", folder / "page.html"
    return {
        episodes: lambda seed: write_groups(
            episodes,
            {"episodes": [Episode(frames(seed), np.zeros(160, np.float32))]},
            suite="dmc",
            task="a",
            spec=FrameSpec(size=64),
        ),
        model: lambda seed: save_artifact(model, ModelArtifact({"seed": seed}, {"w": weights(seed)})),
        state: lambda seed: save_checkpoint(state, {"step": seed, "w": weights(seed)}),
        report: lambda seed: atomic_write(report, frames(seed).tobytes()),
    }


def main(count: int) -> str:
    """The line."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place], capture_output=True)
        if mounted.returncode:
            return f"full disk: not tried, since nothing can be mounted here ({mounted.stderr.decode().strip()})"
        try:
            folder = Path(place)
            for target, write in writers(folder).items():
                for moment in range(count):
                    write(0)
                    kept, used = md5_of(target), sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
                    room = int(2e6 * moment / count)
                    (folder / "ballast").write_bytes(bytes(max(SIZE - used - room - 2**16, 0)))
                    try:
                        write(1)
                        found["fitted in"] += 1
                    except OSError as error:
                        found["stopped"] += 1
                        full = error.errno == errno.ENOSPC and "free some room" in os_message(error)
                        found["named in a line"] += full
                    except Exception as error:
                        found[f"raised {type(error).__name__}"] += 1
                    else:
                        kept = md5_of(target)
                    found["earlier file whole"] += target.exists() and md5_of(target) == kept
                    found["left behind"] += len({*folder.iterdir()} - {target, folder / "ballast"})
                    (folder / "ballast").unlink()
                    write(1)
                    for path in (target / "config.json", target / "weights.safetensors", target):
                        if path.is_file():
                            path.unlink()
                    if target.is_dir():
                        target.rmdir()
        finally:
            subprocess.run(["umount", place], check=False)
    return "full disk: " + ", ".join(f"{number} {what}" for what, number in found.items())


if __name__ == "__main__":
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    print(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10), flush=True)
    os._exit(0)
