"""Experts from a file: they act as the one that was trained, and another folder is refused."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.experts.expert_toy import state_toy
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.envs import SUITES
from viper_pipeline.experts.base import load_expert, make_expert, trained
from viper_pipeline.pipelines.experts.export import RECORD, export, is_exported, read_expert_records
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import names, read_profile
from viper_pipeline.training.artifacts import load_artifact, save_artifact

ROOT = Path(__file__).parents[2]
TASK = "cartpole_balance"
SAC = {
    "algorithm": "sac", "steps": 80, "batch_size": 8, "net_arch": [8], "eval_every": 40, "eval_episodes": 1,
    "learning_starts": 20,
}  # fmt: skip
PPO = {
    "algorithm": "ppo", "steps": 40, "batch_size": 10, "net_arch": [8], "eval_every": 40, "eval_episodes": 1,
    "rollout_steps": 20,
}  # fmt: skip
PONG = {"max_frames": 80}


def pong(seed):
    atari = SUITES.get("atari")()
    return atari.make("pong", seed, PONG, atari.frame_spec("pong", PONG, {}), pixels=False)


@pytest.fixture
def folder(tmp_path):
    """An expert that SAC has trained on a toy, called one of cartpole's."""
    artifact = trained(make_expert(SUITES.get("dmc")(), TASK, SAC), state_toy, 3)
    save_artifact(tmp_path / "given", artifact, {"steps": {}})
    return tmp_path / "given"


def given(path, task=TASK, suite="dmc", **more):
    recipe = {"algorithm": "file", "path": str(path), **more}
    return trained(make_expert(SUITES.get(suite)(), task, recipe), state_toy, 0)


def actions(artifact, states, suite="dmc"):
    _, policy = load_expert(artifact, SUITES.get(suite)())
    return np.concatenate([policy(states, sure, np.random.default_rng(0)) for sure in (True, False)])


def test_it_acts_as_the_one_that_was_trained_and_says_how_it_was_trained(folder, tmp_path):
    taken, states = given(folder), np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    original = load_artifact(folder)
    assert np.array_equal(actions(taken, states), actions(original, states))
    assert taken.config["trained_by"] == original.config["recipe"] and taken.config["recipe"]["algorithm"] == "file"
    assert taken.config["return"] == original.config["return"] and taken.files == original.files
    save_artifact(tmp_path / "again", taken)
    assert given(tmp_path / "again").config["trained_by"] == original.config["recipe"]


def test_experts_of_games_too(tmp_path):
    atari = SUITES.get("atari")()
    artifact = trained(make_expert(atari, "pong", PPO), pong, 0)
    save_artifact(tmp_path, artifact)
    states = np.random.default_rng(1).normal(size=(5, artifact.tensors["states.centre"].shape[-1]))
    taken = given(tmp_path, "pong", "atari")
    assert np.array_equal(actions(taken, states, "atari"), actions(artifact, states, "atari"))


def test_other_folders_are_refused(folder, tmp_path):
    with pytest.raises(BadData, match=r"nowhere.config\.json: missing"):
        given(tmp_path / "nowhere")
    with pytest.raises(BadData, match="an expert of dmc/cartpole_balance, not of dmc/walker_walk"):
        given(folder, "walker_walk")
    right = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert given(folder, sha256=right).tensors
    with pytest.raises(BadData, match=rf"sha256 is {right}, not {'0' * 64}"):
        given(folder, sha256="0" * 64)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(BadData, match=r"weights\.safetensors: missing; experts without a network"):
        given(folder)
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"format": "a tokenizer"}))
    with pytest.raises(BadData, match="format 'a tokenizer' is not"):
        given(folder)


def test_params_check_names_the_field():
    params = read_profile(ROOT / "profiles/tiny.yaml")
    recipes = params["suites"]["dmc"]["experts"]
    recipes[TASK] = {"algorithm": "file", "path": "pretrained/experts/dmc/" + TASK}
    validate(params)
    recipes[TASK] = {"algorithm": "file", "path": "x", "steps": 5}
    with pytest.raises(BadParams, match=rf"suites\.dmc\.experts\.{TASK}\.steps"):
        validate(params)
    recipes[TASK] = {"algorithm": "file", "path": "x", "sha256": "5"}
    with pytest.raises(BadParams, match=rf"suites\.dmc\.experts\.{TASK}\.sha256"):
        validate(params)


@pytest.mark.parametrize("profile", names(ROOT))
def test_the_experts_that_profiles_take_from_files_are_there_and_were_trained_under_the_same_rules(profile):
    for suite, block in read_profile(ROOT / f"profiles/{profile}.yaml")["suites"].items():
        for task, recipe in block["experts"].items():
            if recipe.get("algorithm") == "file":
                folder = ROOT / recipe["path"]
                assert hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest() == recipe["sha256"]
                record = read_expert_records(ROOT)[suite, task]
                assert record.action_repeat == block["env"]["action_repeat"]
                about, lineage = (json.loads((folder / f).read_text()) for f in ("config.json", "lineage.json"))
                assert (about["suite"], about["task"]) == (suite, task)
                assert (
                    lineage["steps"][f"data/expert_policies/{suite}/{task}"]["params"][f"suites.{suite}.env"]
                    == block["env"]
                )


def test_an_exported_expert_is_taken_up_by_its_own_entry(tmp_path, monkeypatch):
    params = read_profile(ROOT / "profiles/tiny.yaml")
    dmc = SUITES.get("dmc")()
    env = params["suites"]["dmc"]["env"]

    def cart(seed):
        return dmc.make(TASK, seed, env, dmc.frame_spec(TASK, env, {}), pixels=False)

    artifact = trained(make_expert(dmc, TASK, SAC), cart, 0)
    save_artifact(tmp_path / "made", artifact, {"steps": {}})
    monkeypatch.chdir(tmp_path)
    assert not is_exported(tmp_path / "made", tmp_path / "pretrained/experts/dmc" / TASK)
    done = export(tmp_path, params, "dmc", TASK, "made", episodes=3)
    assert is_exported(tmp_path / "made", done.path)
    entry = json.loads(done.entry(tmp_path).partition(": ")[2])
    taken = trained(make_expert(dmc, TASK, entry), cart, 0)
    assert all((taken.tensors[k] == artifact.tensors[k]).all() for k in artifact.tensors)
    record = read_expert_records(tmp_path)["dmc", TASK]
    assert len(set(record.returns)) == 3 and record.action_repeat == env["action_repeat"]
    (done.path / RECORD).write_text('{"suite": "dmc"}')
    with pytest.raises(BadData, match=r"returns\.json: task: Field required"):
        read_expert_records(tmp_path)
