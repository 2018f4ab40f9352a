"""Rewards of running environments from a rolling cache: a new frame costs one frame of compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from viper_pipeline.video_models.scoring import require_session
from viper_pipeline.video_models.session import Session

if TYPE_CHECKING:
    from viper_pipeline.rewards.viper import ViperReward


class RollingStream:
    """What `ViperStream` does, for E environments at once and models that keep a session.

    At stride s the frames of an environment are s interleaved videos, so there are s sessions that take turns.
    """

    def __init__(self, reward: ViperReward) -> None:
        self.reward = reward
        self.log_prob = np.zeros(0, np.float32)
        self._open = require_session(reward.model)
        self._sessions: list[Session] = []
        self._turn = 0

    def start(self, frames: np.ndarray) -> None:
        """Every environment begins an episode; frames (E, H, W, C) are its first."""
        task = self.reward.task_ids(len(frames))
        self._sessions, self._turn = [self._open(task) for _ in range(self.reward.spec.stride)], 0
        with self.reward.precisely():
            self._sessions[0].step(self.reward.encode(frames))

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` alone begins a new episode with `frame` (H, W, C), in the place of its last frame."""
        for session in self._sessions:
            session.forget([i])
        with self.reward.precisely():
            self._sessions[self._turn].restart([i], self.reward.encode(frame[None]))

    def step(self, frames: np.ndarray) -> np.ndarray:
        """frames (E, H, W, C) that the transitions led to -> their rewards (E,), float32."""
        self._turn = (self._turn + 1) % len(self._sessions)
        arrived = self.reward.encode(frames)
        with self.reward.precisely():
            nats = self._sessions[self._turn].step(arrived)
        self.log_prob = nats.sum((1, 2)).cpu().numpy() - self.reward.doubt(frames, arrived)
        return self.reward.scaled(self.log_prob)

    def state_dict(self) -> dict[str, Any]:
        """The caches of the running episodes."""
        return {"turn": self._turn, "sessions": [s.state_dict() for s in self._sessions]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on in the middle of the episodes of `state_dict`."""
        self._turn, self._sessions = state["turn"], []
        for kept in state["sessions"]:
            session = self._open(self.reward.task_ids(len(kept["seen"])))
            session.load_state_dict(kept)
            self._sessions.append(session)
