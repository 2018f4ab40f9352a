"""The likelihood ratio as a reward, whose second class follows the agent (`negatives: replay`).

The score is ln p(x' | context, expert) - ln p(x' | context, agent); see `video_models.videogpt_ratio`. With
`negatives: random` the model stays as it was trained, and the stream is VIPER's own. With `negatives: replay` the class
agent learns from what the agent has just played while the class expert is rehearsed, so that the score nears
ln p - ln q of Eq 5, where q are the agent's own videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.data.sampler import ClipSampler, GroupInMemory, interleaved
from viper_pipeline.rewards.base import RatioConfig
from viper_pipeline.rewards.viper import ViperReward, ViperStream
from viper_pipeline.training.checkpoints import StateDict
from viper_pipeline.training.loop import make_optimizer
from viper_pipeline.video_models.videogpt_ratio import RatioVideoGPT


class RememberingReward(ViperReward):
    """A reward that keeps the codes of frames until they are taken, so that no frame is encoded twice."""

    def __init__(self, reward: ViperReward) -> None:
        super().__init__(
            reward.tokenizer, reward.model, reward.task, reward.config, reward.spec, reward.scale, reward.batch
        )
        self._kept: list[Tensor] = []

    def encode(self, frames: np.ndarray) -> Tensor:
        """frames (N, H, W, C) uint8, unmasked -> codes (N, h, w)."""
        codes = super().encode(frames)
        self._kept.append(codes.cpu())
        return codes

    def taken(self) -> np.ndarray:
        """The codes int16 (N, h, w) of all frames encoded since the last call."""
        codes = torch.cat(self._kept) if self._kept else torch.zeros(0)
        self._kept = []
        return codes.numpy().astype(np.int16)


class FollowingStream(ViperStream):
    """As `ViperStream`, and every `config.every` agent steps the model's class agent learns from recent episodes.

    It learns when environments start together, so that all rewards of a round are of one model. Rewards are stored as
    they were when their frames arrived.
    """

    reward: RememberingReward

    def __init__(self, reward: ViperReward, config: RatioConfig, experts: Sequence[np.ndarray]) -> None:
        """experts: codes (T, h, w) of expert videos at the model's stride, which are rehearsed.

        The seed of its batches is drawn from torch's generator.
        """
        super().__init__(RememberingReward(reward))
        self.config, self.model = config, cast(RatioVideoGPT, reward.model)
        self.experts = GroupInMemory(experts, f"expert videos of {reward.task}")
        self.seed = int(torch.randint(2**31, ()))
        loop = self.model.config.training.model_copy(update={"learning_rate": config.learning_rate})
        self._optimizer = make_optimizer(self.model.parts["model"], loop)
        self.updates = self._unlearned = 0  # updates so far; agent steps since the last ones
        self._played: list[np.ndarray] = []  # codes int16 (T, h, w) of whole episodes, the newest last
        self._running: list[list[np.ndarray]] = []  # codes (h, w) of each environment's episode

    def start(self, frames: np.ndarray) -> None:
        """Every environment begins an episode; frames (E, H, W, C) are its first. The model learns, if it is time."""
        self._end_episodes()
        if self._unlearned >= self.config.every:
            self._learn()
        super().start(frames)
        self._running = [[codes] for codes in self.reward.taken()]

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` alone begins a new episode with `frame` (H, W, C)."""
        super().restart(i, frame)
        self._played.append(np.stack(self._running[i]))
        self._running[i] = list(self.reward.taken())

    def step(self, frames: np.ndarray, true_rewards: np.ndarray | None = None) -> np.ndarray:
        """frames (E, H, W, C) that the transitions led to -> their rewards (E,) float32; true_rewards are not used."""
        rewards = super().step(frames, true_rewards)
        self._note(self.reward.taken())
        return rewards

    def steps(self, frames: np.ndarray, true_rewards: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """As `step` for T steps at once: frames (T, E, H, W, C) -> rewards and log_prob (T, E)."""
        found = super().steps(frames, true_rewards)
        self._note(self.reward.taken())
        return found

    def _note(self, codes: np.ndarray) -> None:
        """Codes (T E, h, w) of the frames of T steps belong to the running episodes."""
        for place, now in enumerate(codes):
            self._running[place % len(self._running)].append(now)
        self._unlearned += len(codes)

    def _end_episodes(self) -> None:
        """Running episodes are over; of all of them the newest `config.recent` frames are kept."""
        self._played += [np.stack(codes) for codes in self._running if codes]
        self._running = []
        while len(self._played) > 1 and sum(map(len, self._played[1:])) >= self.config.recent:
            del self._played[0]

    def _learn(self) -> None:
        """Updates on clips of both classes, equally many. Episodes shorter than a clip teach nothing."""
        model, stride, length = self.model, self.reward.spec.stride, self.model.config.window
        videos = [video for whole in self._played for video in interleaved(whole, stride) if len(video) >= length]
        if not videos:
            return
        self._unlearned = 0
        groups = [self.experts, GroupInMemory(videos, "recent episodes of the agent")]
        clips = ClipSampler(groups, length, self.config.batch_size, self.seed)
        expert = self.reward.conditions(1)
        classes = torch.cat([expert, model.agent_class(expert)])
        model.train()
        for _ in range(self.config.updates):
            codes, ids = clips(self.updates)
            loss, _ = model.loss((torch.as_tensor(codes).to(self.reward.device), classes[torch.as_tensor(ids)]))
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()
            self.updates += 1
        model.eval()

    def state_dict(self) -> StateDict:
        """Weights, optimizer, and what the class agent is to learn from; taken between episodes."""
        self._end_episodes()
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "counters": [self.seed, self.updates, self._unlearned],
            "played": [torch.as_tensor(codes) for codes in self._played],
        }

    def load_state_dict(self, state: ParamsBlock) -> None:
        """Undo `state_dict`."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.seed, self.updates, self._unlearned = state["counters"]
        self._played, self._running = [codes.numpy() for codes in state["played"]], []
