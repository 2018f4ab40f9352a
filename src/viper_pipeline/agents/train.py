"""Training of one agent: every agent on every reward goes through this loop (paper 4.2).

Training goes in rounds: E environments start episodes together, play `round_steps` steps side by side, and are cut
together. Between two rounds no simulator is in the middle of an episode: there a checkpoint is complete, and
evaluations may use the same simulators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from viper_pipeline.agents.base import (
    AGENTS,
    Agent,
    AgentClass,
    AgentConfig,
    Exploration,
    RewardSource,
    RunConfig,
    StateDict,
)
from viper_pipeline.agents.replay import Replay
from viper_pipeline.agents.reward_mixer import RewardMixer
from viper_pipeline.agents.vector_env import (
    ExplorationNoise,
    MakeEnv,
    ProcessVectorEnv,
    StepResult,
    VectorEnv,
    evaluate,
    one_hot_actions,
)
from viper_pipeline.training.checkpoints import (
    derive,
    load_checkpoint,
    random_state,
    restore_random_state,
    restore_rng,
    rng_state,
    save_checkpoint,
    seed_everything,
)
from viper_pipeline.training.progress import Progress, silent


@dataclass(frozen=True)
class AgentRun:
    """The result of one training run."""

    curve: list[
        dict[str, float]
    ]  # one row per evaluation: step, eval_return (and eval_success), and means since the row before
    final_returns: list[float]  # one per episode of the final evaluation
    weights: dict[str, Tensor]
    frames: np.ndarray  # (T, H, W, C) uint8: the first episode of the final evaluation
    final_successes: list[float] | None = None  # 1 or 0 per episode; None of tasks that do not succeed or fail


def train_in_environment(
    agent: str,
    config: AgentConfig,
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
    """Train one agent and evaluate it by the true returns of `run.final_episodes` deterministic episodes.

    Without `reward`, rewards are 0 and only the exploration bonus is used.

    agent, config: a name of AGENTS, and an instance of that agent's `Config`.
    make_env: seed -> environment of uint8 frames (H, W, C), actions in [-1, 1]; reset(seed=) fixes the episode.
    seed: of weights, environments, noise and batches.
    reward, exploration: `frame_shape` of the agent -> the source of its rewards, and its exploration bonus; built
        here, so that their weights depend on `seed`.
    discrete: actions are discrete, see `AgentPolicy`.
    curious: the agent explores by its own intrinsic reward.
    scratch: folder for checkpoints; a run that was killed and is called again ends with the same bits (on a CPU).
    """
    seed_everything(seed)
    envs = (ProcessVectorEnv if run.processes else VectorEnv)(make_env, run.envs, seed)
    try:
        kind: AgentClass = AGENTS.get(agent)
        abilities = {"discrete": discrete, "curious": curious}
        if curious and kind.curious:
            abilities["rewarded"] = reward is not None
        learner = kind(config, envs.frame_shape, envs.actions, **abilities).to(device)
        bonus = exploration(learner.frame_shape).to(device) if exploration else None
        mixer = RewardMixer(reward(learner.frame_shape) if reward else None, bonus)
        trainer = Trainer(learner, envs, run, seed=seed, mixer=mixer, discrete=discrete)
        return trainer.train(scratch / "agent.pt" if scratch else None, progress)
    finally:
        envs.close()


class Trainer:
    """One training run and all of its state."""

    def __init__(
        self, agent: Agent, envs: VectorEnv, run: RunConfig, *, seed: int, mixer: RewardMixer, discrete: bool = False
    ) -> None:
        self.agent, self.envs, self.run, self.seed, self.mixer = agent, envs, run, seed, mixer
        self.discrete = discrete
        self.replay = Replay(len(envs), run.capacity, agent.frame_shape, envs.actions)
        self.policy = agent.policy(len(envs))
        self.rng = np.random.default_rng(derive(seed, "run"))
        self.noise = ExplorationNoise(len(envs), envs.actions, run.noise_correlation, self.rng)
        self.step = self.round = self.updates = 0
        self.learning = False
        self.means = MeanMetrics()
        self.curve: list[dict[str, float]] = []

    def train(self, checkpoint: Path | None, progress: Progress) -> AgentRun:
        """Play rounds, with evaluations and checkpoints between them, and evaluate at the end."""
        run = self.run
        should_evaluate, should_save = (
            PeriodPassed(run.eval_every, run.steps),
            PeriodPassed(run.checkpoint_every, run.steps),
        )
        if checkpoint and (state := load_checkpoint(checkpoint)):
            self.load_state_dict(state)
            if self.learning:
                self.mixer.begin(self.agent)
        while self.step < run.steps:
            before = self.step
            self.play_round()
            if should_evaluate(before, self.step):
                self.evaluate()
            note = {k: v for k, v in self.curve[-1].items() if "return" in k} if self.curve else ""
            progress(self.step, run.steps, note)
            if checkpoint and should_save(before, self.step):
                save_checkpoint(checkpoint, self.state_dict())
        seeds = [derive(self.seed, "final", i) for i in range(run.final_episodes)]
        returns, frames, successes = evaluate(self.agent, self.envs, seeds)
        return AgentRun(self.curve, returns, self.agent.weights(), frames, successes)

    def play_round(self) -> None:
        """Start episodes in all environments, then act, store and learn for as many steps as the round has."""
        if not self.learning and self.step >= self.run.random_steps:
            self.agent.prepare(self.replay)
            self.mixer.begin(self.agent)
            self.learning = True
        count = len(self.envs)
        steps_left = -(-(self.run.steps - self.step) // count)
        length = min(self.run.round_length(self.step), steps_left)
        frames = np.stack([self.envs.reset(i, self.episode_seed(i, 0)) for i in range(count)])
        self.start_episodes(range(count), frames)
        self.noise.restart()
        self.mixer.start(frames)
        returns, ended = np.zeros(count), 0
        waiting: list[tuple[np.ndarray, StepResult, np.ndarray]] = []
        for moment in range(1, length + 1):
            actions = self.select_actions()
            result = self.envs.step(actions)
            small = self.agent.preprocess(result.frames)
            self.policy.push(small)
            waiting.append((actions, result, small))
            returns += result.rewards
            self.step += count
            if len(waiting) == self.run.update_every or moment == length or result.over.any():
                self.store(waiting)
                waiting = []
                self.update_agent()
            for i in np.flatnonzero(result.over):
                ended += 1
                self.means.add("train_return", returns[i])
                returns[i] = 0.0
                if moment < length:
                    self.restart(int(i), self.envs.reset(int(i), self.episode_seed(int(i), ended)))
        if not ended:
            self.means.add("train_return", returns)
        self.round += 1

    def episode_seed(self, i: int, place: int) -> int:
        """The seed of an episode: of its environment, round, and place in the round."""
        return derive(self.seed, "train", self.round, i, place)

    def start_episodes(self, which: Sequence[int], frames: np.ndarray) -> None:
        """Give policy and replay the first frames (len(which), H, W, C) of episodes in environments `which`."""
        for i, frame in zip(which, self.agent.preprocess(frames), strict=True):
            self.policy.start(i, frame)
            self.replay.start(i, frame)

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` ended before the round did, and was reset to `frame`."""
        self.start_episodes([i], frame[None])
        self.mixer.restart(i, frame)

    def select_actions(self) -> np.ndarray:
        """Actions (E, A): random ones at first, then the agent's."""
        if self.learning:
            return self.policy.act(self.noise.step())
        actions = self.noise.random_actions()
        return one_hot_actions(actions) if self.discrete else actions

    def store(self, steps: Sequence[tuple[np.ndarray, StepResult, np.ndarray]]) -> None:
        """Reward and store the transitions of some steps: actions (E, A), what came of them, preprocessed frames."""
        results = [result for _, result, _ in steps]
        frames, true_rewards = np.stack([r.frames for r in results]), np.stack([r.rewards for r in results])
        rewards, metrics = self.mixer.steps(frames, true_rewards)
        for name, values in ({"train_reward": rewards} | metrics).items():
            self.means.add(name, values)
        for reward, (actions, result, small) in zip(rewards, steps, strict=True):
            self.means.add("action_size", np.abs(actions))
            for i in range(len(small)):
                self.replay.add(i, actions[i], float(reward[i]), small[i], bool(result.terminated[i]))

    def update_agent(self) -> None:
        """As many updates as are due."""
        if not self.learning:
            return
        due = int((self.step - self.run.random_steps) * self.run.updates_per_step)
        while self.updates < due:
            progress = self.step / self.run.steps
            batch = self.mixer.sample(self.agent, self.replay, self.rng, progress)
            self.agent.schedule(progress)
            for name, value in (self.agent.update(batch) | self.mixer.metrics).items():
                self.means.add_scalar(name, value)
            self.updates += 1

    def evaluate(self) -> None:
        """Evaluate the agent, and add a row to the curve."""
        seeds = [derive(self.seed, "eval", len(self.curve), i) for i in range(self.run.eval_episodes)]
        returns, _, successes = evaluate(self.agent, self.envs, seeds)
        row = {"step": self.step, "eval_return": float(np.mean(returns))}
        if successes is not None:
            row["eval_success"] = float(np.mean(successes))
        self.curve.append(row | self.means.pop())

    def state_dict(self) -> StateDict:
        """Everything that a resumed run needs, as it is between two rounds."""
        return {
            "counters": [self.step, self.round, self.updates, self.learning],
            "agent": self.agent.state_dict(),
            "mixer": self.mixer.state_dict(),
            "replay": self.replay.state_dict(),
            "random": random_state(),
            "rng": rng_state(self.rng),
            "curve": self.curve,
            "means": [self.means.sums, self.means.counts],
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Continue where `state_dict` was taken."""
        self.step, self.round, self.updates, self.learning = state["counters"]
        self.agent.load_state_dict(state["agent"])
        self.mixer.load_state_dict(state["mixer"])
        self.replay.load_state_dict(state["replay"])
        restore_random_state(state["random"])
        restore_rng(self.rng, state["rng"])
        self.curve = state["curve"]
        self.means = MeanMetrics(*state["means"])


@dataclass
class MeanMetrics:
    """Means of named numbers since the last row of the curve. Logged only; never given to the agent."""

    sums: dict[str, float | Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, values: np.ndarray | float) -> None:
        """Add one value, or an array of them."""
        self.sums[name] = self.sums.get(name, 0.0) + float(np.sum(values))
        self.counts[name] = self.counts.get(name, 0) + int(np.size(values))

    def add_scalar(self, name: str, value: Tensor) -> None:
        """Add one value, which stays on its device until the means are taken."""
        self.sums[name] = self.sums.get(name, 0.0) + value
        self.counts[name] = self.counts.get(name, 0) + 1

    def pop(self) -> dict[str, float]:
        """Return the means and start again from nothing."""
        means = {name: float(total) / max(self.counts[name], 1) for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


@dataclass(frozen=True)
class PeriodPassed:
    """Due at every multiple of `period` and at the `last` step (period 0: only there), however many steps are taken
    at once."""

    period: int
    last: int

    def __call__(self, before: int, after: int) -> bool:
        """Whether a moment lies in the steps `before` (exclusive) to `after` (inclusive)."""
        passed = self.period > 0 and after // self.period > before // self.period
        return passed or before < self.last <= after
