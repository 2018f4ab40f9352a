"""Dreamer solves a world of pixels whose optimum is known, and reaches nine tenths of it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.agents.dreamer.small import SMALL, Discrete, optimum
from tests.agents.toy import Toy
from viper_pipeline.agents.base import RunConfig
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.rewards.methods import ScaledTaskReward
from viper_pipeline.training.checkpoints import derive

RUN = RunConfig(
    steps=600, envs=2, round_steps=12, random_steps=240, updates_per_step=0.5, eval_every=600, eval_episodes=2,
    final_episodes=16,
)  # fmt: skip


@pytest.mark.parametrize("make_env", [Toy, Discrete])
def test_reaches_nine_tenths_of_the_optimum(make_env):
    result = train_in_environment(
        "dreamer",
        SMALL,
        RUN,
        make_env,
        seed=0,
        reward=lambda shape: ScaledTaskReward(1.0),
        discrete=make_env is Discrete,
    )
    best = np.mean([optimum(derive(0, "final", i)) for i in range(16)])
    assert np.mean(result.final_returns) > 0.9 * best
