"""Random 16-frame clips of an expert set on one core: decoded from the file each time, and as training reads them."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import EpisodeFile, write_groups
from viper_pipeline.data.sampler import ClipSampler
from viper_pipeline.envs.base import FrameSpec


def episodes(count: int, length: int) -> Iterator[Episode]:
    """A sky, a chequered floor under a light, and a pole that swings: it compresses about as a control suite does."""
    rows, columns = np.mgrid[0:64, 0:64]
    light = 200 - 2 * np.hypot(rows - 48, columns - 32)
    floor = (light * (0.6 + 0.2 * ((rows // 6 + columns // 6) % 2)))[..., None] * [0.4, 0.6, 1.0]
    background = np.where((rows < 30)[..., None], [20, 30, 60], floor).clip(0, 255).astype(np.uint8)
    for i in range(count):
        frames = np.repeat(background[None], length, 0)
        for t in range(length):
            angle = np.sin(0.1 * t + i)
            along = (columns - 32) * np.sin(angle) + (40 - rows) * np.cos(angle)
            across = (columns - 32) * np.cos(angle) - (40 - rows) * np.sin(angle)
            frames[t][(abs(across) < 2) & (along > 0) & (along < 22)] = (200, 150, 40)
        yield Episode(frames, np.zeros(length, np.float32), i)


def rate(sampler: ClipSampler, batch: int, seconds: float) -> float:
    """Clips a second."""
    begun, step = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        sampler(step)
        step += 1
    return step * batch / (time.perf_counter() - begun)


def main() -> None:
    """Print medians over repeats."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, help="an expert set of your own instead of drawn ones")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file or Path(folder) / "experts.h5"
        if not arguments.file:
            write_groups(path, {"train": episodes(20, 251)}, suite="dmc", task="toy", spec=FrameSpec())
        group = EpisodeFile(path).group("train")
        ratio = int(group.starts[-1]) * int(np.prod(group.shape)) / path.stat().st_size
        print(json.dumps({"frames": int(group.starts[-1]), "raw_to_file": round(ratio, 1)}))
        for name, limit in (("disk", 0), ("memory", 2**31)):
            sampler = ClipSampler([group], 16, 32, 0, ram_limit=limit)
            found = [rate(sampler, 32, arguments.seconds) for _ in range(arguments.repeats)]
            print(json.dumps({"from": name, "clips_per_s": round(statistics.median(found)), "best": round(max(found))}))


if __name__ == "__main__":
    main()
