"""The run loop: every agent, on every method (paper 4.2).

Training goes in rounds: E environments begin episodes together, play `round_steps` steps side by side, and
are cut together. Between two rounds no simulator is in the middle of anything: there a checkpoint is whole,
and there evaluations may use the same simulators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr
from torch import Tensor

from viper_pipeline.agents.base import AGENTS, Agent, Exploration, RewardSource, RunConfig
from viper_pipeline.agents.replay import Replay, restore_rng, rng_state
from viper_pipeline.agents.reward_mixer import RewardMixer
from viper_pipeline.agents.vector_env import EnvironmentProcesses, Environments, MakeEnv, evaluate, pressed
from viper_pipeline.training.checkpoints import (
    derive,
    load_checkpoint,
    random_state,
    restore_random_state,
    save_checkpoint,
    seed_everything,
)
from viper_pipeline.training.progress import Progress, silent


@dataclass
class Tally:
    """Sums since the last row of the curve. True returns are for people; the agent never sees them."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, values: np.ndarray | float) -> None:
        """Some more values of one thing."""
        self.sums[name] = self.sums.get(name, 0.0) + float(np.sum(values))
        self.counts[name] = self.counts.get(name, 0) + int(np.size(values))

    def means(self) -> dict[str, float]:
        """The means; begins anew."""
        means = {name: total / max(self.counts[name], 1) for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


class Noise:
    """A standard normal number for each action of each environment, correlated with the step before (AR(1))."""

    def __init__(self, envs: int, actions: int, correlation: float, rng: np.random.Generator) -> None:
        """correlation: of one step with the next; 0 is white noise."""
        self.correlation, self.rng = correlation, rng
        self.values = self.fresh((envs, actions))

    def fresh(self, shape: tuple[int, ...]) -> np.ndarray:
        """Independent normal numbers."""
        return self.rng.standard_normal(shape, np.float32)

    def restart(self) -> None:
        """All environments begin episodes."""
        self.values = self.fresh(self.values.shape)

    def step(self) -> np.ndarray:
        """The next numbers (E, A): of any one step normal with deviation 1, whatever the correlation."""
        white = self.fresh(self.values.shape)
        self.values = np.float32(self.correlation) * self.values + np.float32((1 - self.correlation**2) ** 0.5) * white
        return self.values

    def uniform(self) -> np.ndarray:
        """The next step as actions (E, A) uniform in [-1, 1]."""
        return (2 * ndtr(self.step()) - 1).astype(np.float32)


@dataclass(frozen=True)
class Passed:
    """True when a bundle of steps reaches a multiple of `period` or the `last` step (0: only the last)."""

    period: int
    last: int

    def __call__(self, before: int, after: int) -> bool:
        """Whether it is time once the steps `before` (exclusive) to `after` (inclusive) are done."""
        passed = self.period > 0 and after // self.period > before // self.period
        return passed or before < self.last <= after


@dataclass(frozen=True)
class AgentRun:
    """What became of an agent."""

    curve: list[dict[str, float]]
    final_returns: list[float]
    weights: dict[str, Tensor]
    frames: np.ndarray  # (T, H, W, C) uint8: an episode of the final evaluation


def train_agent(
    agent: str,
    config: Any,
    run: RunConfig,
    make_env: MakeEnv,
    *,
    seed: int,
    reward: Callable[[tuple[int, int, int]], RewardSource] | None = None,
    discrete: bool = False,
    curious: bool = False,
    exploration: Callable[[tuple[int, int, int]], Exploration] | None = None,
    scratch: Path | None = None,
    progress: Progress = silent,
    device: str = "cpu",
) -> AgentRun:
    """Train one agent; judge it by true returns of `run.final_episodes` fresh, deterministic episodes.

    agent, config: a name of AGENTS, and that agent's own configuration.
    make_env: seed -> environment of uint8 frames (H, W, C), actions in [-1, 1]; reset(seed=) fixes all.
    discrete: actions are buttons, of which the greatest is pressed.
    curious: the agent explores by its own means, beside what it is paid.
    reward, exploration: frame shape of the agent -> the source of its rewards, and its exploration bonus; built here,
        so that their weights follow from `seed`. Without a reward, the bonus is all that the agent learns from.
    scratch: folder for checkpoints. Killed and called again, the result is the same, bit for bit (CPU).
    """
    seed_everything(seed)
    envs = (EnvironmentProcesses if run.processes else Environments)(make_env, run.envs, seed)
    try:
        told = {name: True for name, wanted in (("discrete", discrete), ("curious", curious)) if wanted}
        learner = AGENTS.get(agent)(config, envs.frame_shape, envs.actions, **told).to(device)
        trainer = Trainer(
            learner,
            envs,
            run,
            seed=seed,
            discrete=discrete,
            pay=RewardMixer(
                exploration=exploration(learner.frame_shape).to(device) if exploration else None,
                source=reward(learner.frame_shape) if reward else None,
            ),
        )
        return trainer.train(scratch / "agent.pt" if scratch else None, progress)
    finally:
        envs.close()


class Trainer:
    """One run in progress."""

    def __init__(
        self,
        agent: Agent,
        envs: Environments,
        run: RunConfig,
        *,
        seed: int,
        pay: RewardMixer,
        discrete: bool = False,
    ) -> None:
        self.agent, self.envs, self.run, self.seed, self.pay = agent, envs, run, seed, pay
        self.discrete = discrete
        self.replay = Replay(len(envs), run.capacity, agent.frame_shape, envs.actions)
        self.player = agent.player(len(envs))
        self.rng = np.random.default_rng(derive(seed, "run"))
        self.noise = Noise(len(envs), envs.actions, run.noise_correlation, self.rng)
        self.step = self.round = self.updates = 0
        self.learning = False
        self.tally = Tally()
        self.curve: list[dict[str, float]] = []
        self.metrics: dict[str, Tensor] = {}

    def train(self, checkpoint: Path | None, progress: Progress) -> AgentRun:
        """Round after round, with evaluations and checkpoints between them."""
        run = self.run
        evaluation_due, checkpoint_due = (
            Passed(run.eval_every, run.steps),
            Passed(run.checkpoint_every, run.steps),
        )
        if checkpoint and (state := load_checkpoint(checkpoint)):
            self.load_state_dict(state)
            if self.learning:
                self.pay.begin(self.agent)
        while self.step < run.steps:
            before = self.step
            self.play_round()
            if evaluation_due(before, self.step):
                self.add_row()
            note = {k: v for k, v in self.curve[-1].items() if "return" in k} if self.curve else ""
            progress(self.step, run.steps, note)
            if checkpoint and checkpoint_due(before, self.step):
                save_checkpoint(checkpoint, self.state_dict())
        seeds = [derive(self.seed, "final", i) for i in range(run.final_episodes)]
        returns, frames = evaluate(self.agent, self.envs, seeds)
        return AgentRun(self.curve, returns, self.agent.weights(), frames)

    def play_round(self) -> None:
        """All environments begin, act and learn together for as many steps as the round has."""
        if not self.learning and self.step >= self.run.random_steps:
            self.agent.prepare(self.replay)
            self.pay.begin(self.agent)
            self.learning = True
        count = len(self.envs)
        left = -(-(self.run.steps - self.step) // count)
        frames = np.stack([self.envs.reset(i, self.episode_seed(i, 0)) for i in range(count)])
        self.begin(range(count), frames)
        self.noise.restart()
        self.pay.start(frames)
        returns, ended, length = np.zeros(count), 0, min(self.run.round_length(self.step), left)
        for moment in range(1, length + 1):
            actions = self.choose()
            arrivals = self.envs.step(actions)
            rewards = self.pay.step(arrivals.frames, arrivals.rewards)
            self.remember(actions, arrivals.frames, rewards, arrivals.terminated)
            returns += arrivals.rewards
            self.step += count
            self.learn()
            for i in np.flatnonzero(arrivals.terminated | arrivals.truncated):
                ended += 1
                self.tally.add("train_return", returns[i])
                returns[i] = 0.0
                if moment < length:
                    self.restart(int(i), self.envs.reset(int(i), self.episode_seed(int(i), ended)))
        if not ended:
            self.tally.add("train_return", returns)
        self.round += 1

    def episode_seed(self, i: int, place: int) -> int:
        """The seed of an episode: of its environment, round, and place in the round."""
        return derive(self.seed, "train", self.round, i, place)

    def begin(self, which: range | list[int], frames: np.ndarray) -> None:
        """Note the first frames (len(which), H, W, C) of episodes."""
        for i, small in zip(which, self.agent.see(frames), strict=True):
            self.player.start(i, small)
            self.replay.start(i, small)

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` ended early and began again with `frame`."""
        self.begin([i], frame[None])
        self.pay.restart(i, frame)

    def choose(self) -> np.ndarray:
        """Actions (E, A): random at first, then the agent's."""
        if not self.learning:
            actions = self.noise.uniform()
            return pressed(actions) if self.discrete else actions
        return self.player.act(self.noise.step())

    def remember(self, actions: np.ndarray, frames: np.ndarray, rewards: np.ndarray, ends: np.ndarray) -> None:
        """Store the transitions that arrived at frames (E, H, W, C), and what they were paid."""
        for name, values in ({"train_reward": rewards} | self.pay.step_metrics()).items():
            self.tally.add(name, values)
        small = self.agent.see(frames)
        for i in range(len(small)):
            self.replay.add(i, actions[i], float(rewards[i]), small[i], bool(ends[i]))
        self.player.push(small)

    def learn(self) -> None:
        """As many updates as are due."""
        if not self.learning:
            return
        due = int((self.step - self.run.random_steps) * self.run.updates_per_step)
        while self.updates < due:
            done = self.step / self.run.steps
            batch = self.pay.sample(self.agent, self.replay, self.rng, done)
            self.agent.anneal(done)
            self.metrics = self.agent.update(batch) | self.pay.metrics
            self.updates += 1

    def add_row(self) -> None:
        """Evaluate, and add a row to the curve."""
        row = len(self.curve)
        seeds = [derive(self.seed, "eval", row, i) for i in range(self.run.eval_episodes)]
        returns, _ = evaluate(self.agent, self.envs, seeds)
        metrics = {name: float(value) for name, value in self.metrics.items()}
        self.curve.append({"step": self.step, "eval_return": float(np.mean(returns)), **self.tally.means(), **metrics})

    def state_dict(self) -> dict[str, Any]:
        """Everything, as it is between two rounds."""
        return {
            "counters": [self.step, self.round, self.updates, self.learning],
            "agent": self.agent.state_dict(),
            "pay": self.pay.state_dict(),
            "replay": self.replay.state_dict(),
            "random": random_state(),
            "rng": rng_state(self.rng),
            "curve": self.curve,
            "tally": [self.tally.sums, self.tally.counts],
            "metrics": self.metrics,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.step, self.round, self.updates, self.learning = state["counters"]
        self.agent.load_state_dict(state["agent"])
        self.pay.load_state_dict(state["pay"])
        self.replay.load_state_dict(state["replay"])
        restore_random_state(state["random"])
        restore_rng(self.rng, state["rng"])
        self.curve, self.metrics = state["curve"], state["metrics"]
        self.tally = Tally(*state["tally"])
