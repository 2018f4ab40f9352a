"""What pages may say: sentences follow from what ran, on the pages of every suite, and never claim more."""

import html
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from tests.reporting.test_page import summary
from viper_pipeline.reporting.metrics import build_metrics
from viper_pipeline.reporting.overview import render_overview
from viper_pipeline.reporting.page import Origins, render_ablations, render_page
from viper_pipeline.reporting.paper_data import PAPER_TASKS
from viper_pipeline.reporting.paper_figures.ablations import Variant, ablation_metrics
from viper_pipeline.reporting.results import Baselines, RunResult
from viper_pipeline.reporting.reward_metrics import reward_metrics
from viper_pipeline.reporting.summary import answers

SITE = Path(__file__).parents[2] / "docs" / "site"
METHODS = ["viper", "task_reward", "exploration", "amp", "amp_multi"]
TASKS = {
    "dmc": ["cartpole_balance", "ball_in_cup_catch"],
    "atari": ["boxing", "atlantis", "freeway"],
    "tabletop": ["panda_lift", "sawyer_lift"],
    "rlbench": ["lamp_on"],
}
LEVELS = {  # random, idle, experts, VIPER
    "dmc": (280.0, 749.0, 995.0, 835.0),
    "atari": (-1.0, 0.0, 59.0, -77.0),
    "tabletop": (0.0, 0.0, 1.0, 0.4),
    "rlbench": (0.0, 0.0, 1.0, 0.3),
}
AGENTS_ON = {"dmc": 2, "atari": 1, "tabletop": 0, "rlbench": 1}
"""Tasks of each suite that agents are trained on here."""
BLOCK = {"tokenizer": {"baseline_share": 0.125}, "reward": {"scale": {"kind": "range"}}}


def run(suite, task, method, level, seed, agent="drq"):
    rng = np.random.default_rng([seed, len(method), len(task)])
    low, high = (0, 1) if suite in ("tabletop", "rlbench") else (-1e9, 1e9)
    spread = 0.1 if high == 1 else 20
    returns = np.clip(rng.normal(level + rng.normal(0, spread), spread, 16), low, high)
    return RunResult(suite, task, method, agent, seed, np.array([1, 2]), np.zeros(2), tuple(returns), 20_000, 4)


def metrics_of(suite, seeds, methods=("viper", "task_reward", "amp")):
    """A report of this suite: rewards of all tasks, agents on some, of some methods."""
    random, idle, expert, viper = LEVELS[suite]
    rng = np.random.default_rng(0)
    levels = [
        Baselines(suite, task, random, idle, expert, {"random": (random,) * 20, "idle": (idle, idle + 1e-3) * 10})
        for task in TASKS[suite]
    ]
    trained = TASKS[suite][: AGENTS_ON[suite]]
    runs = [run(suite, task, m, viper + i, s) for task in trained for i, m in enumerate(methods) for s in range(seeds)]
    kinds = {"held_out": -8, "random": -90, "idle": -60, "contrast": -10}
    scores = {kind: [rng.normal(mean, 3, 30) for _ in range(5)] for kind, mean in kinds.items()}
    joint = suite == "atari"
    rewards = {}
    for task in TASKS[suite]:
        found = summary((scores, {}), task, "joint" if joint else "conditional", scores if joint else None)
        rewards = {**found, "tasks": {**rewards.get("tasks", {}), **found["tasks"]}}
    return build_metrics(runs, levels, {suite: {"videogpt": rewards}}, {}, {suite: METHODS})


def page_of(suite, seeds, **changed):
    paper = {name: BLOCK for name in PAPER_TASKS}
    origins = Origins(settings={suite: BLOCK | {"tasks": TASKS[suite]}}, paper=paper)
    return render_page(suite, "laptop", metrics_of(suite, seeds, **changed), {}, [], {}, {}, {}, origins)


