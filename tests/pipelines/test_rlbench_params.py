"""params.yaml of a suite whose experts are planned: what cannot be is said, with the field and the remedy."""

import pytest

from tests.pipelines.test_params import ROOT, put, read
from viper_pipeline.core.errors import BadParams
from viper_pipeline.envs.rlbench import HELD_OUT, PAIRS, RLBench
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import read_profile

TASK = "panda_reach_target"


@pytest.fixture(scope="module")
def params():
    """The paper's profile, of RLBench only, and one task of it."""
    raw = read("profiles/paper.yaml")
    del raw["ablations"]
    block = raw["suites"]["rlbench"]
    one = {key: {TASK: block[key][TASK]} for key in ("datasets", "experts")}
    return raw | {"suites": {"rlbench": block | one | {"tasks": [TASK], "held_out_tasks": [], "more_methods": {}}}}


WRONG = {
    "an expert that learns": (
        f"experts.{TASK}",
        {"algorithm": "sac", "steps": 9000},
        [f"experts.{TASK}.algorithm", "use planner"],
    ),
    "a planner with settings": (
        f"experts.{TASK}",
        {"algorithm": "planner", "steps": 9},
        [f"{TASK}.steps", "unknown key"],
    ),
    "noisy demonstrations": ("record.noisy", 3, ["record.noisy", "write 0"]),
    "a camera that is not there": ("frames.camera", "left", ["frames.camera", "front"]),
    "two frames an action": ("env.action_repeat", 2, ["env.action_repeat"]),
    "an arm that is not there": ("tasks", ["jaco_reach_target"], ["no task 'jaco_reach_target'", "panda_reach_target"]),
    "an importer misspelt": (f"datasets.{TASK}.kind", "rlbensh", [f"datasets.{TASK}.kind", "did you mean 'rlbench'"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_named_with_field_and_remedy(params, case):
    path, value, words = WRONG[case]
    with pytest.raises(BadParams) as error:
        validate(put(params, f"suites.rlbench.{path}", value))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_planned_experts_and_demonstrations_already_written_are_both_sound(params):
    assert validate(params).suites["rlbench"].experts[TASK].algorithm == "planner"
    folder = {"kind": "rlbench", "path": "demos"}
    assert validate(put(params, f"suites.rlbench.datasets.{TASK}", folder))


def test_other_suites_have_no_planner():
    tiny = read_profile(ROOT / "profiles" / "tiny.yaml")
    with pytest.raises(BadParams, match=r"cartpole_balance\.algorithm: planner: there is no planner"):
        validate(put(tiny, "suites.dmc.experts.cartpole_balance", {"algorithm": "planner"}))


def test_the_papers_profile_has_the_pairs_of_the_experiment_with_two_arms():
    block = read("profiles/paper.yaml")["suites"]["rlbench"]
    assert tuple(block["tasks"]) == (*PAIRS, HELD_OUT) and block["held_out_tasks"] == [HELD_OUT]
    classes = {RLBench().task_label(task) for task in PAIRS}
    assert len(classes) == 33 and RLBench().task_label(HELD_OUT) in classes  # Sawyer shows what Panda is never seen do
