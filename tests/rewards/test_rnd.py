"""The exploration bonus: new frames pay more than known ones, on a scale that does not drift."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from viper_pipeline.rewards.rnd import RND, RNDConfig

CONFIG = RNDConfig(channels=(8,), kernels=(4,), strides=(4,), hidden=(32,), outputs=16, learning_rate=1e-3)


@pytest.fixture
def rnd():
    torch.manual_seed(0)
    return RND(CONFIG, (3, 16, 16))


def frames(seed, size=32, low=0, high=100):
    return np.random.default_rng(seed).integers(low, high, (size, 3, 16, 16), dtype=np.uint8)


def test_known_frames_pay_less_than_new_ones(rnd):
    known, new = frames(0), frames(1, low=150, high=256)
    for _ in range(200):
        rnd.update(known)
    assert rnd.bonus(new).mean() > 5 * rnd.bonus(known).mean()


def test_bonus_is_bounded_and_learns_nothing(rnd):
    rnd.update(frames(0))
    before = {k: v.clone() for k, v in rnd.predictor.state_dict().items()}
    bonus = rnd.bonus(frames(1))
    assert bonus.shape == (32,) and bonus.dtype == np.float32
    assert (bonus >= 0).all() and (bonus <= CONFIG.clip).all()
    assert all(torch.equal(v, before[k]) for k, v in rnd.predictor.state_dict().items())


def test_the_weight_follows_its_schedule():
    twin = RND(CONFIG.model_copy(update={"weight": 0.5, "final_weight": 0.1}), (3, 16, 16))
    assert twin.config.weight_at(1.0) == pytest.approx(0.1) and twin.config.weight_at(2.0) == pytest.approx(0.1)
    early = RND(CONFIG.model_copy(update={"weight": 0.5, "final_weight": 0.1, "final_at": 0.5}), (3, 16, 16))
    assert [early.config.weight_at(done) for done in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0.5, 0.3, 0.1, 0.1])
    assert not torch.equal(twin.fixed[0].weight, twin.predictor[0].weight)


def test_the_fixed_network_stays(rnd):
    before = [p.clone() for p in rnd.fixed.parameters()]
    rnd.update(frames(0))
    assert all(torch.equal(a, b) for a, b in zip(before, rnd.fixed.parameters(), strict=True))


def test_scale_is_the_running_deviation_of_errors(rnd):
    """Twice the error everywhere is the same bonus, once the deviation has followed."""
    for _ in range(3):
        rnd.update(frames(0))
    errors = rnd.errors(frames(0)).detach()
    assert rnd.variance > 0
    assert np.allclose(rnd.bonus(frames(0)), (errors / rnd.variance.sqrt()).clamp(max=CONFIG.clip), rtol=1e-4)


def test_a_loaded_bonus_goes_on_exactly(rnd, tmp_path):
    rnd.update(frames(0))
    torch.save(rnd.state_dict(), tmp_path / "rnd.pt")
    other = RND(CONFIG, (3, 16, 16))
    other.load_state_dict(torch.load(tmp_path / "rnd.pt", weights_only=True))
    for seed in (1, 2):
        assert rnd.update(frames(seed)) == other.update(frames(seed))
        assert np.array_equal(rnd.bonus(frames(9)), other.bonus(frames(9)))


def test_table_4_is_the_default():
    rnd = RND(RNDConfig(), (3, 64, 64))
    widths = [m.out_channels for m in rnd.predictor if isinstance(m, torch.nn.Conv2d)]
    layers = [m.out_features for m in rnd.predictor if isinstance(m, torch.nn.Linear)]
    assert widths == [32, 64, 64] and layers[:2] == [512, 512] and rnd.config.weight_at(0.7) == 1.0


@pytest.mark.parametrize("count", [1, 3, 7, 50])
def test_frames_that_are_all_alike_have_a_bonus(rnd, count):
    for shade in range(60):
        same = np.full((count, 3, 16, 16), shade, np.uint8)
        rnd.update(same)
        assert np.isfinite(rnd.bonus(same)).all()
