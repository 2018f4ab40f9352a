"""Frames per second of one core, one simulated step each: `python benchmarks/rendering.py [TASK ...]`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import FrameSpec

TASKS = ("ball_in_cup_catch", "cartpole_balance", "quadruped_walk", "manipulator_bring_ball")
QUALITY = {
    "shadows and antialiasing off": {"shadows": False, "antialiasing": False},
    "both on (paper)": {"shadows": True, "antialiasing": True},
}


def frames_per_second(task: str, spec: FrameSpec, seconds: float = 2.0) -> tuple[float, float]:
    """Frames of `task` per second of CPU, and per second of the clock on the wall."""
    env = SUITES.get("dmc")().make(task, 0, {"action_repeat": spec.action_repeat}, spec)
    env.reset(seed=0)
    action = env.action_space.sample()
    env.step(action)
    cpu, wall, frames = time.process_time(), time.perf_counter(), 0
    while time.perf_counter() - wall < seconds:
        env.step(action)
        frames += 1
    rates = frames / (time.process_time() - cpu), frames / (time.perf_counter() - wall)
    env.close()
    return rates


def main(tasks: Sequence[str]) -> None:
    """Print one line a task and quality."""
    suite = SUITES.get("dmc")()
    for name, quality in QUALITY.items():
        for task in tasks or TASKS:
            spec = suite.frame_spec(task, {"action_repeat": 1}, quality)
            cpu, wall = frames_per_second(task, spec)
            print(f"{task:24s} {name:30s} {cpu:6.0f} frames/cpu-s {wall:6.0f} frames/s  ({spec.gl_backend})")


if __name__ == "__main__":
    main(sys.argv[1:])
