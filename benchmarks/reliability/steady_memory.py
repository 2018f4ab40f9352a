"""An agent's run, and scoring of many environments at once, for a given time: memory stays flat, handles are closed.

Run: python benchmarks/reliability/steady_memory.py [SECONDS]. Each of the two has a process of its own, plays a task of
DeepMind Control with the shipped reward, and goes on for SECONDS; the agent is trained, evaluated and saved all the
while, and its replay is soon full. The first third is left out: libraries are loaded, buffers fill. Prints one line for
each: the memory of the process (RSS) at the end, the slope of a line through it, and the handles that were added.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np
import psutil
from gymnasium.vector import SyncVectorEnv

from viper_pipeline.agents.base import RewardSource, RunConfig
from viper_pipeline.agents.drq import DrQConfig
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.rewards.pretrained import load_reward
from viper_pipeline.rewards.viper import ViperReward
from viper_pipeline.rewards.wrappers import VectorViperWrapper
from viper_pipeline.training.progress import Note

TASK = "cartpole_balance"
MAKE = Callable[[int], gymnasium.Env]
RUN = RunConfig(
    steps=10**9, envs=2, round_steps=25, random_steps=100, updates_per_step=0.2, capacity=500, eval_every=200,
    eval_episodes=1, checkpoint_every=100,
)  # fmt: skip
DRQ = DrQConfig(pixels=32, channels=(16, 16), kernels=(3, 3), strides=(2, 2), hidden=(64, 64), batch_size=32)
EPISODE = 50
"""Steps after which scored environments are reset."""


class TimeIsUp(Exception):
    """The end of what would go on."""


@dataclass
class Watch:
    """Looks at this process now and then, until the time is up. The time begins with the first look."""

    seconds: float
    every: float = 0.25  # seconds between two looks
    looks: list[tuple[float, float, int]] = field(default_factory=list)  # seconds, RSS in MB, open handles

    begun: float = 0.0

    def look(self) -> None:
        """Note what there is. Raises TimeIsUp at the end."""
        self.begun = self.begun or time.monotonic()
        now, process = time.monotonic() - self.begun, psutil.Process()
        if not self.looks or now - self.looks[-1][0] >= self.every:
            self.looks.append((now, process.memory_info().rss / 2**20, process.num_fds()))
        if now > self.seconds:
            raise TimeIsUp

    def __str__(self) -> str:
        times, memory, handles = (np.array(column) for column in zip(*self.looks, strict=True))
        late = times >= self.seconds / 3
        slope = np.polyfit(times[late], memory[late], 1)[0] * 3600 if late.sum() > 2 else float("nan")
        grown = memory[late][-1] - memory[late][0]
        new = int(handles[late][-1] - handles[late][0])
        return (
            f"{times[-1]:.0f} s, {memory[-1]:.0f} MB at the end, {grown:+.1f} MB in the last two thirds "
            f"({slope:+.0f} MB an hour), {new:+d} handles"
        )


def agent_run(watch: Watch, make_env: MAKE, reward: RewardSource) -> str:
    """Train an agent until the time is up."""
    steps = 0

    def progress(done: int, total: int, note: Note = "") -> None:
        nonlocal steps
        steps = done
        watch.look()

    with tempfile.TemporaryDirectory() as folder:
        how = {"seed": 0, "scratch": Path(folder), "progress": progress}
        with contextlib.suppress(TimeIsUp):
            train_in_environment("drq", DRQ, RUN, make_env, reward=lambda shape: reward, **how)
    return f"steady memory, an agent's run: {steps} steps, {watch}"


def vector_scoring(watch: Watch, make_env: MAKE, reward: ViperReward, envs: int = 4) -> str:
    """Score environments that act at random until the time is up."""
    scored = VectorViperWrapper(SyncVectorEnv([partial(make_env, seed) for seed in range(envs)]), reward)
    scored.action_space.seed(0)
    steps = 0
    try:
        while True:
            if steps % EPISODE == 0:
                scored.reset(seed=steps)
            scored.step(scored.action_space.sample())
            steps += 1
            watch.look()
    except TimeIsUp:
        scored.close()
    return f"steady memory, vector scoring: {steps} steps of {envs} environments, {watch}"


def one(part: str, seconds: float) -> str:
    """The line of one part, with the real simulator and the shipped reward."""
    warnings.simplefilter("ignore")
    model = load_reward("dmc-laptop")
    reward = model.of(TASK)

    def make_env(seed: int) -> gymnasium.Env:
        return model.environment(TASK, seed)

    watch = Watch(seconds)
    return agent_run(watch, make_env, reward.stream()) if part == "agent" else vector_scoring(watch, make_env, reward)


def main(seconds: float) -> None:
    """Print the lines."""
    for part in ("agent", "scoring"):
        subprocess.run([sys.executable, __file__, str(seconds), part], check=True)


if __name__ == "__main__":
    given = float(sys.argv[1]) if len(sys.argv) > 1 else 1800.0
    print(one(sys.argv[2], given), flush=True) if len(sys.argv) > 2 else main(given)
