"""The table of the paper's claims: a verdict only where there are seeds for a test, and the right way round."""

import copy

import numpy as np
import pytest
from scipy import stats

from tests.reporting.test_sentences import metrics_of, variants
from viper_pipeline.reporting.claims import claim_rows, claims, least_significant
from viper_pipeline.reporting.metrics import build_metrics
from viper_pipeline.reporting.paper_figures.ablations import ablation_metrics
from viper_pipeline.reporting.results import Baselines, RunResult


def run(method, level, seed, task="cartpole_balance"):
    return RunResult("dmc", task, method, "drq", seed, np.arange(2), np.zeros(2), (level + 5.0 * seed,), 10, 4)


def dmc(levels, seeds=5):
    """Methods and their mean returns -> metrics of two tasks."""
    baselines = [
        Baselines("dmc", t, 10.0, 100.0, 900.0, {"random": (9.0, 10, 11), "idle": (99.0, 100, 101)}) for t in "ab"
    ]
    runs = [run(m, level, s, task) for m, level in levels.items() for s in range(seeds) for task in "ab"]
    return {"dmc": build_metrics(runs, baselines, {}, {})}


def verdict(suites, claim, ablations=None):
    (row,) = [row for row in claim_rows(suites, ablations) if row.claim == claim]
    return row


AMP = "VIPER does better than AMP"


@pytest.mark.parametrize("amp, found", [(300, "reproduced"), (900, "contradicted"), (602, "not shown")])
def test_a_difference_is_judged_by_a_test_over_seeds(amp, found):
    row = verdict(dmc({"viper": 600, "amp": amp}), AMP)
    assert row.verdict.startswith(found) and "p = " in row.verdict
    assert row.n == "2 tasks x 5 and 5 seeds" and row.effect == f"{(600 - amp) / 1000:+.2f} (return / 1000)"
    low, high = map(float, row.interval.split(" to "))
    assert low <= (600 - amp) / 1000 <= high


def test_without_seeds_or_runs_nothing_is_tested_however_clear_the_means():
    few = verdict(dmc({"viper": 900, "amp": 10}, seeds=4), AMP)
    assert few.verdict == "not tested: fewer than 5 seeds" and few.effect == "+0.89 (return / 1000)"
    assert verdict(dmc({"viper": 900}), AMP).verdict == "not tested"
    assert verdict({}, AMP).n == "0"


def test_learning_is_claimed_of_the_tasks_that_were_tested():
    claim = "an agent learns from it"
    assert verdict(dmc({"viper": 600}), claim).verdict == "reproduced"
    assert verdict(dmc({"viper": 600}), claim).effect == "above both on 2 of 2 tested tasks"
    assert verdict(dmc({"viper": 40}), claim).verdict == "contradicted"
    assert verdict(dmc({"viper": 600}, seeds=3), claim).verdict == "not tested: fewer than 5 seeds"


def test_a_reward_is_judged_by_the_lower_ends_of_its_intervals():
    suites = {"dmc": metrics_of("dmc", 1), "atari": metrics_of("atari", 1)}
    easy, hard = (verdict(suites, c[1]) for c in claims()[:2])
    assert easy.verdict == hard.verdict == "reproduced" and easy.effect > hard.effect
    for task in suites["dmc"]["rewards"]["dmc"]["videogpt"]["tasks"].values():
        task["auroc_frame"] |= {"value": 0.6, "ci95_low": 0.4, "ci95_high": 0.8}
    assert verdict(suites, claims()[1][1]).verdict == "not shown"
    assert verdict(suites, "one model serves all tasks").verdict == "not tested: 2 of the paper's 15 tasks"


def test_the_likelihood_ratio_speaks_to_no_claim_of_the_paper():
    suites = {"dmc": metrics_of("dmc", 1), "atari": metrics_of("atari", 1)}
    before = list(claim_rows(suites))
    models = suites["dmc"]["rewards"]["dmc"]
    models["videogpt_ratio"] = copy.deepcopy(models["videogpt"])
    for task in models["videogpt_ratio"]["tasks"].values():
        task["kinds"]["random"]["auroc_frame"] = {"value": 0.1, "ci95_low": 0.05, "ci95_high": 0.2}
    assert list(claim_rows(suites)) == before
    models["videogpt"] = models.pop("videogpt_ratio")
    assert list(claim_rows(suites)) != before


def test_a_rank_correlation_needs_more_than_chance():
    rng = np.random.default_rng(0)
    chance = [stats.spearmanr(*rng.normal(size=(2, 12))).statistic for _ in range(4000)]
    assert np.mean(np.array(chance) > least_significant(12)) == pytest.approx(0.025, abs=0.01)
    assert least_significant(4) == 1


def test_ablations_have_rows_of_their_own():
    levels = Baselines("dmc", "cartpole_balance", 280.0, 749.0, 995.0)
    for seeds, found in ((1, "not tested: fewer than 5 seeds"), (5, "reproduced (p = 0.008); not shown")):
        row = verdict(
            {}, "the bonus helps (beta 1 > 0.5 > 0)", ablation_metrics("cartpole_balance", variants(seeds), levels)
        )
        assert row.verdict.startswith(found) and "against 0.5" in row.effect
    assert verdict({}, "more context helps").verdict == "not tested"


def test_every_row_has_a_verdict_whatever_there_is():
    for suites in ({}, {s: metrics_of(s, 5) for s in ("dmc", "atari", "tabletop", "rlbench")}):
        rows = claim_rows(suites)
        assert len(rows) == 19 and all(row.verdict and row.claim for row in rows)
