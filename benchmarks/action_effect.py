"""Does a laptop's Dreamer see that actions matter? World model, and on request policy, trained offline and measured.

python benchmarks/action_effect.py                                   as params.yaml has it, 3,000 updates, no policy
python benchmarks/action_effect.py batch_size=16 depth=16            other settings of the `dreamer` block
python benchmarks/action_effect.py --policy --updates 5000           actor and critic too, and what they return

Data: episodes of cartpole_balance, random play and three grades of a controller, made once and kept in --cache.
Printed, one JSON object a row: slope, correlation and spread of imagined beside real differences in reward when +0.6
or -0.6 is held (1 is right, 0: the model believes that actions do nothing), R2 of rewards foreseen without pictures,
what a linear probe reads from the states, mean losses, returns, and CPU seconds an update.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
import yaml
from torch import Tensor

from viper_pipeline.agents.dreamer.action_effect import (
    Effect,
    Probe,
    Seen,
    drawing,
    explained,
    imagined_effect,
    open_loop_fit,
    states_of,
)
from viper_pipeline.agents.dreamer.actor_critic import optimizer_step
from viper_pipeline.agents.dreamer.agent import Dreamer
from viper_pipeline.agents.replay import Replay, stacked
from viper_pipeline.agents.vector_env import VectorEnv, evaluate
from viper_pipeline.envs.dmc import DMC

TASK = "cartpole_balance"
RULES = {"action_repeat": 4}
FRAMES = {"size": 64, "shadows": False, "antialiasing": False}
GAINS = np.array([0.1, 2.0, 0.2, 0.4])
"""Of the controller, on place, angle and their speeds; it returns 999.9 without noise."""
GRADES: tuple[tuple[float, float], ...] = ((0.0, 0.0), (0.5, 0.5), (1.0, 0.6), (1.0, 0.25))
"""Share of the gains and deviation of the noise, by turns; the first, without either, is random play."""
FALLEN = 0.8
"""Cosine of the angle below which the controller gives up: chasing a fallen pole, it ends at the end of the rail."""
EPISODES, HELD_OUT, LENGTH = 88, 8, 100
HELD, STEPS, ROWS_SEEN = 0.6, 8, 24
REPORTED = (3, 5, 8)


@dataclass(frozen=True)
class Recording:
    """E episodes of T rows; a row is what an action led to."""

    frames: np.ndarray  # (E, T, H, W, C) uint8
    actions: np.ndarray  # (E, T, A)
    rewards: np.ndarray  # (E, T)
    states: np.ndarray  # (E, T, 4) place, angle, and their speeds


def make_env(seed: int, pixels: bool = True) -> gymnasium.Env:
    """The simulator at the laptop's frame specification."""
    suite = DMC()
    return suite.make(TASK, seed, RULES, suite.frame_spec(TASK, RULES, FRAMES), pixels=pixels)


def recorded() -> Recording:
    """Play all episodes."""
    env: Any = make_env(0)
    shape = (EPISODES, LENGTH + 1)
    result = Recording(
        np.zeros((*shape, 64, 64, 3), np.uint8),
        np.zeros((*shape, 1), np.float32),
        np.zeros(shape, np.float32),
        np.zeros((*shape, 4)),
    )
    for e in range(EPISODES):
        share, noise = GRADES[e % len(GRADES)]
        rng = np.random.default_rng(1000 + e)
        result.frames[e, 0], _ = env.reset(seed=5000 + e)
        physics = env.simulator.physics
        result.states[e, 0] = np.concatenate([physics.data.qpos, physics.data.qvel])
        for t in range(1, LENGTH + 1):
            state = result.states[e, t - 1]
            wanted = (np.cos(state[1]) > FALLEN) * share * GAINS @ state + noise * rng.standard_normal()
            result.actions[e, t] = np.clip(wanted, -1, 1) if noise else rng.uniform(-1, 1)
            result.frames[e, t], result.rewards[e, t], *_ = env.step(result.actions[e, t])
            result.states[e, t] = np.concatenate([physics.data.qpos, physics.data.qvel])
    env.close()
    return result