def text_of(page):
    """The words of a page, without its style, its script and its charts."""
    words = re.sub(r"<[^>]+>", " ", re.sub(r"<(style|script).*?</\1>|<wbr>", "", page, flags=re.S))
    return re.sub(r"\s+", " ", html.unescape(words))


NEVER = [
    r"0 settings differ",  # of a suite that the paper does not have
    r"-\d+ % of",  # a negative share
    r"% of the expert videos' return",
    r"whole (95 % )?interval lies above",
    r"intervals? (do not touch|overlap)",
    r"the interval holds it",
    r"narrower than 95 %",
    r"[Vv]alue-order",
    r"saw expert videos only",
    r"chance that a VIPER run beats",
    r"compare orders",
    r"from reports/metrics.json",
    r"the scoreboard is black",
    r"per step",  # of an AUROC: of frames or of windows, which is named
]


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
@pytest.mark.parametrize("suite", sorted(TASKS))
def test_no_page_says_what_its_numbers_do_not(suite, seeds):
    text = text_of(page_of(suite, seeds))
    for pattern in NEVER:
        assert not re.search(pattern, text), pattern
    if seeds < 5 or not AGENTS_ON[suite]:
        assert not re.search(r"\bbeats\b|viper is (higher|lower)|is above that of random", text)
    if seeds < 3 or not AGENTS_ON[suite]:
        assert not re.search(r"t-interval -?\d", text) and "IQM (95 %)" not in text


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("suite", sorted(TASKS))
def test_every_method_stands_on_every_page(suite, seeds):
    text = text_of(page_of(suite, seeds))
    for label in ("viper", "oracle", "amp", "exploration", "amp_multi"):
        assert re.search(rf"\b{label}\b", text)
    if AGENTS_ON[suite]:
        assert "no run" in text and "Not run on this task: exploration, amp_multi." in text
        row = re.search(r"amp [+-]\d+( points)? \d of \d \d against \d seeds (.*?)(oracle|Run records|\*|[A-Z])", text)[
            2
        ]
        verdict = r"not tested: fewer than 5 seeds" if seeds == 3 else r"permutation test (no difference|viper is)"
        assert re.search(verdict, row)


def test_titles_name_their_suite():
    for suite in TASKS:
        page = page_of(suite, 1)
        for tag in ("title", "h1"):
            assert suite in re.search(rf"<{tag}\b[^>]*>(.*?)</{tag}>", page)[1]


def test_a_suite_that_the_paper_does_not_have_is_not_compared_with_it():
    text = text_of(page_of("tabletop", 3))
    assert "The paper has no suite tabletop; it stands in for RLBench" in text and "settings of tabletop" not in text
    assert "paper's viper" not in text and "The paper reports means" not in text
    assert "No agents were trained on this suite" in text


def test_a_suite_s_lead_follows_its_reward_and_its_tokenizer():
    assert "the sum of ln p over the frames of a window" in text_of(page_of("atari", 1))
    dmc = text_of(page_of("dmc", 1))
    assert "ln p(next frame given the frames before it)" in dmc
    assert "12.5 % of the frames that the tokenizer was trained on and the zero of the reward" in dmc


def test_agents_are_counted_by_the_tasks_that_they_were_trained_on():
    found = {a.question: a.answer for a in answers(metrics_of("atari", 1))}
    assert "3 of the paper's 7 tasks" in found["On what?"] and "on 1 of them (boxing)" in found["On what?"]


def test_atari_has_raw_scores_throughout_and_success_is_in_percent():
    atari = text_of(page_of("atari", 3))
    assert "True score at the end of training" in atari
    theirs = re.search(r"<td>boxing|boxing</td>.*?</tr>", page_of("atari", 3), re.S)[0]
    assert float(re.findall(r"<td>(-?[\d.]+)</td>", theirs)[-1]) > 50  # the paper's, in points as ours
    rlbench = text_of(page_of("rlbench", 3))
    assert "True success rate" in rlbench and re.search(r"random [+]\d+ points", rlbench)


