"""Every registered reward and bonus keeps the contract, and a new one needs no line elsewhere: two toys show it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from tests.rewards.test_viper import reward
from tests.rewards.toy import BrightnessMethod
from viper_pipeline import pipeline_registry
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadParams
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.pipelines.agents.pipeline import reward_inputs
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.rewards.amp import AMP
from viper_pipeline.rewards.base import EXPLORATION, REWARDS, AMPConfig, RewardContext
from viper_pipeline.testing import check_exploration, check_reward, check_reward_source

ROOT = Path(__file__).parents[2]
TASK = "cartpole_balance"


@pytest.fixture
def toys():
    """The toys are registered as any part is: by a line that names the module and the class."""
    REWARDS.register("brightness", "tests.rewards.toy:BrightnessMethod")
    EXPLORATION.register("last_seen", "tests.rewards.toy:LastSeen")
    yield
    REWARDS.unregister("brightness")
    EXPLORATION.unregister("last_seen")


def params(**changes) -> dict:
    """The tiny profile with the toys in it, and shorter runs."""
    raw = read_profile(ROOT / "profiles/tiny.yaml")
    dmc = raw["suites"]["dmc"]
    dmc |= {
        "methods": ["brightness"],
        "brightness": {"scale": 2.0},
        "exploration": {"kind": "last_seen", "weight": 0.5},
    }
    dmc["runs"] |= {"steps": 120, "round_steps": 30, "random_steps": 60, "eval_episodes": 1, "final_episodes": 1}
    raw["suites"] = {"dmc": dmc | changes}
    raw.pop("ablations", None)
    return raw


def test_parameters_with_the_toys_are_checked(toys, tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(params()))
    done = CliRunner().invoke(cli, ["params", "check", str(path)], catch_exceptions=False)
    assert done.exit_code == 0 and "1 agent runs" in done.output


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"brightness": {"scal": 1}}, r"suites\.dmc\.brightness\.scal: unknown key \(did you mean 'scale'"),
        ({"methods": ["britness"]}, r"suites\.dmc\.methods: there is no reward 'britness' \(did you mean 'brightness'"),
        ({"exploration": {"kind": "lastseen"}}, r"exploration\.kind: .*did you mean 'last_seen'"),
        ({"exploration": {"kind": "last_seen", "momentun": 1}}, r"exploration\.momentun: .*did you mean 'momentum'"),
        ({"exploration": {"kind": "none", "weight": 1}}, r"suites\.dmc\.exploration\.weight: unknown key"),
    ],
)
def test_mistakes_in_the_toys_blocks_are_named(toys, changes, said):
    with pytest.raises(BadParams, match=said):
        validate(params(**changes))


def test_a_reward_needs_its_block(toys):
    raw = params()
    del raw["suites"]["dmc"]["brightness"]
    with pytest.raises(BadParams, match=r"suites\.dmc\.brightness: method brightness needs this block"):
        validate(raw)


def trained(raw: dict):
    """Run the stage `train_agent_brightness` as Kedro does: the node of the pipeline, with its inputs by name."""
    validate(raw)
    (node,) = [n for n in pipeline_registry.build(raw)["dmc"].nodes if ".train_agent_brightness." in n.name]
    values = {}
    for name in node.inputs:
        value = raw
        for key in name.removeprefix("params:").split("."):
            value = None if name == "scratch" else value[key]
        values[name] = value
    (result,) = node.run(values).values()
    return node, result


def test_an_agent_learns_from_the_toys_by_the_stage_of_all_agents(toys):
    node, run = trained(params())
    assert {"params:suites.dmc.brightness", "params:suites.dmc.exploration"} <= set(node.inputs)
    assert node.func.keywords["reward"] == "brightness" and node.func.keywords["exploration"] == "last_seen"
    assert run.config["method"] == "brightness" and len(run.config["final_returns"]) == 1
    rows = run.files["curve.csv"].decode().splitlines()
    column = rows[0].split(",").index("train_reward")
    assert 0 < float(rows[1].split(",")[column]) < 2
    _, other = trained(params(exploration={"kind": "none"}))
    assert any((run.tensors[name] != other.tensors[name]).any() for name in run.tensors), "the bonus makes a difference"


def test_an_agent_that_is_curious_by_itself_is_not_where_there_is_no_bonus(toys, monkeypatch):
    told = []

    def note(*_, **keywords):
        told.append((keywords["curious"], keywords["exploration"] is not None))
        raise StopIteration

    monkeypatch.setattr("viper_pipeline.pipelines.agents.nodes.train_in_environment", note)
    dreamer = read_profile(ROOT / "profiles/laptop.yaml")["suites"]["dmc"]["dreamer"]
    for agent, block in (("dreamer", dreamer), ("drq", params()["suites"]["dmc"]["drq"])):
        for kind in ("last_seen", "none"):
            with pytest.raises(StopIteration):
                trained(params(**{"agents": [agent], agent: block, "exploration": {"kind": kind}}))
    assert told == [(True, False), (False, False), (False, True), (False, False)]


@pytest.mark.parametrize("name", [*REWARDS.names(), "brightness"])
def test_every_reward_says_what_it_is_and_what_it_reads(toys, name):
    block = params(amp={"channels": [4]}, viper_ratio={})["suites"]["dmc"]
    check_reward(REWARDS.get(name), block)
    for keyword, part in REWARDS.get(name)().parts(block).items():
        declared = next(one for one in pipeline_registry.PROJECT.parts if one.value == f"{{{keyword}}}")
        module, _, table = declared.registry.partition(":")
        assert part in getattr(importlib.import_module(module), table).names()


def test_seeds_of_runs_stay_what_they_were():
    """Seed labels are written into results; a method that is renamed keeps its own."""
    labels = {name: REWARDS.get(name).seed_label for name in REWARDS.names()}
    assert labels.pop("task_reward") == labels.pop("task_reward_plain") == "oracle"
    assert all(label == name for name, label in labels.items())


def test_every_method_gets_the_bonus_unless_its_name_says_otherwise():
    assert [name for name in REWARDS.names() if not REWARDS.get(name).bonus] == ["task_reward_plain"]
    block = params(amp={"channels": [4]}, viper_ratio={})["suites"]["dmc"]
    for name in REWARDS.names():
        bound, read = reward_inputs("dmc", block, name, TASK)
        assert ("exploration" in bound) == ("bonus" in read) == (name != "task_reward_plain")


SMALL = {"channels": [4], "kernels": [3], "strides": [2], "hidden": [8]}


@pytest.mark.parametrize("kind", [*EXPLORATION.names(), "last_seen"])
def test_every_bonus_is_one_and_resumes(toys, kind):
    check_exploration(
        kind, SMALL | {"kind": kind, "clip": 1e3, "learning_rate": 0.003} if kind == "rnd" else {"kind": kind}
    )


@pytest.mark.parametrize("kind", ["rnd", "last_seen"])
def test_a_bonus_has_a_weight(toys, kind):
    target, sizes = EXPLORATION.get(kind), SMALL if kind == "rnd" else {}
    config = target.Config.model_validate(sizes | {"kind": kind, "weight": 0.5, "final_weight": 0.0})
    bonus = target(config, (3, 8, 8))
    assert [bonus.config.weight_at(progress) for progress in (0.0, 0.5, 1.0)] == [0.5, 0.25, 0.0]


def test_every_source_rewards_frames():
    spec = FrameSpec(size=16, action_repeat=4)
    context = RewardContext("dmc", TASK, "cpu", lambda task: spec)
    check_reward_source(REWARDS.get("task_reward")().build(context, None, {}))
    check_reward_source(BrightnessMethod().build(context, BrightnessMethod.Config(), {}))
    videos = [np.random.default_rng(1).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)]
    check_reward_source(lambda shape: AMP(AMPConfig.model_validate(SMALL | {"window": 3}), shape, videos))
    viper = reward(size=4).stream()  # frames of 4 x 4
    check_reward_source(lambda shape: viper, size=4)


def test_the_task_reward_is_the_mean_over_repeats_and_exploration_has_none():
    context = RewardContext("dmc", TASK, "cpu", lambda task: FrameSpec(size=8, action_repeat=4))
    frames, true = np.full((2, 8, 8, 3), 51, np.uint8), np.array([4.0, 2.0])
    assert REWARDS.get("task_reward")().build(context, None, {})((3, 8, 8)).step(frames, true).tolist() == [1.0, 0.5]
    assert REWARDS.get("exploration")().build(context, None, {}) is None


def test_labels_and_colors_are_known_without_torch():
    code = (
        "import json, sys\nfrom viper_pipeline.rewards.base import REWARDS\n"
        "names = {n: [REWARDS.get(n).label, REWARDS.get(n).color] for n in REWARDS.names()}\n"
        "print(json.dumps([names, 'torch' in sys.modules]))"
    )
    names, torch = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert not torch and names["task_reward"] == ["oracle", "#555555"] and len(names) == 8
