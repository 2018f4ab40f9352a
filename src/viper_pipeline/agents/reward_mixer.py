"""Combines what an agent is rewarded for: a source of rewards, and an exploration bonus.

Rewards that depend on frames alone are stored in the replay as the frames arrive. A bonus, and a source that learns
beside the agent, relabel every batch that is sampled from the replay.
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

    def start(self, frames: np.ndarray) -> None:
        """All environments begin episodes with frames (E, H, W, C)."""
        if self.source:
            self.source.start(frames)

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` alone begins a new episode with frame (H, W, C)."""
        if self.source:
            self.source.restart(i, frame)

    def step(self, frames: np.ndarray, true_rewards: np.ndarray) -> np.ndarray:
        """Rewards (E,) float32 of the transitions that led to frames (E, H, W, C); true_rewards: the environments'."""
        return self.source.step(frames, true_rewards) if self.source else np.zeros(len(frames), np.float32)

    def step_metrics(self) -> dict[str, np.ndarray]:
        """More numbers (E,) of the last step, for the learning curve."""
        return self.source.step_metrics() if self.source else {}

    def begin(self, agent: Agent) -> None:
        """Learning begins, or goes on after a checkpoint."""
        if self.source:
            self.source.begin(agent.preprocess)

    def sample(self, agent: Agent, replay: Replay, rng: np.random.Generator, progress: float) -> TrainingBatch:
        """The batch of one update, relabeled. progress: the fraction (0 to 1) of training that is done."""
        if self.source is None or not self.source.window:
            batch = agent.sample(replay, rng)
        else:
            batch = agent.sample(replay, rng, window=self.source.window)
            batch = batch.relabel(self.source.rewards)
            self.metrics = self.source.update(batch.windows[:, 0], rng)
        if self.exploration:
            batch = batch.with_reward(batch.reward + self.exploration.explore(batch.next_frame, progress))
        return batch

    def state_dict(self) -> StateDict:
        """What the source and the bonus have learned."""
        parts = {"source": self.source, "exploration": self.exploration}
        return {name: part.state_dict() for name, part in parts.items() if part}

    def load_state_dict(self, state: StateDict) -> None:
        """Undo `state_dict`."""
        for name, part in state.items():
            getattr(self, name).load_state_dict(part)
