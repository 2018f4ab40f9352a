"""Statistics over tasks: the relations that hold whatever the scores are, and what a suite is compared on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viper_pipeline.reporting import statistics as a
from viper_pipeline.reporting.metrics import normalized, score_tables, suite_metrics
from viper_pipeline.reporting.results import Baselines, RunResult

tables = st.integers(2, 6).flatmap(
    lambda seeds: st.lists(
        st.lists(st.floats(-2, 2), min_size=seeds, max_size=seeds).map(np.array), min_size=1, max_size=5
    )
)


def value(statistic, table):
    return a.over_seeds(statistic, table).mean()


@settings(max_examples=60, deadline=None)
@given(tables, st.randoms())
def test_nothing_depends_on_the_order_of_tasks(table, random):
    shuffled = random.sample(table, len(table))
    for statistic in a.STATISTICS.values():
        assert a.over_seeds(statistic, shuffled) == pytest.approx(a.over_seeds(statistic, table), abs=1e-9)
    assert a.std_over_tasks(shuffled) == pytest.approx(a.std_over_tasks(table), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(tables, st.floats(-1, 1), st.floats(0.1, 3))
def test_averages_move_with_the_scores_and_stay_among_them(table, shift, scale):
    moved = [scale * s + shift for s in table]
    everything = np.concatenate(table)
    for statistic in (a.task_mean, a.task_median, a.interquartile_mean):
        assert value(statistic, moved) == pytest.approx(scale * value(statistic, table) + shift, abs=1e-9)
        assert everything.min() - 1e-9 <= value(statistic, table) <= everything.max() + 1e-9


@settings(max_examples=60, deadline=None)
@given(tables)
def test_the_optimality_gap_is_what_is_missing_to_one(table):
    gap = value(a.optimality_gap, table)
    assert gap >= 0
    low = [np.minimum(s, 1.0) for s in table]
    assert gap == pytest.approx(1 - np.concatenate(low).mean())
    assert value(a.optimality_gap, [np.maximum(s, 1.0) for s in table]) == 0


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


def test_suites_are_tested_from_five_seeds_on():
    rng = np.random.default_rng(0)
    for seeds in (4, 5):
        ours, theirs = ([rng.normal(level, 1, seeds) for _ in range(3)] for level in (9, 0))
        found = a.improvement(ours, theirs)
        assert found["probability"] == 1 and found["difference"] == pytest.approx(9, abs=2)
        assert (found["test"], found["p"]) == ((None, None) if seeds < 5 else ("permutation test", 2 / 252))


def test_an_interval_over_tasks_lies_around_its_value_and_tasks_that_differ_widen_nothing():
    noise = [np.random.default_rng(i).normal(0, 0.1, 5) for i in range(4)]
    alike = a.aggregate_interval(a.task_mean, noise)
    apart = a.aggregate_interval(a.task_mean, [n + 10 * i for i, n in enumerate(noise)])
    assert apart[1] - apart[0] == pytest.approx(alike[1] - alike[0])
    assert sum(alike) / 2 == pytest.approx(value(a.task_mean, noise))


def test_only_as_many_seeds_count_as_every_task_has():
    table = [np.array([0.0, 1, 2, 3, 4]), np.array([10.0, 11, 12])]
    assert a.over_seeds(a.task_mean, table).tolist() == [5, 6, 7]
    assert a.aggregate_statistics(table)["seeds"] == 3


def test_the_middle_half_of_the_tasks_leaves_out_the_best_and_the_worst():
    table = [np.full(3, level) for level in (0.0, 0.4, 0.5, 0.6, 99.0)]
    assert value(a.interquartile_mean, table) == pytest.approx(0.5)


def test_a_suite_is_compared_on_the_tasks_that_both_methods_have():
    def run(task, method, seed, level):
        return RunResult("dmc", task, method, "drq", seed, np.arange(2), np.zeros(2), (level, level), 10, 4)

    runs = [run("a", "viper", s, 900.0 + s) for s in range(3)] + [run("b", "viper", 0, 100.0)]
    runs += [run("a", "oracle", s, 500.0) for s in range(2)]
    block = suite_metrics(runs, [Baselines("dmc", "a", 100.0, 0.0, 900.0)])["dmc"]["drq"]
    against = block["viper_against"]["oracle"]
    assert (against["probability"], against["test"], against["tasks"]) == (1.0, None, 1)
    assert against["difference"] == pytest.approx(0.401)
    assert block["methods"]["viper"]["mean"]["value"] == pytest.approx((0.9 + 0.1) / 2)  # the seed that both tasks have
    by_expert = block["expert_normalized"]["viper"]
    assert by_expert["tasks"] == 1 and by_expert["iqm"]["value"] == pytest.approx(801 / 800)
    assert score_tables(runs)["dmc", "drq", "viper"]["a"].tolist() == pytest.approx([0.9, 0.901, 0.902])


def test_scales_put_random_play_at_zero_and_people_at_one():
    assert normalized("atari", "pong", -20.7) == 0 and normalized("atari", "pong", 14.6) == 1
    assert normalized("dmc", "cartpole_balance", 1000) == 1 and normalized("rlbench", "lamp_on", 0.4) == 0.4
