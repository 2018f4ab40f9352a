"""What an agent costs: milliseconds of one core to draw, explore, update and act.

python benchmarks/agents.py            the laptop's sizes
python benchmarks/agents.py --paper    Table 4's
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from viper_pipeline.agents.drq import DrQ, DrQConfig
from viper_pipeline.agents.replay import Replay
from viper_pipeline.rewards.rnd import RND, RNDConfig

LAPTOP = DrQConfig(
    pixels=32, contrast=4, channels=(16, 16), kernels=(4, 3), strides=(4, 1), hidden=(128, 128), critic_norm=True,
    target="min", target_encoder=False, batch_size=64, shift=2, average=0.99,
)  # fmt: skip
LAPTOP_RND = RNDConfig(channels=(16,), kernels=(4,), strides=(4,), hidden=(128,), outputs=64, batch_size=32)


def milliseconds(work: Callable[[], object], times: int) -> float:
    """The median time of `work`, after two calls that do not count."""
    seconds = []
    for _ in range(times + 2):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return 1000 * statistics.median(seconds[2:])


def filled(agent: DrQ, rng: np.random.Generator) -> Replay:
    """A replay with 2 x 500 random frames."""
    replay = Replay(2, 2000, agent.frame_shape, 1)
    for i in range(2):
        replay.start(i, np.zeros(agent.frame_shape, np.uint8))
        for _ in range(500):
            frame = rng.integers(0, 256, agent.frame_shape, dtype=np.uint8)
            replay.add(i, np.zeros(1, np.float32), 0.5, frame, False)
    return replay


def main() -> None:
    """Print one line a kind of work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paper", action="store_true")
    parser.add_argument("--times", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config, bonus = (DrQConfig(), RNDConfig()) if arguments.paper else (LAPTOP, LAPTOP_RND)
    rng = np.random.default_rng(0)
    agent = DrQ(config, (64, 64, 3), 1)
    rnd, replay = RND(bonus, agent.frame_shape), filled(agent, rng)
    batch = agent.sample(replay, rng)
    frames = rng.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    noise = rng.standard_normal((4, 1), np.float32)
    obs = np.repeat(agent.see(frames)[:, None], agent.stack, 1)
    works: dict[str, Callable[[], object]] = {
        f"draw a batch of {config.batch_size}": lambda: agent.sample(replay, rng),
        "explore it": lambda: rnd.explore(batch.arrived, 0.0),
        "update on it": lambda: agent.update(batch),
        "see 4 frames": lambda: agent.see(frames),
        "act in 4 environments": lambda: agent.act(obs, noise),
    }
    for name, work in works.items():
        print(f"{name:28s}{milliseconds(work, arguments.times):8.2f} ms")


if __name__ == "__main__":
    main()
