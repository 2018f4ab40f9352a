"""The gate: which rewards may train an agent, what it says of the others, and who it stops."""

from __future__ import annotations

import numpy as np
import pytest

from viper_pipeline.core.errors import BadData
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.rewards.base import REWARDS, RewardContext
from viper_pipeline.rewards.gate import judge, require_usable
from viper_pipeline.training.artifacts import ModelArtifact


def videos(mean, count=8, spread=1.0, seed=0, frame_spread=3.0):
    rng = np.random.default_rng(seed)
    return [mean + spread * rng.standard_normal() + frame_spread * rng.standard_normal(60) for _ in range(count)]


def scores(expert=-30.0, **kinds):
    given = {"random": videos(-60.0, seed=1), "idle": videos(-45.0, seed=2), "contrast": videos(-40.0, seed=3)}
    return {"held_out": videos(expert), **given, **kinds}


def test_a_reward_that_ranks_experts_first_is_usable():
    found = judge(scores())
    assert found.usable and found.reasons == () and found.gap == pytest.approx(15, abs=2)
    assert 0 < found.gap_error < 1 and set(found.auroc) == {"idle", "contrast"} and min(found.auroc.values()) > 0.9


def test_a_baseline_at_or_above_the_experts_makes_it_unusable():
    """Freeway's numbers: experts -74.4 nats, idle play -71.1."""
    found = judge(scores(-74.4, idle=videos(-71.1, seed=2), random=videos(-90, seed=1), contrast=videos(-99, seed=3)))
    assert not found.usable and found.gap < 0 and found.auroc["idle"] < 0.5
    assert "below idle play" in found.reasons[0] and "idle play" in found.reasons[1] and len(found.reasons) == 2


def test_a_gap_within_two_standard_errors_is_none():
    wide = {"spread": 30.0, "frame_spread": 0.1}
    found = judge({"held_out": videos(-30, **wide), "random": videos(-45, seed=5, **wide)})
    assert not found.usable and abs(found.gap) < 2 * found.gap_error
    one = judge({"held_out": videos(-30, count=1), "random": videos(-90, count=4)})
    assert not one.usable and one.gap_error is None and "one episode" in one.reasons[0]


def test_noisy_play_that_looks_as_good_makes_it_unusable():
    found = judge(scores(contrast=videos(-30.5, seed=3)))
    assert not found.usable and len(found.reasons) == 1 and "noisy play" in found.reasons[0]


def test_an_unusable_reward_trains_no_agent_unless_it_is_forced():
    bad = judge(scores(contrast=videos(-30.5, seed=3))).model_dump(mode="json")
    saved = {"model": "videogpt", "reward": {"force": False}, "gates": {"boxing": bad}}
    with pytest.raises(BadData, match=r"data/rewards/atari/videogpt/config.json.*AUROC.*0\.\d\d.*reward.force: true"):
        require_usable(saved, "atari", "boxing")
    require_usable(saved | {"reward": {"force": True}}, "atari", "boxing")
    require_usable(saved, "atari", "freeway")
    require_usable({"reward": {}}, "atari", "boxing")
    context = RewardContext("atari", "boxing", "cpu", lambda task: FrameSpec(size=8, action_repeat=4))
    inputs = {"tokenizer": None, "video_model": None, "fitted_reward": ModelArtifact(saved)}
    with pytest.raises(BadData, match="usable is false"):
        REWARDS.get("viper")().build(context, None, inputs)
