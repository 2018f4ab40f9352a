"""Statistics over tasks: against scipy's bootstrap, and the relations that hold whatever the scores are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from viper_pipeline.reporting import statistics as a
from viper_pipeline.reporting.metrics import normalized, score_tables, suite_metrics
from viper_pipeline.reporting.results import RunResult

scores = st.lists(st.floats(-2, 2), min_size=2, max_size=6).map(np.array)
tables = st.lists(scores, min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(tables, st.randoms())
def test_nothing_depends_on_the_order_of_tasks_or_seeds(table, random):
    shuffled = [np.array(random.sample(list(s), len(s))) for s in table]
    random.shuffle(shuffled)
    for statistic in a.STATISTICS.values():
        assert statistic(shuffled) == pytest.approx(statistic(table), abs=1e-9)
    assert a.std_over_tasks(shuffled) == pytest.approx(a.std_over_tasks(table), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(tables, st.floats(-1, 1), st.floats(0.1, 3))
def test_averages_move_with_the_scores_and_stay_among_them(table, shift, scale):
    moved = [scale * s + shift for s in table]
    everything = np.concatenate(table)
    for statistic in (a.task_mean, a.task_median, a.interquartile_mean):
        assert statistic(moved) == pytest.approx(scale * statistic(table) + shift, abs=1e-9)
        assert everything.min() - 1e-9 <= statistic(table) <= everything.max() + 1e-9


@settings(max_examples=60, deadline=None)
@given(tables)
def test_the_optimality_gap_is_what_is_missing_to_one(table):
    gap = a.optimality_gap(table)
    assert gap >= 0
    low = [np.minimum(s, 1.0) for s in table]
    assert gap == pytest.approx(1 - np.concatenate(low).mean())
    assert a.optimality_gap([np.maximum(s, 1.0) for s in table]) == 0


@settings(max_examples=60, deadline=None)
@given(tables)
def test_a_profile_falls_from_one_to_nothing_and_its_area_is_the_mean(table):
    thresholds = np.linspace(-3, 3, 601)
    profile = a.performance_profile(table, thresholds)
    assert profile[0] == 1 and profile[-1] == 0 and (np.diff(profile) <= 0).all()
    area = -3 + profile.sum() * (thresholds[1] - thresholds[0])
    assert area == pytest.approx(np.concatenate(table).mean(), abs=0.02)


@settings(max_examples=60, deadline=None)
@given(tables)
def test_improvement_is_one_minus_its_opposite(table):
    other = [s[::-1] * 0.5 for s in table]
    forth, back = a.probability_of_improvement(table, other), a.probability_of_improvement(other, table)
    assert forth == pytest.approx(1 - back) and 0 <= forth <= 1
    assert a.probability_of_improvement(table, table) == pytest.approx(0.5)
    assert a.improvement([s + 9 for s in table], other)["ci95_low"] == 1


@settings(max_examples=20, deadline=None)
@given(tables)
def test_intervals_are_repeatable_and_hold_the_statistic_s_range(table):
    for statistic in a.STATISTICS.values():
        low, high = a.stratified_interval(statistic, table)
        assert (low, high) == a.stratified_interval(statistic, table)
        assert low <= high
    low, high = a.stratified_interval(a.task_mean, table)
    assert min(s.min() for s in table) - 1e-9 <= low and high <= max(s.max() for s in table) + 1e-9


@pytest.mark.parametrize("statistic", [a.task_mean, a.interquartile_mean])
def test_one_task_s_interval_is_scipy_s(statistic):
    sample = np.random.default_rng(0).normal(size=25)
    ours = a.stratified_interval(statistic, [sample])
    oracle = stats.bootstrap(
        (sample,), lambda x, axis: statistic([x]), n_resamples=4000, method="percentile", vectorized=True, rng=1
    ).confidence_interval
    assert ours == pytest.approx((oracle.low, oracle.high), abs=0.06)


def test_strata_keep_their_tasks_so_that_tasks_that_differ_widen_nothing():
    noise = [np.random.default_rng(i).normal(0, 0.1, 5) for i in range(4)]
    alike = a.stratified_interval(a.task_mean, noise)
    apart = a.stratified_interval(a.task_mean, [n + 10 * i for i, n in enumerate(noise)])
    assert apart[1] - apart[0] == pytest.approx(alike[1] - alike[0])


def test_one_seed_has_no_interval():
    assert a.stratified_interval(a.task_mean, [np.array([0.5]), np.array([0.7])]) is None
    assert a.profile_band([np.array([0.5])], np.zeros(3)) is None
    assert a.improvement([np.array([0.5])], [np.array([0.1])])["ci95_low"] is None


def test_a_suite_is_compared_on_the_tasks_that_both_methods_have():
    def run(task, method, seed, level):
        return RunResult("dmc", task, method, "drq", seed, np.arange(2), np.zeros(2), (level, level), 10, 4)

    runs = [run("a", "viper", s, 900.0 + s) for s in range(3)] + [run("b", "viper", 0, 100.0)]
    runs += [run("a", "oracle", s, 500.0) for s in range(2)]
    block = suite_metrics(runs)["dmc"]["drq"]
    assert block["viper_against"] == {"oracle": {"probability": 1.0, "ci95_low": 1.0, "ci95_high": 1.0, "tasks": 1}}
    assert block["methods"]["viper"]["mean"]["value"] == pytest.approx((0.901 + 0.1) / 2)
    assert score_tables(runs)["dmc", "drq", "viper"]["a"].tolist() == pytest.approx([0.9, 0.901, 0.902])


def test_scales_put_random_play_at_zero_and_people_at_one():
    assert normalized("atari", "pong", -20.7) == 0 and normalized("atari", "pong", 14.6) == 1
    assert normalized("dmc", "cartpole_balance", 1000) == 1 and normalized("rlbench", "lamp_on", 0.4) == 0.4
