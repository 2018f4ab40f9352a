"""How often the tabletop scripts do their task, and that doing nothing never does: seeded episodes, no pictures."""

import sys
import time

import numpy as np

from viper_pipeline.envs.robosuite import TABLETOP_TASKS, Tabletop
from viper_pipeline.experts.scripts import ArmScript

EPISODES, NOISE, STEPS = 20, 0.05, 150
KINDS = ("script", "idle")
HELD = 5  # control steps in a row that count as done


def moment_of_success(env, policy, seed: int) -> int | None:
    """The control step from which on the task is done for HELD steps; None if it never is."""
    (state, _), rng, done, held, step = env.reset(seed=seed), np.random.default_rng(seed), False, 0, 0
    while not done and held < HELD:
        state, reward, _, done, _ = env.step(policy(state[None], True, rng)[0])
        held, step = held + 1 if reward else 0, step + 1
    return step - HELD + 1 if held == HELD else None


def main(kinds: list[str], tasks: list[str]) -> None:
    """One line a pair and policy."""
    suite = Tabletop()
    for kind in kinds:
        for task in tasks:
            rules = {"control_steps": STEPS}
            env = suite.make(task, 0, rules, suite.frame_spec(task, rules, {}), pixels=False)
            idle = suite.idle_action(task)[None]
            policy = ArmScript(task, NOISE) if kind == "script" else lambda states, *_, idle=idle: idle
            begun = time.process_time()
            moments = [moment_of_success(env, policy, 1000 + i) for i in range(EPISODES)]
            spent = (time.process_time() - begun) / EPISODES
            done = [m for m in moments if m is not None]
            steps = f"median step {np.median(done):.0f}, last {max(done)}" if done else ""
            print(f"{kind:6s} {task:13s} {len(done)} of {EPISODES} {steps} ({spent:.1f} CPU s an episode)", flush=True)
            env.close()


if __name__ == "__main__":
    words = set(sys.argv[1:])
    main(
        [k for k in KINDS if k in words] or list(KINDS),
        [t for t in TABLETOP_TASKS if t in words] or list(TABLETOP_TASKS),
    )
