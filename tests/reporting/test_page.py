"""The page, the figures and the numbers: complete, self-contained, and never kinder than the data."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from viper_pipeline.data.episode import gif, png
from viper_pipeline.reporting.metrics import build_metrics
from viper_pipeline.reporting.page import render_page
from viper_pipeline.reporting.paper_data import paper_lines, paper_score, paper_trajectories
from viper_pipeline.reporting.paper_figures.frames import StripKey
from viper_pipeline.reporting.plots import draw_learning_curves, draw_reward_figure, on_common_steps, short_film
from viper_pipeline.reporting.results import Baselines, RunKey, RunResult, TaskKey
from viper_pipeline.reporting.statistics import reward_metrics
from viper_pipeline.reporting.summary import verdicts


def run(method, level, seed=0, task="cartpole_balance", episodes=30):
    rng = np.random.default_rng([seed, len(method)])
    steps = np.arange(1000, 6000, 1000)
    return RunResult(
        "dmc",
        task,
        method,
        "drq",
        seed,
        steps,
        np.linspace(0, level, 5),
        tuple(rng.normal(level, 20, episodes)),
        5000,
        4,
    )


BASELINES = Baselines("dmc", "cartpole_balance", random=280.0, idle=765.0, expert=995.0)


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    kinds = {"train": -5, "held_out": -8, "random": -90, "idle": -60, "contrast": -40, "frozen_0": -7}
    made = {k: [rng.normal(m, 3, 60) for _ in range(4)] for k, m in kinds.items()}
    returns = {"train": 990, "held_out": 980, "random": 20, "idle": 95, "contrast": 500}
    return made, {k: np.full(4, float(v)) + np.arange(4) for k, v in returns.items()}


@pytest.fixture(scope="module")
def metrics(scores):
    runs = [run("viper", 900, s) for s in range(3)] + [run("oracle", 950)]
    return build_metrics(
        runs,
        [BASELINES],
        {"dmc": {"videogpt": {**reward_metrics(*scores), "tasks": {"cartpole_balance": reward_metrics(*scores)}}}},
        {"dmc.train_tokenizer.all": {"seconds": 12.5, "peak_rss_mb": 800}},
    )


def test_metrics_have_the_promised_shape(metrics):
    viper = metrics["agents"]["dmc"]["cartpole_balance"]["drq"]["viper"]
    assert {"final_return", "ci95_low", "ci95_high", "seeds", "steps"} <= set(viper)
    assert viper["seeds"] == 3 and viper["steps"] == 5000 and viper["episodes"] == 90
    assert viper["ci95_low"] < viper["final_return"] < viper["ci95_high"]
    assert metrics["baselines"]["dmc"]["cartpole_balance"] == {
        "expert_return": 995.0,
        "random_return": 280.0,
        "idle_return": 765.0,
    }
    assert {"auroc_step", "auroc_episode", "spearman_return"} <= set(metrics["rewards"]["dmc"]["videogpt"])
    json.dumps(metrics, allow_nan=False)


def test_rewards_that_separate_have_an_auroc_of_one_and_frozen_experts_pass_for_experts(scores):
    m = reward_metrics(*scores)
    assert m["auroc_step"] == pytest.approx(1.0) and m["spearman_return"] > 0.9
    assert 0.3 < m["kinds"]["frozen_0"]["auroc_step"] < 0.6
    assert m["kinds"]["random"]["nats"] == pytest.approx(-90, abs=2)


def verdict(level, idle, seeds=3):
    runs = [run("viper", level, s) for s in range(seeds)]
    methods = build_metrics(runs, [], {}, {})["agents"]["dmc"]["cartpole_balance"]["drq"]
    return " ".join(verdicts(methods, {"random_return": 280.0, "idle_return": idle, "expert_return": 995.0}))


def test_words_follow_from_numbers():
    assert "beats idle" in verdict(900, 765.0) and "beats random" in verdict(900, 765.0)
    assert "worse than idle" in verdict(600, 765.0)
    assert "cannot be distinguished from idle" in verdict(765, 765.0)
    assert "no run of VIPER" in " ".join(verdicts({}, {}))


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("level", [300, 900])
def test_too_few_seeds_never_speak_of_the_method(level, seeds):
    words = verdict(level, 765.0, seeds)
    assert f"Made of {seeds} seed" in words and "not for the method" in words
    assert "beats" not in words and "does worse" not in words
    assert ("ended above idle" in words) == (level > 765)
    assert "Made of" not in verdict(level, 765.0, seeds=3)


def test_a_rival_with_too_few_seeds_is_not_beaten():
    runs = [run("viper", 900, s) for s in range(3)]
    floors = {"random_return": 280.0, "idle_return": 765.0, "expert_return": 995.0}
    for rivals in (1, 3):
        made = runs + [run("exploration", 300, s) for s in range(rivals)]
        methods = build_metrics(made, [], {}, {})["agents"]["dmc"]["cartpole_balance"]["drq"]
        assert ("beats method exploration" in " ".join(verdicts(methods, floors))) == (rivals == 3)


def test_seeds_meet_on_common_steps_and_nothing_is_carried_forward():
    early, late = run("viper", 100), run("viper", 100, 1)
    early = replace(early, steps=np.array([0, 100, 200]), returns=np.array([0.0, 10.0, 20.0]))
    late = replace(late, steps=np.array([50, 150]), returns=np.array([50.0, 150.0]))
    steps, returns = on_common_steps([early, late])
    assert steps.tolist() == [50, 100, 150]
    assert returns.tolist() == [[5, 10, 15], [50, 100, 150]]


def test_a_new_method_and_a_second_agent_need_no_change_here():
    runs = [run("viper", 900), replace(run("viper", 100), agent="dreamer"), run("a_new_method", 400)]
    numbers = build_metrics(runs, [BASELINES], {}, {})
    picture = draw_learning_curves("cartpole_balance", runs, BASELINES)
    assert picture != draw_learning_curves("cartpole_balance", [runs[0], runs[2]], BASELINES)
    page = render_page("dmc", "laptop", numbers, {}, {}, {}, {}, {})
    assert "a_new_method" in page and "dreamer" in page


def test_unknown_baselines_are_null_and_too_few_seeds_are_named():
    unknown = Baselines("dmc", "cartpole_balance", random=float("nan"), idle=765.0, expert=None)
    numbers = build_metrics([run("viper", 900)], [unknown], {}, {})
    json.dumps(numbers, allow_nan=False)
    assert numbers["baselines"]["dmc"]["cartpole_balance"]["random_return"] is None
    assert draw_learning_curves("cartpole_balance", [run("viper", 900)], unknown)
    assert "1 of the paper&#39;s 3 seeds of viper, drq" in render_page("dmc", "laptop", numbers, {}, {}, {}, {}, {})


def test_the_page_holds_everything_and_loads_nothing(metrics, scores):
    runs = [run("viper", 900, s) for s in range(3)]
    figures = {
        "curves-dmc-cartpole_balance.webp": draw_learning_curves("cartpole_balance", runs, BASELINES),
        "reward-dmc-videogpt-cartpole_balance.webp": draw_reward_figure("cartpole_balance", *scores),
        "scores-dmc.webp": draw_reward_figure("cartpole_balance", *scores),
    }
    frames = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3), dtype=np.uint8)
    quality = {"dmc": {"cartpole_balance": {"held_out": {"psnr": 30.0, "foreground_l1": 7.0}}}}
    page = render_page(
        "dmc",
        "laptop",
        metrics,
        figures,
        {RunKey("dmc", "cartpole_balance", "viper", "drq", 0): short_film(gif(frames))},
        {TaskKey("dmc", "cartpole_balance"): png(frames[0])},
        {StripKey("dmc", "videogpt", "cartpole_balance"): png(frames[1])},
        quality,
    )
    # without the pictures, whose letters may spell anything
    words_only = re.sub(r"data:image/(?:webp|gif);base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"(src|href)=[\"'](?!data:|#|\.\./index\.html)", page)
    assert not re.search(r"https?:|url\(|@import", words_only)
    pictures = re.findall(r"data:image/(?:webp|gif);base64,([A-Za-z0-9+/=]+)", page)
    assert len(pictures) == 6
    for picture in pictures:
        Image.open(io.BytesIO(base64.b64decode(picture))).load()
    for words in ("idle", "random", "VIPER beats idle", "dmc.train_tokenizer.all", "852"):
        assert words in page
    assert "no run of method amp" in page


def test_equal_figures_have_equal_bytes():
    runs = [run("viper", 900)]
    first, second = (draw_learning_curves("cartpole_balance", runs, BASELINES) for _ in range(2))
    assert first == second


def score_of(game):
    """Human-normalized, at the end of the paper's curve."""
    return paper_lines("fig11", game)["viper"]["mean"].iloc[-4:].mean()


def test_the_papers_curves_are_found_by_our_names():
    lines = paper_lines("fig12", "ball_in_cup_catch")["viper"]
    assert len(lines) > 20 and lines.step.iloc[-1] > 10e6 and (lines.low <= lines["mean"]).all()
    assert paper_score("dmc", "cartpole_balance", "viper") == pytest.approx(852, abs=2)
    assert paper_score("atari", "pong", "viper") == pytest.approx(-20.7 + 35.3 * score_of("pong"), abs=0.1)
    assert set(paper_lines("fig12", "cartpole_balance")) == {"oracle", "viper", "amp", "amp_multi"}
    assert paper_lines("fig12", "acrobot_swingup") == {} and paper_lines("fig9", panel="exploration")
    assert {kind: len(true) > 30 for kind, (true, _) in paper_trajectories().items()} == {
        "reference": True,
        "random": True,
    }
