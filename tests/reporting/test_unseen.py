"""Figs 7 and 8: the pair that no model was trained on, beside those that one was."""

import dataclasses

import numpy as np
import pytest

from tests.reporting.test_paper_figures import BY_NAME, run
from viper_pipeline.data.episode import strip
from viper_pipeline.reporting.paper_figures.frames import held_out_pair
from viper_pipeline.reporting.results import Evidence, ModelKey, TaskKey
from viper_pipeline.rewards.evaluation import pack
from viper_pipeline.training.artifacts import ModelArtifact

PAIRS = ["panda_stack", "panda_lift", "sawyer_stack", "sawyer_lift"]


@pytest.fixture(scope="module")
def evidence():
    """A model of four pairs, one of which it has not seen, and its reward."""
    rng = np.random.default_rng(0)
    picture = strip([rng.integers(0, 255, (4, 8, 8, 3), dtype=np.uint8) for _ in range(4)])
    scores = {kind: [rng.normal(-9, 1, 30) for _ in range(2)] for kind in ("held_out", "random")}
    tensors = {name: value for pair in PAIRS for name, value in pack(pair, scores, {}).items()}
    model = ModelArtifact({"held_out_tasks": ["sawyer_lift"]}, {}, {f"rollouts_{pair}.png": picture for pair in PAIRS})
    return Evidence(
        experts={TaskKey("tabletop", pair): None for pair in PAIRS},
        tokenizers={"tabletop": ModelArtifact({"size": 8})},
        video_models={ModelKey("tabletop", "videogpt"): model},
        rewards={ModelKey("tabletop", "videogpt"): ModelArtifact({"scales": {pair: {} for pair in PAIRS}}, tensors)},
        settings={"tabletop": {"tasks": PAIRS}},
    )


def test_pairs_of_the_same_arm_or_task_stand_beside_the_unseen_one(evidence):
    assert held_out_pair(evidence).tasks == ("panda_lift", "sawyer_stack", "sawyer_lift")


def test_predictions_have_one_row_per_pair_and_say_which_is_new(evidence):
    entry = BY_NAME["fig07"]
    assert entry.state(evidence) == "partial"
    titles = [panel.get_title() for panel in entry.draw(evidence).figure.axes]
    assert [title.split(",")[0] for title in titles] == [
        "tabletop: panda_lift", "tabletop: sawyer_stack", "tabletop: sawyer_lift (never seen in training)",
    ]  # fmt: skip


def test_a_pair_without_its_pictures_is_missed(evidence):
    ((key, model),) = evidence.video_models.items()
    files = {name: picture for name, picture in model.files.items() if "panda_lift" not in name}
    fewer = dataclasses.replace(evidence, video_models={key: dataclasses.replace(model, files=files)})
    assert [part.have for part in BY_NAME["fig07"].parts(fewer)] == [0, 1, 1]


def test_the_unseen_pairs_reward_is_drawn_with_its_agents_where_there_are_any(evidence):
    entry = BY_NAME["fig08"]
    assert entry.state(evidence) == "partial" and "no agent on sawyer_lift" in " ".join(entry.missing(evidence))
    assert len(entry.draw(evidence).figure.axes) >= 2
    runs = [run(task="sawyer_lift", suite="tabletop", seed=seed) for seed in range(2)]
    drawn = entry.draw(dataclasses.replace(evidence, runs=runs))
    assert "n = 2" in drawn.caption and len(drawn.figure.axes[2].lines) == 2


def test_a_model_that_saw_all_pairs_feeds_neither(evidence):
    models = {ModelKey("tabletop", "videogpt"): ModelArtifact({})}
    seen = dataclasses.replace(evidence, video_models=models)
    assert {BY_NAME[name].state(seen) for name in ("fig07", "fig08")} == {"missing"}
