"""The tabletop measured: environment steps per CPU second, and how often script, idle and random play do each task.

python benchmarks/tabletop.py speed
python benchmarks/tabletop.py script idle random [pair ...]
"""

import sys
import time

import numpy as np

from viper_pipeline.envs.tabletop.suite import Tabletop
from viper_pipeline.experts.scripts_arm import ArmScript

EPISODES, FIRST_SEED, NOISE = 50, 1000, 0.05
FAST = {"shadows": False, "antialiasing": False}
KINDS = ("script", "idle", "random")


def policy_of(kind: str, suite: Tabletop, pair: str):
    """(states, deterministic, rng) -> actions."""
    if kind == "script":
        return ArmScript(pair, NOISE)
    if kind == "idle":
        return lambda states, *_: suite.idle_action(pair)[None]
    return lambda states, _, rng: rng.uniform(-1, 1, (1, 4))


def moment_of_success(env, policy, seed: int) -> int | None:
    """The control step at which the task is done; None if it never is."""
    (_, info), rng, over = env.reset(seed=seed), np.random.default_rng(seed), False
    while not over:
        _, _, _, over, info = env.step(policy(info["state"][None], True, rng)[0])
        if info["success"]:
            return env.steps
    return None


def rates(kinds: list[str], pairs: list[str]) -> None:
    """One line a pair and policy; no pictures."""
    suite = Tabletop()
    for pair in pairs:
        env = suite.make(pair, 0, {}, suite.frame_spec(pair, {}, FAST), pixels=False)
        for kind in kinds:
            moments = [moment_of_success(env, policy_of(kind, suite, pair), FIRST_SEED + i) for i in range(EPISODES)]
            done = [m for m in moments if m is not None]
            steps = f"median step {np.median(done):.0f}, last {max(done)}" if done else ""
            print(f"{pair:42s} {kind:6s} {len(done):2d} of {EPISODES} {steps}", flush=True)
        env.close()


def speed(pairs: list[str], episodes: int = 3) -> None:
    """Environment steps per CPU second of all threads, experts' episodes with pictures, resets among them."""
    suite = Tabletop()
    for pair in pairs:
        env = suite.make(pair, 0, {}, suite.frame_spec(pair, {}, FAST))
        moment_of_success(env, policy_of("random", suite, pair), 0)  # the context is made
        spent = {}
        for pixels in (True, False):
            env.pixels = pixels
            steps, begun = 0, time.process_time()
            for seed in range(episodes):
                _, over = env.reset(seed=seed), False
                rng = np.random.default_rng(seed)
                while not over:
                    over = env.step(rng.uniform(-1, 1, 4))[3]
                steps += env.steps
            spent[pixels] = steps / (time.process_time() - begun)
        print(f"{pair:42s} {spent[True]:5.0f} steps/s with pictures, {spent[False]:5.0f} without", flush=True)
        env.close()


if __name__ == "__main__":
    words = sys.argv[1:]
    chosen = [pair for pair in Tabletop().tasks() if pair in words] or list(Tabletop().tasks())
    if "speed" in words:
        speed(chosen)
    if kinds := [kind for kind in KINDS if kind in words]:
        rates(kinds, chosen)
