"""Combines what an agent is rewarded for: a source of rewards, and an exploration bonus.

Rewards that depend on frames alone are stored in the replay as the frames arrive. A source that learns beside the agent
relabels every batch that is sampled from the replay. A bonus is added to every step of a return. That of a frame is
kept in the replay, and computed again once the bonus has learned a tenth more than when it was computed.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from viper_pipeline.agents.base import Agent, Exploration, RewardSource, TrainingBatch
from viper_pipeline.agents.replay import Replay
from viper_pipeline.training.checkpoints import StateDict


class RewardMixer:
    """The rewards of one agent. Without a source every reward is 0, so that the bonus is all there is."""

    def __init__(self, source: RewardSource | None = None, exploration: Exploration | None = None) -> None:
        self.source, self.exploration = source, exploration
        self.metrics: dict[str, Tensor] = {}
        self.batches = self.refresh_at = 0  # batches sampled; the number of them at which kept bonuses are out of date

    def start(self, frames: np.ndarray) -> None:
        """All environments begin episodes with frames (E, H, W, C)."""
        if self.source:
            self.source.start(frames)

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` alone begins a new episode with frame (H, W, C)."""
        if self.source:
            self.source.restart(i, frame)

    def steps(self, frames: np.ndarray, true_rewards: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Rewards (T, E) float32 of the transitions of T steps, and more numbers (T, E) for the learning curve.

        frames (T, E, H, W, C): those that they led to. true_rewards (T, E): the environments'.
        """
        if self.source is None:
            return np.zeros(true_rewards.shape, np.float32), {}
        return self.source.steps(frames, true_rewards)

    def begin(self, agent: Agent) -> None:
        """Learning begins, or goes on after a checkpoint."""
        if self.source:
            self.source.begin(agent.preprocess)

    def sample(self, agent: Agent, replay: Replay, rng: np.random.Generator, progress: float) -> TrainingBatch:
        """The batch of one update, relabeled. progress: the fraction (0 to 1) of training that is done."""
        self.metrics = {}
        if self.source is None or not self.source.window:
            batch = agent.sample(replay, rng)
        else:
            batch = agent.sample(replay, rng, window=self.source.window)
            batch = batch.relabel(self.source.rewards)
            self.metrics = self.source.update(batch.windows[:, 0], rng)
        return self._with_bonus(self.exploration, batch, replay, progress) if self.exploration else batch

    def _with_bonus(
        self, exploration: Exploration, batch: TrainingBatch, replay: Replay, progress: float
    ) -> TrainingBatch:
        """The batch with the bonus of every step; the bonus learns from its frames, if it is time."""
        config = exploration.config
        if self.batches % config.update_every == 0:
            if self.batches >= self.refresh_at:
                replay.forget_bonuses()
                self.refresh_at = self.batches + 1 + self.batches // 10
            frames = replay.frames_at(batch.places.T.ravel()[: config.batch_size or len(batch.places)])
            self.metrics = {**self.metrics, **exploration.update(frames)}
        self.batches += 1
        return batch.add_rewards(config.weight_at(progress) * replay.bonuses(batch.places, exploration.bonus))

    def state_dict(self) -> StateDict:
        """What the source and the bonus have learned."""
        parts = {"source": self.source, "exploration": self.exploration}
        counters = {"counters": [self.batches, self.refresh_at]}
        return counters | {name: part.state_dict() for name, part in parts.items() if part}

    def load_state_dict(self, state: StateDict) -> None:
        """Undo `state_dict`."""
        self.batches, self.refresh_at = state["counters"]
        for name in ("source", "exploration"):
            if name in state:
                getattr(self, name).load_state_dict(state[name])
