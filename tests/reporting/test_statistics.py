"""Statistics over seeds: every printed interval covers what it says, and tests agree with independent formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from viper_pipeline.reporting.statistics import (
    STATISTICS,
    Sample,
    aggregate_interval,
    difference_interval,
    half_width,
    over_seeds,
    permutation_test,
    t_interval,
    trimmed_mean,
    welch_test,
)

SEEDS = (3, 5, 10)


def covered(interval, truth):
    return interval[0] <= truth <= interval[1]


def seed_means(rng, seeds, kind):
    """Scores of the seeds of one method: seeds differ by 80, and each is the mean of 32 episodes that differ by 100."""
    if kind == "normal":
        own = rng.normal(800, 80, seeds)
    else:
        own = 1000 * rng.beta(4, 2, seeds)  # skewed and bounded, as returns are
    return own + rng.normal(0, 100, (32, seeds)).mean(0)


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("kind, truth", [("normal", 800), ("bounded", 1000 * 4 / 6)])
def test_an_interval_of_a_task_covers_93_to_97_percent(seeds, kind, truth):
    rng = np.random.default_rng(seeds)
    hits = np.mean([covered(t_interval(seed_means(rng, seeds, kind)), truth) for _ in range(4000)])
    assert 0.93 <= hits <= 0.97


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("name", sorted(STATISTICS))
def test_an_interval_over_tasks_covers_93_to_97_percent(seeds, name):
    """Nine tasks of different heights and spreads; the truth is the mean over very many sets of runs."""
    statistic, rng = STATISTICS[name], np.random.default_rng(seeds)
    heights, spreads = np.linspace(0.1, 0.95, 9)[:, None], np.resize([0.05, 0.2, 0.1], 9)[:, None]

    def runs(count):
        return np.clip(heights + spreads * rng.normal(size=(9, count)), 0, 1)

    truth = over_seeds(statistic, list(runs(200_000))).mean()
    hits = np.mean([covered(aggregate_interval(statistic, list(runs(seeds))), truth) for _ in range(3000)])
    assert 0.93 <= hits <= 0.97


def test_an_interval_is_student_s_and_few_seeds_have_none():
    values = np.random.default_rng(0).normal(5, 2, 7)
    ends = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert t_interval(values) == pytest.approx(ends)
    assert half_width(np.stack([values, 2 * values], 1)) == pytest.approx([(ends[1] - ends[0]) / 2, ends[1] - ends[0]])
    assert t_interval(values[:3]) is not None
    assert t_interval(values[:2]) is None and t_interval(values[:1]) is None
    assert aggregate_interval(STATISTICS["iqm"], [values, values[:2]]) is None


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("ratio", [1, 2])
def test_an_interval_of_a_difference_covers_93_to_97_percent(seeds, ratio):
    """Also if one method's seeds differ twice as much as the other's."""
    rng = np.random.default_rng(seeds)
    hits = np.mean([
        covered(difference_interval(rng.normal(1, 1, seeds), rng.normal(0, ratio, seeds)), 1) for _ in range(4000)
    ])  # fmt: skip
    assert 0.93 <= hits <= 0.97
    ours, theirs = rng.normal(size=(2, seeds))
    found = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
    assert difference_interval(ours, theirs) == pytest.approx((found.low, found.high))


@pytest.mark.parametrize("test", [welch_test, permutation_test])
def test_equal_means_are_found_different_in_about_5_percent(test):
    rng, found = np.random.default_rng(0), 0
    for _ in range(400):
        ours, theirs = rng.normal(0, 1, 5), rng.normal(0, 1, 5)
        sides = (Sample.of(ours), Sample.of(theirs)) if test is welch_test else (ours, theirs)
        found += test(*sides).p < 0.05
    assert found / 400 <= 0.08


def test_a_baseline_s_own_error_counts():
    seeds = [781.0, 789.7, 934.2, 904.0, 913.0]
    sure, unsure = (welch_test(Sample.of(seeds), Sample(749, deviation, 40)).p for deviation in (1, 600))
    assert sure < 0.05 < unsure
    rng = np.random.default_rng(0)
    episodes = rng.normal(749, 50, 40)
    assert welch_test(Sample.of(seeds), Sample.of(episodes)).p == pytest.approx(
        stats.ttest_ind(seeds, episodes, equal_var=False).pvalue
    )


def test_values_that_never_vary_have_a_p_too():
    assert welch_test(Sample(0, 0, 5), Sample(0, 0, 40)).p == 1
    assert welch_test(Sample(1, 0, 5), Sample(0, 0, 40)).p == pytest.approx(0.0625)
    assert permutation_test([1.0] * 5, [1.0] * 5).p == 1


def test_a_permutation_test_of_five_against_five_tries_all_252_ways():
    assert permutation_test([6.0, 7, 8, 9, 10], [1.0, 2, 3, 4, 5]).p == pytest.approx(2 / 252)
    ours, theirs = np.random.default_rng(3).normal(size=(2, 5))
    assert permutation_test(ours, theirs) == permutation_test(ours, theirs)
    assert permutation_test(ours, theirs).p == pytest.approx(permutation_test(theirs, ours).p)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=4, max_size=30), st.randoms())
def test_the_interquartile_mean_ignores_order_and_extremes(numbers, random):
    shuffled = list(numbers)
    random.shuffle(shuffled)
    assert trimmed_mean(np.array(shuffled)) == pytest.approx(trimmed_mean(np.array(numbers)))
    extreme = sorted(numbers)
    extreme[-1] += 1000
    assert trimmed_mean(np.array(extreme)) == pytest.approx(trimmed_mean(np.array(numbers)))