def recording(cache: Path) -> Recording:
    """The episodes, from `cache` if they are there."""
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, **vars(recorded()))
    with np.load(cache) as arrays:
        return Recording(**{name: arrays[name] for name in Recording.__dataclass_fields__})


def held_rewards(states: np.ndarray, action: float) -> np.ndarray:
    """Rewards (STEPS, N) of holding an action from simulator states (N, 4)."""
    env: Any = make_env(0, pixels=False)
    env.reset(seed=0)
    physics, rewards = env.simulator.physics, np.zeros((STEPS, len(states)))
    for n, state in enumerate(states):
        with physics.reset_context():
            physics.data.qpos[:], physics.data.qvel[:] = np.split(state, 2)
        env.steps = 0
        for step in range(STEPS):
            _, rewards[step, n], *_ = env.step(np.array([action]))
    env.close()
    return rewards


class Judge:
    """What is asked of a world model, with the simulator's answers."""

    def __init__(self, agent: Dreamer, data: Recording, count: int) -> None:
        """agent: `prepare`d. count: states that the two actions are held from."""
        self.agent, self.data = agent, data
        self.frames = np.stack([agent.preprocess(frames) for frames in data.frames])
        self.held_out = np.arange(EPISODES - HELD_OUT, EPISODES)
        self.trained = np.arange(EPISODES - HELD_OUT)
        rng = np.random.default_rng(7)
        self.starts = {}
        for name, episodes in (("", self.held_out), ("_of_trained", self.trained)):
            episode = episodes[np.arange(count) % len(episodes)]
            moment = rng.integers(ROWS_SEEN, LENGTH - STEPS, size=count)
            states = data.states[episode, moment]
            real = held_rewards(states, HELD) - held_rewards(states, -HELD)
            self.starts[name] = (episode, moment, real)
        self.loop_episodes = self.held_out[rng.integers(HELD_OUT, size=256)]
        self.loop_moments = rng.integers(16, LENGTH - 10, size=256)

    def seen(self, episodes: np.ndarray, last: np.ndarray, rows: int) -> Seen:
        """`rows` rows of the episodes up to the moments `last`."""
        at = last + np.arange(1 - rows, 1)[:, None]
        stack = np.maximum(at[..., None] + np.arange(1 - self.agent.config.stack, 1), 0)
        frames = torch.from_numpy(stacked(self.frames[episodes[:, None], stack]))
        return Seen(frames, torch.from_numpy(self.data.actions[episodes, at]), torch.from_numpy(at == 0))

    def row(self) -> dict[str, Any]:
        """All measures."""
        model = self.agent.model
        row: dict[str, Any] = {}
        held = torch.tensor([HELD]), torch.tensor([-HELD])
        for name, (episode, moment, real) in self.starts.items():
            seen = self.seen(episode, moment, ROWS_SEEN)
            effect = Effect(real, imagined_effect(model, seen, held, STEPS))
            row["slope" + name] = {h: effect.slope(h) for h in REPORTED}
            row["correlation" + name] = {h: effect.correlation(h) for h in REPORTED}
            row["spread" + name] = {h: effect.spread(h) for h in REPORTED}
        at = self.loop_moments + np.arange(11)[:, None]
        seen = self.seen(self.loop_episodes, self.loop_moments, 16)
        actions = torch.from_numpy(self.data.actions[self.loop_episodes, at[1:]])
        fit = open_loop_fit(model, seen, actions, self.data.rewards[self.loop_episodes, at])
        row["r2"] = {step: fit[step] for step in (0, 5, 10)}
        row["probe"] = self.probe()
        return row

    def probe(self) -> dict[str, float]:
        """R2 of what is read from the states of held-out episodes, all while the pole is up."""
        probe = Probe(*self._features(self.trained))
        features, targets = self._features(self.held_out)
        guesses = probe(features)
        names = ("angle", "speed", "place", "velocity")
        return {name: explained(targets[:, k], guesses[:, k]) for k, name in enumerate(names)}

    def _features(self, episodes: np.ndarray) -> tuple[Tensor, np.ndarray]:
        last = np.full(len(episodes), LENGTH)
        with drawing(0):
            features = states_of(self.agent.model, self.seen(episodes, last, LENGTH + 1)).features[10:]
        place, angle, velocity, speed = self.data.states[episodes].transpose(2, 1, 0)[:, 10:].reshape(4, -1)
        up = np.cos(angle) > FALLEN
        return features.flatten(0, 1)[torch.from_numpy(up)], np.stack([np.sin(angle), speed, place, velocity], -1)[up]


