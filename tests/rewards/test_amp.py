"""AMP's discriminator: what it has learnt to tell apart, and where its windows lie."""

import numpy as np
import pytest
import torch

from viper_pipeline.rewards.amp import AMP, AMPConfig

SMALL = AMPConfig(window=3, channels=(8,), kernels=(3,), strides=(2,), hidden=(32,), learning_rate=2e-3, batch_size=32)


def numbered(video, length):
    """Every pixel says which video and which frame it is of."""
    return np.stack([np.full((1, 4, 4), 20 * video + t, np.uint8) for t in range(length)])


def amp(config=SMALL, shape=(1, 8, 8)):
    torch.manual_seed(0)
    return AMP(config, shape)


def moving(rng, count, step):
    """Windows (count, 3, 1, 8, 8) of a bright column that moves `step` pixels a frame; where it is tells nothing."""
    start = rng.integers(0, 8, count)
    windows = np.zeros((count, 3, 1, 8, 8), np.uint8)
    for t in range(3):
        windows[np.arange(count), t, :, :, (start + step * t) % 8] = 255
    return windows


def test_expert_windows_are_whole_runs_of_one_video():
    prior = amp(shape=(1, 4, 4))
    prior.set_demos([numbered(0, 5), numbered(1, 9)])
    windows = prior.sample(np.random.default_rng(0), 500)[:, :, 0, 0, 0].astype(int)
    for window in windows:
        video, end = divmod(window[-1], 20)
        assert list(window) == [20 * video + max(end - k, 0) for k in (2, 1, 0)] and end >= 1
    assert len({w[-1] for w in windows}) == 4 + 8, "every frame that can be arrived at is drawn"


def test_after_training_experts_motion_is_paid_more():
    """No single frame tells experts from others: only the direction of the motion does."""
    rng, prior = np.random.default_rng(0), amp()
    prior.set_demos([w for w in moving(rng, 64, 1)])
    prior.ends = prior.ends[prior.ends[:, 1] == 2]  # whole windows only: a repeated first frame stands still
    for _ in range(300):
        prior.update(moving(rng, 32, -1), rng)
    forth, back = prior.rewards(moving(rng, 200, 1)), prior.rewards(moving(rng, 200, -1))
    assert forth.min() > back.max() and forth.mean() > 0.9 and back.mean() < 0.3


def test_what_cannot_be_told_apart_is_worth_three_quarters():
    """The least-squares optimum is D = 0 where both are equally likely: 1 - (0 - 1)^2 / 4."""
    rng, prior = np.random.default_rng(0), amp()
    prior.set_demos([w for w in moving(rng, 64, 1)])
    prior.ends = prior.ends[prior.ends[:, 1] == 2]
    for _ in range(200):
        prior.update(moving(rng, 32, 1), rng)
    assert prior.rewards(moving(rng, 200, 1)).mean() == pytest.approx(0.75, abs=0.1)


def test_the_penalty_flattens_the_discriminator_at_experts():
    slopes = []
    for penalty in (0.0, 5.0):
        rng, prior = np.random.default_rng(0), amp(SMALL.model_copy(update={"penalty": penalty}))
        prior.set_demos([w for w in moving(rng, 64, 1)])
        for _ in range(150):
            prior.update(moving(rng, 32, -1), rng)
        pictures = prior._inputs(prior.sample(rng, 100)).requires_grad_(True)
        (slope,) = torch.autograd.grad(prior._logits(pictures).sum(), pictures)
        slopes.append(float(slope.square().flatten(1).sum(1).mean()))
    assert slopes[1] < 0.5 * slopes[0]


def test_rewards_stay_within_their_limits():
    prior = amp(SMALL.model_copy(update={"low": -0.5, "high": 0.5}))
    with torch.no_grad():
        prior.network[-1].weight.mul_(100)
    rewards = prior.rewards(np.random.default_rng(0).integers(0, 256, (64, 3, 1, 8, 8), dtype=np.uint8))
    assert rewards.dtype == np.float32 and rewards.min() >= -0.5 and rewards.max() <= 0.5
