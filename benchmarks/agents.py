"""Speed of the agents: milliseconds to sample, explore, update and act; from them updates and steps per second.

python benchmarks/agents.py                       DrQ and Dreamer at the sizes of profile laptop, on one core
python benchmarks/agents.py --paper               at the sizes of Tables 3 and 4
python benchmarks/agents.py --paper --device cuda
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from viper_pipeline.agents.base import Agent
from viper_pipeline.agents.dreamer.agent import Dreamer
from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.drq import DrQ, DrQConfig
from viper_pipeline.agents.replay import Replay
from viper_pipeline.rewards.rnd import RND, RNDConfig

LAPTOP = DrQConfig(
    pixels=32, contrast=4, channels=(16, 16), kernels=(4, 3), strides=(4, 1), hidden=(128, 128), critic_norm=True,
    target="min", target_encoder=False, batch_size=64, shift=2, average=0.99,
)  # fmt: skip
LAPTOP_DREAMER = DreamerConfig(
    pixels=32, depth=16, deter=128, stoch=16, classes=16, hidden=128, batch_size=8, batch_length=32, ensemble_size=5,
)  # fmt: skip
LAPTOP_RND = RNDConfig(channels=(16,), kernels=(4,), strides=(4,), hidden=(128,), outputs=64, batch_size=32)
ENVS = 4


def milliseconds(work: Callable[[], object], times: int, device: str) -> float:
    """The median time of a call, after two calls that are not counted."""
    seconds = []
    for _ in range(times + 2):
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[2:])


def filled(agent: Agent, rng: np.random.Generator) -> Replay:
    """A replay with 2 x 500 random frames."""
    replay = Replay(2, 2000, agent.frame_shape, 1)
    for i in range(2):
        replay.start(i, np.zeros(agent.frame_shape, np.uint8))
        for _ in range(500):
            frame = rng.integers(0, 256, agent.frame_shape, dtype=np.uint8)
            replay.add(i, np.zeros(1, np.float32), 0.5, frame, False)
    return replay


def measure(agent: Agent, rnd: RND | None, updates_per_step: float, times: int, device: str) -> None:
    """Print one line per kind of work, and the speed of a training loop whose simulator costs nothing."""
    rng = np.random.default_rng(0)
    replay, policy = filled(agent, rng), agent.policy(ENVS)
    batch = agent.sample(replay, rng)
    frames = rng.integers(0, 256, (ENVS, 64, 64, 3), dtype=np.uint8)
    noise = rng.standard_normal((ENVS, 1), np.float32)
    learn: dict[str, Callable[[], object]] = {"sample a batch": lambda: agent.sample(replay, rng)}
    if rnd:
        learn["add the bonus"] = lambda: rnd.explore(batch.next_frame, 0.0)
    learn["update"] = lambda: agent.update(batch)
    play: dict[str, Callable[[], object]] = {
        f"preprocess {ENVS} frames": lambda: policy.push(agent.preprocess(frames)),
        f"act in {ENVS} environments": lambda: policy.act(noise),
    }
    cost = {}
    for name, work in (learn | play).items():
        cost[name] = milliseconds(work, times, device)
        print(f"  {name:28s}{cost[name]:8.2f} ms")
    update, step = sum(cost[name] for name in learn), sum(cost[name] for name in play) / ENVS
    print(f"  {1000 / update:.1f} updates/s; {1000 / (step + updates_per_step * update):.1f} steps/s ", end="")
    print(f"at {updates_per_step:g} updates per step")


def main() -> None:
    """DrQ with RND, then Dreamer with Plan2Explore."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paper", action="store_true")
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shape, rest = (64, 64, 3), (arguments.times, arguments.device)
    config, bonus = (DrQConfig(), RNDConfig()) if arguments.paper else (LAPTOP, LAPTOP_RND)
    drq = DrQ(config, shape, 1).to(arguments.device)
    print(f"DrQ and RND, {config.batch_size} transitions")
    measure(drq, RND(bonus, drq.frame_shape).to(arguments.device), 1.0, *rest)
    size = DreamerConfig() if arguments.paper else LAPTOP_DREAMER
    dreamer = Dreamer(size, shape, 1, curious=True).to(arguments.device)
    print(f"Dreamer and Plan2Explore, {size.batch_size} x {size.batch_length} frames")
    measure(dreamer, None, 1 / 16, *rest)


if __name__ == "__main__":
    main()
