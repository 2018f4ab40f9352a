"""Statistics against independent formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from viper_pipeline.reporting.statistics import (
    auroc,
    interquartile_mean,
    interval,
    spearman,
    value_order_correlation,
)

values = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(values, values)
def test_auroc_is_the_share_of_pairs_won(better, worse):
    pairs = [1.0 if b > w else 0.5 if b == w else 0.0 for b in better for w in worse]
    assert auroc(np.array(better), np.array(worse)) == pytest.approx(np.mean(pairs))
    assert auroc(np.array(better), np.array(worse)) == pytest.approx(1 - auroc(np.array(worse), np.array(better)))


def test_spearman_is_scipys_and_nothing_for_constants():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30), rng.normal(size=30)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert spearman(x, np.ones(30)) == 0.0


def test_a_reward_that_grows_has_value_order_one():
    assert value_order_correlation([np.arange(9.0), np.arange(5.0) ** 2]) == pytest.approx(1)
    assert value_order_correlation([-np.arange(9.0)]) == pytest.approx(-1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=4, max_size=30), st.randoms())
def test_the_interquartile_mean_ignores_order_and_extremes(numbers, random):
    shuffled = list(numbers)
    random.shuffle(shuffled)
    assert interquartile_mean([np.array(shuffled)]) == pytest.approx(interquartile_mean([np.array(numbers)]))
    worse = [*numbers[:-1]]
    worse.append(max(numbers) if numbers[-1] < max(numbers) else numbers[-1])
    assert min(numbers) - 1e-9 <= interquartile_mean([np.array(worse)]) <= max(numbers) + 1e-9


def test_an_interval_is_repeatable_and_holds_the_mean():
    groups = [np.random.default_rng(i).normal(i, 1, 40) for i in range(3)]
    assert interval(groups) == interval(groups)
    low, high = interval(groups)
    assert low < np.mean([g.mean() for g in groups]) < high


def test_seeds_that_differ_widen_the_interval_more_than_episodes_do():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 10, (4, 50))
    alike = interval(list(noise))
    apart = interval(list(noise + np.array([[0], [100], [200], [300]])))
    assert apart[1] - apart[0] > 5 * (alike[1] - alike[0])


def test_a_95_percent_interval_mostly_holds_the_truth():
    """Many seeds, so that resampling seeds is no guess."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(60):
        seeds = rng.normal(0, 5, 12)
        low, high = interval([rng.normal(m, 2, 20) for m in seeds])
        hits += low <= 0 <= high
    assert hits >= 50
