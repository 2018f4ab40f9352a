"""What Atari experts that are not learned score, beside random play: seeded games cut after --frames, no pictures.

python benchmarks/atari_experts.py                       every game by scripts, if there are any, and by search
python benchmarks/atari_experts.py search zaxxon --frames 5000 --search '{"horizon": 50, "hold": 6}'
"""

import argparse
import json
import time
from collections.abc import Iterator

import numpy as np

from viper_pipeline.envs.atari import ALE_ACTIONS, GAMES, Atari
from viper_pipeline.experts.policies import ZeroPolicy
from viper_pipeline.experts.rally import RallyPolicy
from viper_pipeline.experts.sb3 import play
from viper_pipeline.experts.scripts import ATARI_SCRIPTS, script_for
from viper_pipeline.experts.search import SearchConfig, Searching

KINDS = ("random", "script", "rally", "search")


def uniform(states, deterministic, rng):
    """Random play, as in the baselines of every table."""
    return rng.uniform(-1, 1, (len(states), ALE_ACTIONS)).astype(np.float32)


def games(kind: str, task: str, frames: int, n: int, search: SearchConfig) -> Iterator[float]:
    """The score of each of n games."""
    suite = Atari()
    rules = {"max_frames": frames}
    env = suite.make(task, 0, rules, suite.frame_spec(task, rules, {}), pixels=False)
    if kind == "search":
        env = Searching(env, search)
    policy = {
        "search": lambda: ZeroPolicy(ALE_ACTIONS),
        "script": lambda: script_for(task, 0.02),
        "rally": lambda: RallyPolicy(0.02),
        "random": lambda: uniform,
    }[kind]()
    for seed in range(1000, 1000 + n):
        yield play(env, policy, seed)


def main() -> None:
    """One line a game and kind of player."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", choices=[[], *KINDS, *GAMES], help="kinds of player and games; none: all")
    parser.add_argument("--frames", type=int, default=2000, help="emulator frames of a game")
    parser.add_argument("--games", type=int, default=10)
    parser.add_argument("--search", type=json.loads, default={}, help="settings of SearchConfig")
    args = parser.parse_args()
    search = SearchConfig(**args.search)
    for task in [game for game in GAMES if game in args.words] or GAMES:
        for kind in [kind for kind in KINDS if kind in args.words] or KINDS:
            if (kind == "script" and task not in ATARI_SCRIPTS) or (kind == "rally" and task != "pong"):
                continue
            begun = time.process_time()
            scores = list(games(kind, task, args.frames, args.games, search))
            spent = (time.process_time() - begun) / args.games
            low, high = min(scores), max(scores)
            line = f"{task:9s} {kind:7s} mean {np.mean(scores):8.1f} ({low:g} to {high:g}), n = {len(scores)}"
            print(f"{line}, {spent:.1f} CPU s a game", flush=True)


if __name__ == "__main__":
    main()
