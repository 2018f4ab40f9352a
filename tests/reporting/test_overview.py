"""The root page, written from the suites' metrics alone."""

import json
import re

import pytest

from tests.reporting.test_page import BASELINES, METHODS, run, scores, summary  # noqa: F401 (fixture)
from viper_pipeline.core.errors import BadData
from viper_pipeline.reporting.metrics import build_metrics
from viper_pipeline.reporting.overview import read_metrics, render_overview, reward_lines, suite_overview

RUNS = [run("viper", 900, s) for s in range(5)] + [run("a_new_method", 500)]
DMC = build_metrics(RUNS, [BASELINES], {}, {}, METHODS)
BARE = build_metrics([], [], {}, {})


def test_a_suite_is_told_by_its_tasks_every_method_and_its_reward(scores):  # noqa: F811
    numbers = {**DMC, "rewards": {"dmc": {"videogpt": summary(scores)}}}
    found = suite_overview("dmc", numbers)
    assert found.tasks == ["cartpole_balance"] and found.paper_tasks == 15
    (reward,) = reward_lines({"dmc": numbers})
    assert (reward.what, reward.tasks, reward.lowest_on) == ("single frames", 1, "cartpole_balance")
    assert reward.lowest["value"] == pytest.approx(1) and reward.unusable == []
    assert found.missing == ["task_reward", "exploration", "amp", "amp_multi"]
    viper, other = found.methods
    assert (viper.method, viper.seeds) == ("viper", 5) and viper.low < viper.mean < viper.high
    assert other.method == "a_new_method" and other.low is None
    assert "On 1 of 1 tested task" in found.answer


def test_the_page_links_to_every_suite_and_the_order_of_suites_makes_no_difference():
    page = render_overview({"dmc": DMC, "atari": BARE})
    assert page == render_overview({"atari": BARE, "dmc": DMC})
    links = set(re.findall(r'href="([^"#]*)', page))
    assert {"dmc/index.html", "atari/index.html", "ablations/index.html", "dmc/metrics.json"} <= links
    assert 'class="chart"' in page and 'class="chart"' not in render_overview({"atari": BARE})
    assert "a_new_method" in page and "no run" in page and "No agents were trained" in page


def test_suites_without_metrics_are_left_out_and_a_broken_file_is_named(tmp_path):
    folder = tmp_path / "reports" / "dmc"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(DMC))
    assert read_metrics(tmp_path, ["dmc", "atari"]).keys() == {"dmc"}
    (folder / "metrics.json").write_text("{")
    with pytest.raises(BadData, match=r"dmc/metrics.json: not JSON"):
        read_metrics(tmp_path, ["dmc"])
