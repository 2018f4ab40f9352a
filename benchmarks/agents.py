"""Speed of the agents: milliseconds to sample, explore, update and act; from them updates and steps per second.

python benchmarks/agents.py                       DrQ and Dreamer at the sizes of suite dmc in params.yaml, on one core
python benchmarks/agents.py --params profiles/paper.yaml
python benchmarks/agents.py --params profiles/paper.yaml --device cuda

On a CPU times are those of the process, so that other programs on the machine count little.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from viper_pipeline.agents.base import Agent, RunConfig
from viper_pipeline.agents.dreamer.agent import Dreamer
from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.drq import DrQ, DrQConfig
from viper_pipeline.agents.replay import Replay
from viper_pipeline.agents.reward_mixer import RewardMixer
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.rewards.rnd import RND, RNDConfig

ENVS = 4


def milliseconds(work: Callable[[], object], times: int, device: str) -> float:
    """The median time of a call, after two calls that are not counted."""
    seconds, clock = [], time.perf_counter if device == "cuda" else time.process_time
    for _ in range(times + 2):
        start = clock()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(clock() - start)
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
    mixer = RewardMixer(None, rnd)
    mixer.batches, mixer.refresh_at = 6001, 6600  # well into a run, where most bonuses are kept ones
    if rnd:
        every = rnd.config.update_every
        due = replay.frames_at(batch.places.T.ravel()[: rnd.config.batch_size or len(batch.places)])
        learn[f"train the bonus (1 of {every} times)"] = lambda: rnd.update(due)
        learn["add the bonus"] = lambda: mixer.sample(agent, replay, rng, 0.0)
    learn["update"] = lambda: agent.update(batch)
    play: dict[str, Callable[[], object]] = {
        f"preprocess {ENVS} frames": lambda: policy.push(agent.preprocess(frames)),
        f"act in {ENVS} environments": lambda: policy.act(noise),
    }
    cost = {}
    for name, work in (learn | play).items():
        cost[name] = milliseconds(work, times, device)
        print(f"  {name:36s}{cost[name]:8.2f} ms")
    if rnd:  # `mixer.sample` draws a batch as well, and trains the bonus when it is time
        cost[f"train the bonus (1 of {every} times)"] /= every
        cost["add the bonus"] = max(cost["add the bonus"] - cost["sample a batch"], 0.0)
    update, step = sum(cost[name] for name in learn), sum(cost[name] for name in play) / ENVS
    print(f"  {1000 / update:.1f} updates/s; {1000 / (step + updates_per_step * update):.1f} steps/s ", end="")
    print(f"at {updates_per_step:g} updates per step")


def main() -> None:
    """DrQ with RND, then Dreamer with Plan2Explore."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shape, rest = (64, 64, 3), (arguments.times, arguments.device)
    suite = read_profile(arguments.params)["suites"]["dmc"]
    config, size = DrQConfig.model_validate(suite["drq"]), DreamerConfig.model_validate(suite["dreamer"])
    bonus = RNDConfig.model_validate(suite["exploration"])
    drq = DrQ(config, shape, 1).to(arguments.device)
    print(f"DrQ and RND, {config.batch_size} transitions")
    ratio = RunConfig.model_validate(suite["runs"]).updates_per_step
    measure(drq, RND(bonus, drq.frame_shape).to(arguments.device), ratio, *rest)
    dreamer = Dreamer(size, shape, 1, curious=True).to(arguments.device)
    print(f"Dreamer and Plan2Explore, {size.batch_size} x {size.batch_length} frames")
    measure(dreamer, None, (size.runs or RunConfig.model_validate(suite["runs"])).updates_per_step, *rest)


if __name__ == "__main__":
    main()
