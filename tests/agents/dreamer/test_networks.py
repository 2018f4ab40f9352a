"""Dreamer's math against other implementations: NumPy, torch.distributions, and the definition of the lambda-return."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, kl_divergence

from viper_pipeline.agents.dreamer.networks import (
    BINS,
    balanced_kl,
    lambda_returns,
    symexp,
    symlog,
    two_hot,
    two_hot_loss,
    two_hot_mean,
    unimix,
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_symexp_undoes_symlog():
    x = torch.tensor([-5e4, -1.0, -1e-3, 0.0, 0.3, 7.0, 2e5])
    assert torch.allclose(symexp(symlog(x)), x, rtol=1e-5) and symlog(x)[3] == 0


def test_two_hot_is_linear_interpolation_between_bins():
    values = torch.cat([torch.randn(200) * 3, torch.randn(50) * 1000, torch.tensor([0.0, 1e12, -1e12])])
    code, bins = two_hot(values), np.linspace(-20, 20, BINS)
    for value, weights in zip(values.double().tolist(), code.double().numpy(), strict=True):
        place = np.clip(math.copysign(math.log1p(abs(value)), value), -20, 20)
        hats = np.clip(1 - np.abs(bins - place) / (bins[1] - bins[0]), 0, None)
        assert np.allclose(weights, hats, atol=2e-4)  # float32 at 127 bins from the middle
        assert weights.sum() == pytest.approx(1, abs=1e-6) and (weights > 0).sum() <= 2


def test_two_hot_loss_is_the_cross_entropy_and_its_code_has_the_mean_of_the_value():
    logits, values = torch.randn(40, BINS), torch.randn(40) * 20
    by_hand = -(two_hot(values) * (logits.exp() / logits.exp().sum(-1, keepdim=True)).log()).sum(-1)
    assert torch.allclose(two_hot_loss(logits, values), by_hand, atol=1e-5)
    assert torch.allclose(two_hot_mean((two_hot(values) + 1e-30).log()), values, rtol=1e-3, atol=1e-3)
    assert two_hot_mean(torch.zeros(BINS)).abs() < 1e-4, "an untaught head says 0"


def test_unimix_keeps_every_class_possible():
    log_probs = unimix(torch.randn(5, 4) * 50, 0.01)
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(5)) and (log_probs.exp() > 0.0024).all()
    logits = torch.randn(5, 4)
    assert torch.allclose(unimix(logits, 0.0), logits.log_softmax(-1))


@pytest.mark.parametrize("balance", [0.0, 0.667, 5 / 6, 1.0])
def test_kl_is_balanced_by_gradient_and_free_below_its_limit(balance):
    one, two = (torch.randn(7, 3, 4, requires_grad=True) for _ in "ab")
    loss, kl = balanced_kl(one.log_softmax(-1), two.log_softmax(-1), balance, free=0.0)
    truth = kl_divergence(Independent(Categorical(logits=one), 1), Independent(Categorical(logits=two), 1))
    assert torch.allclose(kl, truth, atol=1e-5) and torch.allclose(loss, truth, atol=1e-5)
    found = torch.autograd.grad(loss.sum(), (one, two))
    plain = torch.autograd.grad(truth.sum(), (one, two))
    assert torch.allclose(found[0], (1 - balance) * plain[0], atol=1e-5)
    assert torch.allclose(found[1], balance * plain[1], atol=1e-5)
    loss, _ = balanced_kl(one.log_softmax(-1), two.log_softmax(-1), balance, free=100.0)
    assert torch.allclose(loss, torch.full((7,), 100.0))
    assert all((slope == 0).all() for slope in torch.autograd.grad(loss.sum(), (one, two)))


@pytest.mark.parametrize("mix", [0.0, 0.6, 0.95, 1.0])
def test_lambda_returns_are_the_mixture_of_n_step_returns(mix):
    horizon = 6
    rewards, discounts = torch.randn(horizon, 5), torch.rand(horizon, 5)
    values = torch.randn(horizon + 1, 5)

    def n_step(t, n):
        total, discount = torch.zeros(5), torch.ones(5)
        for k in range(t, t + n):
            total, discount = total + discount * rewards[k], discount * discounts[k]
        return total + discount * values[t + n]

    found = lambda_returns(rewards, discounts, values, mix)
    for t in range(horizon):
        left = horizon - t
        parts = [(1 - mix) * mix ** (n - 1) * n_step(t, n) for n in range(1, left)]
        assert torch.allclose(found[t], sum(parts) + mix ** (left - 1) * n_step(t, left), atol=1e-5)