def test_a_reward_of_windows_is_told_by_both_aurocs_and_named():
    text = text_of(page_of("atari", 1))
    assert "AUROC of single frames, hardest play" in text and "AUROC of windows, hardest play" in text
    assert "AUROC of experts' windows against these videos" in page_of("atari", 1)
    assert "AUROC of windows" not in text_of(page_of("dmc", 1))


def test_an_unusable_reward_is_said_to_be_so():
    metrics = metrics_of("dmc", 1)
    of_task = metrics["rewards"]["dmc"]["videogpt"]["tasks"]["ball_in_cup_catch"]
    of_task["gate"] = {"usable": False, "reasons": ["held-out experts score below idle play"]}
    text = text_of(render_page("dmc", "laptop", metrics, {}, [], {}, {}, {}))
    told = text.split("Not usable as a reward: 1 of 2 tasks")[1]
    assert told.split("ball_in_cup_catch")[1].startswith(" : held-out experts score below idle play")
    assert (
        "ball_in_cup_catch" in text_of(render_overview({"dmc": metrics})).split("not usable on")[1].split("AUROC:")[0]
    )


def test_the_root_page_names_every_method_and_claims_nothing_of_few_seeds():
    text = text_of(render_overview({suite: metrics_of(suite, 3) for suite in TASKS}))
    for pattern in NEVER:
        assert not re.search(pattern, text), pattern
    assert "beats" not in text and text.count("no run") >= 2 * 3
    assert "On 2 of 2 tested tasks" in text_of(render_overview({"dmc": metrics_of("dmc", 5)}))


def variants(seeds):
    scores = {kind: [np.random.default_rng(i).normal(level, 1, 20) for i in range(4)] for kind, level in
              {"held_out": -8, "random": -90, "idle": -60, "contrast": -9}.items()}  # fmt: skip
    reward = reward_metrics(scores, {"contrast": np.arange(4.0)})
    of = {value: [run("dmc", "cartpole_balance", "viper", level, s) for s in range(seeds)] for value, level in
          (("1", 800.0), ("0.5", 200.0), ("0.0", 801.0))}  # fmt: skip
    return {"beta": [Variant(value, runs, reward, own=value == "1") for value, runs in of.items()]}


def test_ablations_rank_nothing_with_few_seeds_and_say_what_a_test_shows():
    levels = Baselines("dmc", "cartpole_balance", *LEVELS["dmc"][:3])
    few, many = (
        text_of(render_ablations("laptop", ablation_metrics("cartpole_balance", variants(n), levels), {}))
        for n in (1, 5)
    )
    assert "nothing can be said of which value is better: beta 0.5, beta 0.0" in few and "to 9" not in few
    assert "compare orders" not in few
    assert "beta 0.5 is below the suite's own (p = 0.008, permutation test over seeds)" in many
    assert "beta 0.0 shows no difference" in many


def test_the_docs_site_makes_sentences_of_the_committed_reports(monkeypatch):
    """Whatever version wrote their metrics."""
    monkeypatch.syspath_prepend(str(SITE))
    readme, site = importlib.import_module("readme"), importlib.import_module("parts")
    claims = "\n".join(site.all_claims()).splitlines()
    text = "\n".join([*readme.reproduced(readme.ROOT), *readme.coverage(readme.ROOT), *site.agents(), *claims])
    assert all(line.count("|") == 8 for line in claims if "---" not in line)
    for pattern in NEVER:
        assert not re.search(pattern, text), pattern
    metrics = readme.merged_metrics(readme.ROOT)["agents"]
    seeds = {
        row["seeds"]
        for tasks in metrics.values()
        for agents in tasks.values()
        for m in agents.values()
        for row in m.values()
    }
    if max(seeds) < 5:
        assert "beats" not in text and "does worse" not in text
    for suite, tasks in metrics.items():
        assert all(f"### {task} ({suite}" in text for task in tasks)