def filled(agent: Dreamer, data: Recording) -> Replay:
    """All episodes but those held out."""
    replay = Replay(1, (EPISODES - HELD_OUT) * (LENGTH + 1), agent.frame_shape, 1)
    for e in range(EPISODES - HELD_OUT):
        frames = agent.preprocess(data.frames[e])
        replay.start(0, frames[0])
        for t in range(1, LENGTH + 1):
            replay.add(0, data.actions[e, t], float(data.rewards[e, t]), frames[t], False)
    return replay


def settings_of(words: list[str], params: Path) -> dict[str, Any]:
    """The laptop's `dreamer` block, changed by words key=value."""
    block = dict(yaml.safe_load(params.read_text())["suites"]["dmc"]["dreamer"])
    block.pop("runs", None)
    return block | {key: yaml.safe_load(value) for key, _, value in (word.partition("=") for word in words)}


def rounded(value: Any) -> Any:
    """Three digits are enough."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [rounded(v) for v in value]
    return round(value, 3) if isinstance(value, float) else value


def main() -> None:
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="of the dreamer block")
    parser.add_argument("--updates", type=int, default=3000)
    parser.add_argument("--every", type=int, default=1000, help="updates between two rows")
    parser.add_argument("--policy", action="store_true", help="actor and critic learn too")
    parser.add_argument("--policy-from", type=int, default=0, help="updates of the model alone before they do")
    parser.add_argument("--episodes", type=int, default=4, help="of the learned policy, in the simulator")
    parser.add_argument("--states", type=int, default=96, help="that the two actions are held from")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--cache", type=Path, default=Path("data/benchmarks/cartpole_offline.npz"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(chosen.seed)
    rng = np.random.default_rng(chosen.seed)
    data = recording(chosen.cache)
    agent = Dreamer(Dreamer.Config(**settings_of(chosen.settings, chosen.params)), data.frames.shape[2:], 1)  # type: ignore[arg-type]
    replay = filled(agent, data)
    agent.prepare(replay)
    judge = Judge(agent, data, chosen.states)
    envs = VectorEnv(make_env, min(4, chosen.episodes), chosen.seed) if chosen.policy else None
    seconds, sums = 0.0, defaultdict(list)
    for update in range(1, chosen.updates + 1):
        begun = time.process_time()
        batch = agent.sample(replay, rng)
        if chosen.policy and update > chosen.policy_from:
            metrics = agent.update(batch)
        else:
            loss, _, metrics = agent.model.loss(agent.experience(batch))
            optimizer_step(agent.optimizer, loss, list(agent.model.parameters()), agent.config.model_clip)
        seconds += time.process_time() - begun
        for name, value in metrics.items():
            sums[name].append(float(value))
        if update % chosen.every == 0 or update == chosen.updates:
            row = {"updates": update, "cpu_seconds_an_update": seconds / update} | judge.row()
            if envs:
                row["returns"] = evaluate(agent, envs, range(9000, 9000 + chosen.episodes))[0]
            row["losses"] = {name: float(np.mean(values)) for name, values in sums.items()}
            sums.clear()
            print(json.dumps(rounded(row)), flush=True)


if __name__ == "__main__":
    main()
