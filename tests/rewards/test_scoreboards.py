"""Scoreboards on real frames (paper 4.2): unmasked digits move the likelihood, masked ones do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.envs.test_atari import SCORE, scored, suite
from viper_pipeline.rewards.viper import ViperConfig, ViperReward
from viper_pipeline.training.config import LoopConfig
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig


class Blocks:
    """A tokenizer of 64x64 frames: one code for every 4x4 pixels, their mean brightness in 256 levels."""

    grid = (16, 16)
    codebook = torch.randn(256, 3, generator=torch.Generator().manual_seed(0))

    def encode(self, frames):
        grey = torch.as_tensor(np.ascontiguousarray(frames)).float().mean(-1)
        return (grey.view(-1, 16, 4, 16, 4).mean((2, 4))).long()


def scores(task: str, masked: bool) -> list[float]:
    """Likelihood of the same video with either score on the board of its last frame."""
    torch.manual_seed(0)
    sizes = VideoGPTConfig(
        window=2, width=12, feedforward=16, heads=2, layers=1,
        training=LoopConfig(steps=1, batch_size=1, learning_rate=1),
    )  # fmt: skip
    model = VideoGPT(sizes, Blocks.codebook, Blocks.grid, (task,)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.5)
    spec = suite.frame_spec(task, {}, {}).model_copy(update={"mask": suite.masks(task) if masked else []})
    reward = ViperReward(Blocks(), model, task, ViperConfig(), spec)
    before, after = scored(task)
    return [float(reward.log_prob(reward.encode(np.stack([before, last]))[None])[0, 1]) for last in (before, after)]


@pytest.mark.parametrize("task", SCORE)
def test_the_score_moves_the_likelihood_unless_it_is_masked(task):
    nil, seven = scores(task, masked=False)
    assert abs(nil - seven) > 0.1
    nil, seven = scores(task, masked=True)
    assert nil == seven
