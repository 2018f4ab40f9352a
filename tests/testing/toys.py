"""A toy of each kind, each a class and, in `LINES`, one line in a table. No file of the package knows them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from viper_pipeline.agents.base import AGENTS
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode, resized, unknown_rewards
from viper_pipeline.data.importers import IMPORTERS
from viper_pipeline.envs import SUITES
from viper_pipeline.experts.base import EXPERTS
from viper_pipeline.rewards.base import EXPLORATION, REWARDS
from viper_pipeline.tokenizers import TOKENIZERS
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import CodeModel, VideoModelConfig


class HabitConfig(VideoModelConfig):
    """What the video model reads in params.yaml."""

    window: int = Field(3, ge=2, description="frames of a clip")


class Habit(CodeModel):
    """A code is drawn from a learned table, given the code at the same place in the last frame."""

    Config: ClassVar[type[HabitConfig]] = HabitConfig
    KIND = "habit"

    def __init__(self, config, codebook, grid, tasks):
        super().__init__(config, codebook, grid, tasks)
        size = len(codebook)
        self.first, self.table = nn.Parameter(torch.zeros(size)), nn.Parameter(torch.zeros(size, size))

    def _codes(self, codes):
        codes = codes.long()
        first = self.first.expand(*codes[:, :1].shape, -1)
        logits = torch.cat([first, self.table[codes[:, :-1]]], 1)
        return -F.cross_entropy(logits.flatten(0, -2), codes.flatten(), reduction="none").view(codes.shape)

    def loss(self, batch, part="model"):
        loss = -self._codes(batch[0]).mean()
        return loss, {"nats_per_code": loss.detach()}

    def log_prob(self, codes, condition, per_code=False):
        nats = self._codes(codes)
        return nats if per_code else nats.sum((2, 3))

    def log_prob_last(self, codes, condition, per_code=False):
        return self.log_prob(codes, condition, per_code)[:, -1]

    @torch.no_grad()
    def sample(self, context, condition, frames, temperature=1.0):
        video = context.long()
        for _ in range(frames):
            logits = self.table[video[:, -1]] / temperature
            video = torch.cat([video, torch.distributions.Categorical(logits=logits).sample()[:, None]], 1)
        return video


def read_npy(path, size, **_):
    """An importer of folders of .npy files."""
    files = sorted(path.glob("*.npy"))
    if not files:
        raise BadData(f"{path}: holds no .npy file")
    for file in files:
        frames = resized(np.load(file), size)
        yield Episode(frames, unknown_rewards(len(frames)))


LINES = [
    (SUITES, "dots", "tests.experts.test_registry:Dots"),
    (EXPERTS, "push", "tests.experts.test_registry:PushExpert"),
    (TOKENIZERS, "mosaic", "tests.tokenizers.toy:Mosaic"),
    (VIDEO_MODELS, "habit", "tests.testing.toys:Habit"),
    (REWARDS, "brightness", "tests.rewards.toy:BrightnessMethod"),
    (EXPLORATION, "last_seen", "tests.rewards.toy:LastSeen"),
    (AGENTS, "bandit", "tests.agents.test_contract:Bandit"),
    (IMPORTERS, "npy", "tests.testing.toys:read_npy"),
]
LOOP = {"steps": 4, "batch_size": 4, "learning_rate": 0.01}
BLOCK = {
    "tasks": ["right"],
    "env": {"max_steps": 12},
    "frames": {"size": 16},
    "datasets": {"right": {"kind": "expert", "path": "data/episodes/dots/expert/right.h5"}},
    "experts": {"right": {"algorithm": "push", "force": 0.5}},
    "record": {"expert": 4, "noisy": 1},
    "baselines": {"random": 2, "idle": 1},
    "curation": {"top_k": 4, "held_out": 1, "stride": 1},
    "tokenizer": {"kind": "mosaic", "tile": 8, "levels": 4, "training": LOOP},
    "video_models": ["habit"],
    "habit": {"window": 3, "training": LOOP},
    "reward": {"model": "habit", "force": True},  # two numbers learned from four videos tell nobody from anybody
    "reward_evaluation": {"freeze_at": [0], "episodes": 2},
    "exploration": {"kind": "last_seen", "weight": 0.1},
    "methods": ["viper", "brightness"],
    "brightness": {"scale": 2.0},
    "agents": ["bandit"],
    "bandit": {"step": 0.5},
    "runs": {
        "steps": 48,
        "envs": 2,
        "round_steps": 12,
        "random_steps": 24,
        "eval_every": 24,
        "eval_episodes": 1,
        "final_episodes": 2,
    },
}
"""The block `suites.dots` of params.yaml."""
