"""What an agent is paid: a reward for frames, the true one (oracle), a bonus for novelty, or a prior's judgement.

Rewards for frames are stored as the frames arrive. The bonus and the prior learn beside the agent, so they pay anew
whenever experience is drawn from the replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from viper_pipeline.agents.base import Agent, Exploration, Prior, RewardStream, TrainingBatch
from viper_pipeline.agents.replay import Replay


class Pay:
    """All that pays one agent; with nothing given, every reward is 0."""

    def __init__(
        self,
        *,
        reward: RewardStream | None = None,
        oracle_scale: float | None = None,
        exploration: Exploration | None = None,
        prior: Prior | None = None,
        videos: Sequence[np.ndarray] = (),
    ) -> None:
        """oracle_scale: pay the environment's own reward times this. videos: experts' (T, H, W, C), for the prior."""
        if sum(given is not None for given in (reward, oracle_scale, prior)) > 1:
            raise ValueError("an agent is paid by a reward, by the environment or by a prior, not by two of them")
        self.reward, self.oracle_scale, self.exploration, self.prior = reward, oracle_scale, exploration, prior
        self.videos = videos
        self.metrics: dict[str, Tensor] = {}

    def start(self, frames: np.ndarray) -> None:
        """All environments begin episodes with frames (E, H, W, C)."""
        if self.reward:
            self.reward.start(frames)

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` alone begins a new episode with frame (H, W, C)."""
        if self.reward:
            self.reward.restart(i, frame)

    def step(self, frames: np.ndarray, true_rewards: np.ndarray) -> np.ndarray:
        """What is paid (E,) for arriving at frames (E, H, W, C); the true rewards count for the oracle alone."""
        if self.oracle_scale is not None:
            return (true_rewards * self.oracle_scale).astype(np.float32)
        return self.reward.step(frames) if self.reward else np.zeros(len(frames), np.float32)

    def notes(self) -> dict[str, np.ndarray]:
        """What else the last step can tell, for the curve: log_prob (E,), in nats."""
        nats = getattr(self.reward, "log_prob", None)
        return {} if nats is None else {"log_prob": nats}

    def begin(self, agent: Agent) -> None:
        """Learning begins: the prior is shown the experts' videos as the agent sees frames."""
        if self.prior:
            self.prior.show([agent.preprocess(video) for video in self.videos])

    def draw(self, agent: Agent, replay: Replay, rng: np.random.Generator, done: float) -> TrainingBatch:
        """What one update learns from, paid by those who pay anew. done: share of training that lies behind."""
        if self.prior is None:
            batch = agent.sample(replay, rng)
        else:
            batch = agent.sample(replay, rng, window=self.prior.window)
            batch = batch.relabel(self.prior.rewards)
            self.metrics = self.prior.learn(batch.windows[:, 0], rng)
        if self.exploration:
            batch = batch.with_reward(batch.reward + self.exploration.explore(batch.next_frame, done))
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Those who learn."""
        learners = {"exploration": self.exploration, "prior": self.prior}
        return {name: one.state_dict() for name, one in learners.items() if one}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo `state_dict`."""
        for name, part in state.items():
            getattr(self, name).load_state_dict(part)
