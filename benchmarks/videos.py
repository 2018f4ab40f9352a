"""Random 16-frame clips of an expert set on one core: from disk, and from memory as training reads them."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from viper_pipeline.suites.frames import FrameSpec
from viper_pipeline.videos.clips import ClipSampler
from viper_pipeline.videos.episode import Episode
from viper_pipeline.videos.store import EpisodeFile, write_groups


def episodes(count: int = 20, length: int = 251):
    """A textured background and a moving square: about as compressible as a control suite."""
    background = np.random.default_rng(0).integers(0, 40, (64, 64, 3), dtype=np.uint8)
    for i in range(count):
        frames = np.repeat(background[None], length, 0)
        for t in range(length):
            x = (3 * t + i) % 54
            frames[t, 20:30, x : x + 10] = 200
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
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "experts.h5"
        write_groups(path, {"train": episodes()}, suite="dmc", task="toy", spec=FrameSpec())
        group = EpisodeFile(path).group("train")
        for name, limit in (("disk", 0), ("memory", 2**31)):
            sampler = ClipSampler([group], 16, 32, 0, ram_limit=limit)
            found = [rate(sampler, 32, arguments.seconds) for _ in range(arguments.repeats)]
            print(json.dumps({"from": name, "clips_per_s": round(statistics.median(found))}))


if __name__ == "__main__":
    main()
