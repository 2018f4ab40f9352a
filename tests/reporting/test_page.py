"""The page, the figures and the numbers: complete, self-contained, and never kinder than the data."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from viper_pipeline.data.episode import png
from viper_pipeline.reporting.comparisons import verdicts
from viper_pipeline.reporting.films import Film
from viper_pipeline.reporting.metrics import build_metrics, reward_summary
from viper_pipeline.reporting.page import render_page
from viper_pipeline.reporting.paper_data import paper_lines, paper_score, paper_trajectories
from viper_pipeline.reporting.paper_figures.frames import StripKey
from viper_pipeline.reporting.plots import draw_learning_curves, draw_reward_figure, figure_files, on_common_steps
from viper_pipeline.reporting.results import Baselines, Build, RunResult, TaskKey, in_columns
from viper_pipeline.reporting.reward_metrics import reward_metrics
from viper_pipeline.rewards.evaluation import pack
from viper_pipeline.training.artifacts import ModelArtifact


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


def episodes_of(mean, number=40):
    """Returns of episodes with this mean and a deviation of 50."""
    noise = np.random.default_rng(0).normal(0, 50, number)
    return tuple(mean + noise - noise.mean())


BASELINES = Baselines(
    "dmc",
    "cartpole_balance",
    random=280.0,
    idle=765.0,
    expert=995.0,
    episodes={"random": episodes_of(280.0), "idle": episodes_of(765.0)},
)
TASK = BASELINES.task
METHODS = {"dmc": ["viper", "task_reward", "exploration", "amp", "amp_multi"]}


POINTS = [
    {"task": TASK, "agent": "drq", "method": "viper", "seed": str(s), "step": str(t), "return_mean": "1"}
    for s in range(3)
    for t in (1, 2)
]
"""Rows of a curves.csv."""


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    kinds = {"train": -5, "held_out": -8, "random": -90, "idle": -60, "contrast": -40, "frozen_0": -7}
    made = {k: [rng.normal(m, 3, 60) for _ in range(4)] for k, m in kinds.items()}
    returns = {"train": 990, "held_out": 980, "random": 20, "idle": 95, "contrast": 500}
    return made, {k: np.full(4, float(v)) + np.arange(4) for k, v in returns.items()}


def summary(scores, task="cartpole_balance", mode="conditional", frames=None):
    """The rewards of a model of one task, as `reward_summary` makes it of an artifact."""
    tensors = pack(task, *scores, frames)
    return reward_summary(ModelArtifact({"scales": {task: {}}, "reward": {"mode": mode}}, tensors))


@pytest.fixture(scope="module")
def metrics(scores):
    runs = [run("viper", 900, s) for s in range(3)] + [run("oracle", 950)]
    return build_metrics(
        runs,
        [BASELINES],
        {"dmc": {"videogpt": summary(scores)}},
        {"dmc.train_tokenizer.all": {"seconds": 12.5, "peak_rss_mb": 800}},
        METHODS,
    )


def test_metrics_have_the_promised_shape(metrics):
    viper = metrics["agents"]["dmc"]["cartpole_balance"]["drq"]["viper"]
    assert {"final_return", "ci95_low", "ci95_high", "seeds", "steps"} <= set(viper)
    assert viper["seeds"] == 3 and viper["steps"] == 5000 and viper["episodes"] == 90
    assert viper["ci95_low"] < viper["final_return"] < viper["ci95_high"]
    levels = metrics["baselines"]["dmc"]["cartpole_balance"]
    assert (levels["expert_return"], levels["random_return"], levels["idle_return"]) == (995.0, 280.0, 765.0)
    assert levels["idle_episodes"] == 40 and levels["idle_std"] == pytest.approx(45, abs=10)
    assert metrics["rewards"]["dmc"]["videogpt"]["auroc_frame"] == pytest.approx(1, abs=0.01)
    assert metrics["comparisons"]["dmc"]["cartpole_balance"]["drq"][1]["against"] == "idle"
    json.dumps(metrics, allow_nan=False)


def test_rewards_that_separate_have_an_auroc_of_one_and_frozen_experts_pass_for_experts(scores):
    m = reward_metrics(*scores)
    assert m["auroc_frame"]["value"] == pytest.approx(1.0) and m["auroc_frame"]["ci95_low"] is None
    assert 0.3 < m["kinds"]["frozen_0"]["auroc_frame"]["value"] < 0.6
    assert m["kinds"]["random"]["nats"] == pytest.approx(-90, abs=2)


def said(runs, idle=765.0, wanted=()):
    numbers = build_metrics(runs, [replace(BASELINES, idle=idle)], {}, {})
    methods = numbers["agents"]["dmc"]["cartpole_balance"]["drq"]
    return " ".join(verdicts("dmc", methods, numbers["baselines"]["dmc"]["cartpole_balance"], wanted))


def seeds_of(method, level, seeds, spread=40):
    """Runs whose means are `spread` apart from one to the next, around `level`."""
    return [run(method, level + spread * (s - (seeds - 1) / 2), s) for s in range(seeds)]


def test_from_five_seeds_on_words_follow_from_a_test():
    assert "VIPER beats idle behavior (p" in said(seeds_of("viper", 900, 5))
    assert "VIPER does worse than idle behavior (p" in said(seeds_of("viper", 600, 5))
    assert "No difference from idle behavior is shown (p" in said(seeds_of("viper", 765, 5))
    assert "Welch's t-test, 5 seeds against 40 episodes" in said(seeds_of("viper", 900, 5))
    assert "no run of VIPER" in " ".join(verdicts("dmc", {}, {}))


def test_an_interval_above_a_baseline_is_no_proof():
    """Five seeds on average above idle behavior, but so far apart that chance may do it."""
    words = said(seeds_of("viper", 835, 5, spread=90), idle=749.0)
    assert "No difference from idle behavior is shown" in words and "beats idle" not in words


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
@pytest.mark.parametrize("level", [300, 900])
def test_fewer_than_five_seeds_beat_nothing(level, seeds):
    words = said(seeds_of("viper", level, seeds) + seeds_of("amp", 500, 5))
    assert "beats" not in words and "does worse" not in words and "No difference" not in words
    assert ("t-interval" in words) == (seeds >= 3)
    above = seeds if level > 765 else 0
    assert f"Idle behavior: 765 of 40 episodes, {above} of {seeds} seed" in words
    assert f"Method amp: 500 of 5 seeds, {above} of {seeds} seed" in words
    assert "too few seeds for a test" in words


def test_every_rival_is_named_and_one_with_few_seeds_is_not_beaten():
    runs = seeds_of("viper", 900, 5) + seeds_of("exploration", 300, 5) + seeds_of("amp", 1100, 3, 0)
    words = said(runs, wanted=METHODS["dmc"])
    assert re.search(r"VIPER beats method exploration \(p = 0.008, permutation test, 5 seeds against 5", words)
    assert "Method amp: 1100 of 3 seeds, 0 of 5 seeds of VIPER above it; too few" in words
    assert "Not run on this task: oracle, amp_multi." in words


def test_a_share_of_the_way_to_the_experts_is_said_and_never_a_share_of_a_score():
    words = said(seeds_of("viper", 900, 3))
    share = int(re.search(r"is (\d+) % of the way from random behavior \(280\) to the expert videos \(995\)", words)[1])
    assert share == pytest.approx(100 * (900 - 280) / (995 - 280), abs=2)
    below = said(seeds_of("viper", 200, 3))
    assert "Its mean is below random behavior (280)" in below and "-" not in below.split("Its mean")[1]


def test_seeds_meet_on_common_steps_and_nothing_is_carried_forward():
    early, late = run("viper", 100), run("viper", 100, 1)
    early = replace(early, steps=np.array([0, 100, 200]), returns=np.array([0.0, 10.0, 20.0]))
    late = replace(late, steps=np.array([50, 150]), returns=np.array([50.0, 150.0]))
    steps, returns = on_common_steps([early, late])
    assert steps.tolist() == [50, 100, 150]
    assert returns.tolist() == [[5, 10, 15], [50, 100, 150]]


def test_a_new_method_and_a_second_agent_need_no_change_here():
    runs = [run("viper", 900), replace(run("viper", 100), agent="dreamer"), run("a_new_method", 400, 3)]
    numbers = build_metrics(runs, [BASELINES], {}, {})
    both, one = (
        figure_files("x", draw_learning_curves("cartpole_balance", some, BASELINES), ["svg"])
        for some in (runs, [runs[0], runs[2]])
    )
    assert both != one
    page = render_page("dmc", "laptop", numbers, {}, [], {}, {}, {})
    assert "a_new_method" in page and "dreamer" in page


def test_every_method_of_the_suite_stands_in_every_table_run_or_not(metrics):
    page = render_page("dmc", "laptop", metrics, {}, [], {}, {}, {})
    in_short, of_task = (page.index(mark) for mark in ('<table class="short">', "<summary>cartpole_balance"))
    for label in ("viper", "oracle", "exploration", "amp", "amp_multi"):
        assert f"<th>{label}</th>" in page[in_short:of_task]
        assert f'<td class="what">{label}' in page[of_task:]
    assert page.count("<td>no run</td>") >= 6


def test_runs_of_other_code_stand_in_a_row_of_their_own():
    mine = [replace(run("viper", 900, s), build=Build("new", "here")) for s in range(3)]
    theirs = [replace(run("viper", 500, s), build=Build("old", "here"), origin="commit abc, here") for s in range(3)]
    runs = in_columns([*mine, *theirs])
    rows = build_metrics(runs, [BASELINES], {}, {})["agents"]["dmc"]["cartpole_balance"]["drq"]
    assert list(rows) == ["viper", "viper [commit abc, here]"]
    assert rows["viper"]["seeds"] == 3 and rows["viper"]["final_return"] == pytest.approx(900, abs=10)
    page = render_page("dmc", "laptop", build_metrics(runs, [BASELINES], {}, {}), {}, [], {}, {}, {})
    assert "viper [commit abc, here]" in page


def test_unknown_baselines_are_null_and_too_few_seeds_are_named():
    unknown = Baselines("dmc", "cartpole_balance", random=float("nan"), idle=765.0, expert=None)
    numbers = build_metrics([run("viper", 900)], [unknown], {}, {})
    json.dumps(numbers, allow_nan=False)
    assert numbers["baselines"]["dmc"]["cartpole_balance"]["random_return"] is None
    assert draw_learning_curves("cartpole_balance", [run("viper", 900)], unknown)
    assert "1 of the paper&#39;s 3 seeds of viper, drq" in render_page("dmc", "laptop", numbers, {}, [], {}, {}, {})


def test_the_page_holds_everything_and_asks_the_network_for_nothing(metrics, scores):
    runs = [run("viper", 900, s) for s in range(3)]
    figures = {
        **figure_files(
            "curves-dmc-cartpole_balance", draw_learning_curves("cartpole_balance", runs, BASELINES), ["svg"]
        ),
        **figure_files(
            "reward-dmc-videogpt-cartpole_balance", draw_reward_figure("cartpole_balance", *scores), ["svg"]
        ),
        "scores-dmc.svg": b"",
    }
    frames = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3), dtype=np.uint8)
    quality = {"dmc": {"cartpole_balance": {"held_out": {"psnr": 30.0, "foreground_l1": 7.0}}}}
    page = render_page(
        "dmc",
        "laptop",
        metrics,
        figures,
        [Film("cartpole_balance", "viper", "a.mp4", 9.0, 4, 4, "drq")],
        {TaskKey("dmc", "cartpole_balance"): png(frames[0])},
        {StripKey("dmc", "videogpt", "cartpole_balance"): png(frames[1])},
        quality,
        points=POINTS,
    )
    assert "Much of what moves is lost" not in page
    # without charts and pictures, whose letters may spell anything
    words_only = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    links = set(re.findall(r"(?:src|href)=[\"'](?!data:|#)([^\"']*)", words_only))
    shown = {name.removeprefix("figures/") for name in links if name.startswith("figures/")}
    assert shown == set(figures) - {"scores-dmc.svg"}  # one task is no suite
    assert all(name.startswith(("figures/", "films/", "../")) for name in links)
    words_only = re.sub(r"data:(?:image|video)/\w+;base64,[A-Za-z0-9+/=]+", "", words_only)
    assert not re.search(r"https?:|url\(|@import", words_only)
    pictures = re.findall(r"data:image/webp;base64,([A-Za-z0-9+/=]+)", page)
    assert len(pictures) == 2 and "films/a.mp4" in links
    assert "beats" not in words_only  # three seeds
    for picture in pictures:
        Image.open(io.BytesIO(base64.b64decode(picture))).load()
    for words in ("idle", "random", "not tested: fewer than 5 seeds", "dmc.train_tokenizer.all", "852"):
        assert words in page
    assert "no run of method amp" in page


def test_a_tokenizer_that_loses_what_moves_is_said_to_do_so(metrics):
    frame = np.zeros((16, 16, 3), np.uint8)
    quality = {"dmc": {"cartpole_balance": {"held_out": {"psnr": 26.0, "foreground_l1": 27.0}}}}
    strips = {TaskKey("dmc", "cartpole_balance"): png(frame)}
    assert "Much of what moves is lost" in render_page("dmc", "laptop", metrics, {}, [], strips, {}, quality)


def test_what_a_tokenizer_keeps_of_small_things_is_shown_where_it_was_looked_for() -> None:
    metrics = build_metrics([], [BASELINES], {}, {})
    seen = {"frames": 90, "found": 0.7, "kept": 0.27}
    probe = {"pong": {"figure": "ball", "codes": [16, 16], "held_out": seen, "random": {**seen, "found": None}}}
    page = render_page("atari", "laptop", metrics, {}, [], {}, {}, {}, probe=probe)
    assert "<td>16x16</td><td>90</td><td>0.70</td><td>0.27</td><td>90</td><td></td>" in page
    assert "found again" not in render_page("atari", "laptop", metrics, {}, [], {}, {}, {})


def test_equal_pages_have_equal_bytes(metrics):
    one, two = (render_page("dmc", "laptop", metrics, {}, [], {}, {}, {}, points=POINTS) for _ in range(2))
    assert one == two and one.count('class="chart"') == 3


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


def test_likelihood_and_likelihood_ratio_stand_side_by_side(scores):
    """With the numbers of each against every kind of play; and not at all where a suite has one of them alone."""
    made, returns = scores
    ratio = {kind: [-video / 9 for video in videos] for kind, videos in made.items()}
    rewards = {"videogpt": summary(scores), "videogpt_ratio": summary((ratio, returns))}
    for models in ([*rewards], ["videogpt"], ["videogpt_ratio"]):
        metrics = build_metrics([], [BASELINES], {"dmc": {name: rewards[name] for name in models}}, {}, METHODS)
        page = render_page("dmc", "laptop", metrics, {}, {}, {}, {}, {})
        assert ("likelihood and likelihood ratio" in page) == (len(models) == 2)
        assert ("ln p(expert) - ln p(agent), of a model" in page) == ("videogpt_ratio" in models)
        if len(models) == 2:
            cells = r'<td class="left">([a-z ]+)</td><td>(.*?)</td><td>(.*?)</td>'
            rows = re.findall(f"<td>cartpole_balance</td>{cells}", page)
            found = {kind: (plain, ratio) for kind, plain, ratio in rows[:3]}
            assert list(found) == ["random play", "idle play", "noisy play"]
            assert all(float(plain[:5]) > 0.9 and float(ratio[:5]) < 0.1 for plain, ratio in found.values())
