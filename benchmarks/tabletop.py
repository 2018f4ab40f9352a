"""The tabletop measured: environment steps per CPU second, and how often script, idle and random play do each task.

python benchmarks/tabletop.py speed
python benchmarks/tabletop.py docs/tabletop.png
python benchmarks/tabletop.py script idle random [pair ...]
"""

import sys
import time

import numpy as np
from PIL import Image

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


def speed(pairs: list[str], episodes: int = 5) -> None:
    """Environment steps per CPU second of all threads, resets among them: median and best of `episodes` random ones."""
    suite = Tabletop()
    for pair in pairs:
        env = suite.make(pair, 0, {}, suite.frame_spec(pair, {}, FAST))
        env.reset(seed=0)  # the drawing context is made
        words = []
        for pixels in (True, False):
            env.pixels = pixels
            rates = []
            for seed in range(episodes):
                begun, rng, over = time.process_time(), np.random.default_rng(seed), False
                env.reset(seed=seed)
                while not over:
                    over = env.step(rng.uniform(-1, 1, 4))[3]
                rates.append(env.steps / (time.process_time() - begun))
            words.append(f"{'with' if pixels else 'without'} pictures {np.median(rates):5.0f} (best {max(rates):5.0f})")
        print(f"{pair:42s} {', '.join(words)}", flush=True)
        env.close()


def sheet(pairs: list[str], path: str, seed: int = 7, scale: int = 2) -> None:
    """Of one expert's episode a pair: the first frame, two on the way, the one in which the task is done, the last."""
    suite, rows = Tabletop(), []
    for pair in pairs:
        env = suite.make(pair, 0, {}, suite.frame_spec(pair, {}, FAST))
        (frame, info), rng, frames, over, done = env.reset(seed=seed), np.random.default_rng(seed), [], False, 0
        while not over:
            frames.append(frame)
            frame, _, _, over, info = env.step(ArmScript(pair, NOISE)(info["state"][None], True, rng)[0])
            done = done or (len(frames) if info["success"] else 0)
        rows.append(np.hstack([frames[i] for i in (0, done // 2, 3 * done // 4, done)] + [frame]))
        env.close()
    half = (len(rows) + 1) // 2
    gap = np.full((64, 8, 3), 255, np.uint8)
    rows += [np.full_like(rows[0], 255)] * (2 * half - len(rows))
    picture = np.vstack([np.hstack([rows[i], gap, rows[half + i]]) for i in range(half)])
    Image.fromarray(picture.repeat(scale, 0).repeat(scale, 1)).save(path, optimize=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    chosen = [pair for pair in Tabletop().tasks() if pair in words] or list(Tabletop().tasks())
    if pictures := [word for word in words if word.endswith(".png")]:
        sheet(chosen, pictures[0])
    if "speed" in words:
        speed(chosen)
    if kinds := [kind for kind in KINDS if kind in words]:
        rates(kinds, chosen)
