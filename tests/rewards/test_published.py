"""The reward that comes with the package: it knows an expert, any RL library can use it, and damage is refused."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

import viper_pipeline
from viper_pipeline.core.errors import BadData
from viper_pipeline.envs import SUITES
from viper_pipeline.rewards.pretrained import MANIFEST, PRETRAINED, pretrained

NAME, TASK = "dmc-laptop", "cartpole_balance"
OTHERS = {"dmc": "desk"}
"""Reward -> the folder of reports/ with its numbers, where it is not its suite's."""


@pytest.fixture(scope="module")
def model():
    return viper_pipeline.load_reward(NAME)


def played(env, policy, seed, steps):
    """Frames (steps + 1, 64, 64, 3) of an episode; policy: state -> action."""
    state, _ = env.reset(seed=seed)
    frames = [env.render()]
    for _ in range(steps):
        state, *_ = env.step(policy(state))
        frames.append(env.render())
    return np.stack(frames)


@pytest.fixture(scope="module")
def episodes(model):
    """Frames (T, 64, 64, 3) by a hand-made controller of the cart, and by random actions, from the same start."""
    env, rng = model.environment(TASK, pixels=False), np.random.default_rng(0)

    def balance(state):
        place, _, lean, speed, turning = state
        return np.clip([place + 10 * lean + 1.5 * speed + 2 * turning], -1, 1)

    return played(env, balance, 1, 40), played(env, lambda state: rng.uniform(-1, 1, 1), 1, 40)


def test_expert_frames_score_above_random_ones(model, episodes):
    expert, random = (model.score(frames, TASK)[1:] for frames in episodes)
    assert expert.mean() > random.mean() + 20
    scaled = [model.of(TASK).scaled(nats).mean() for nats in (expert, random)]
    assert scaled[0] > 0.8 and scaled[1] < scaled[0] - 0.2


def test_it_matters_which_task_is_asked_for(model, episodes):
    with pytest.raises(BadData, match="ball_in_cup_catch, cartpole_balance"):
        model.score(episodes[0])
    with pytest.raises(BadData, match="did you mean 'cartpole_balance'"):
        model.of("cartpole_balanse")
    assert (model.score(episodes[0], "ball_in_cup_catch")[1:] < model.score(episodes[0], TASK)[1:]).mean() > 0.9


def test_frames_of_another_size_or_kind_are_refused(model, episodes):
    with pytest.raises(BadData, match="32x32"):
        model.score(episodes[0][:, ::2, ::2], TASK)
    with pytest.raises(BadData, match="float32"):
        model.score(episodes[0].astype(np.float32), TASK)


def test_stable_baselines3_learns_from_it(model):
    from stable_baselines3 import SAC
    from stable_baselines3.common.env_util import make_vec_env

    def make():
        return viper_pipeline.ViperWrapper(model.environment(TASK, pixels=False), model.of(TASK))

    agent = SAC("MlpPolicy", make_vec_env(make, 1), learning_starts=8, batch_size=8, policy_kwargs={"net_arch": [8]})
    agent.learn(16)
    assert agent.replay_buffer.size() == 16
    paid = agent.replay_buffer.rewards[:16]
    limits = model.of(TASK).scale
    assert limits.low <= paid.min() < paid.max() <= np.float32(limits.high)


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(PRETRAINED / NAME, tmp_path / NAME)
    return tmp_path / NAME


@pytest.mark.parametrize("file", ["lineage.json", "tokenizer/weights.safetensors", "reward/config.json"])
def test_a_damaged_folder_is_refused_by_the_name_of_the_file(copy, file):
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / file).write_bytes(content)
    with pytest.raises(BadData, match=f"{file}: damaged"):
        viper_pipeline.load_reward(copy)
    (copy / file).unlink()
    with pytest.raises(BadData, match=f"{file}: missing"):
        viper_pipeline.load_reward(copy)


def test_a_folder_of_another_format_is_refused(copy):
    kept = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(kept | {"format": 99}))
    with pytest.raises(BadData, match="format is 99"):
        viper_pipeline.load_reward(copy)
    (copy / MANIFEST).unlink()
    with pytest.raises(BadData, match="export-reward"):
        viper_pipeline.load_reward(copy)


def test_names_and_folders(copy):
    assert NAME in pretrained()
    assert viper_pipeline.load_reward(copy).tasks == viper_pipeline.load_reward(str(copy)).tasks
    with pytest.raises(BadData, match="did you mean 'dmc-laptop'"):
        viper_pipeline.load_reward("dmc-laptob")


@pytest.mark.parametrize("suite", sorted(set(SUITES.names()) - set(pretrained())))
def test_a_suite_whose_reward_is_not_there_is_told_what_is(suite, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = rf"{suite}: the package .* only .*dmc-laptop.*`viper run pipelines/{suite}/dvc.yaml` .* data/rewards/"
    with pytest.raises(BadData, match=said):
        viper_pipeline.load_reward(suite)


def test_a_reward_is_moved_to_a_device(model, episodes):
    moved = viper_pipeline.load_reward(NAME).to("meta")  # a device that any machine has
    assert moved.of(TASK).device.type == "meta" and model.of(TASK).device.type == "cpu"
    assert next(moved.of(TASK).model.parameters()).device.type == "meta"


def test_what_comes_with_the_package_is_small_and_says_what_it_is():
    assert sum(p.stat().st_size for p in PRETRAINED.rglob("*") if p.is_file()) < 8e6  # of all rewards together
    for name in pretrained():
        files = [p for p in (PRETRAINED / name).rglob("*") if p.is_file()]
        assert {p.suffix for p in files} == {".json", ".md", ".safetensors"}
        card = (PRETRAINED / name / "README.md").read_text()
        model = viper_pipeline.load_reward(name)
        assert all(task in card for task in model.tasks)
        assert {Path(p).parts[1] for p in model.lineage["steps"]} >= {
            "expert_policies",
            "experts",
            "tokenizers",
            "rewards",
        }


@pytest.mark.parametrize("name", pretrained())
def test_it_is_the_reward_of_the_committed_results(name):
    """What its models were made from has the hashes that the committed results have; a run of one's own may differ.

    They are in the lock file, or beside the numbers of another profile.
    """
    manifest = json.loads((PRETRAINED / name / MANIFEST).read_text())
    root, suite = Path(__file__).parents[2], manifest["suite"]
    lock = f"pipelines/{suite}/dvc.lock"
    shown = subprocess.run(["git", "show", f"HEAD:{lock}"], cwd=root, capture_output=True, text=True)
    stages = yaml.safe_load((root / lock).read_text() if shown.returncode else shown.stdout)["stages"]
    made = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
    if (other := root / "reports" / OTHERS.get(name, "") / "hashes.json").exists():
        made = json.loads(other.read_text())
    steps = json.loads((PRETRAINED / name / "lineage.json").read_text())["steps"]
    used = {path: md5 for step in steps.values() for path, md5 in step["parents"].items()}
    tasks = viper_pipeline.load_reward(name).tasks
    assert {f"data/tokenizers/{suite}", *(f"data/experts/{suite}/{task}.h5" for task in tasks)} <= set(used)
    assert any(path.startswith(f"data/video_models/{suite}/") for path in used)
    assert used == {path: made[path] for path in used}


def test_the_arms_reward_prefers_the_script_to_random_play():
    """Whole episodes: by frames AUROC is .7 to .9 against idle play; over an episode the ratio adds up."""
    pytest.importorskip("mujoco")
    from viper_pipeline.experts.base import make_expert

    task = "panda_push_button"
    model = viper_pipeline.load_reward("tabletop")
    env, rng = model.environment(task, pixels=False), np.random.default_rng(0)
    expert = make_expert(SUITES.get("tabletop")(), task, {"algorithm": "script"}).policy(None)

    def score(policy):
        return model.score(played(env, policy, 3, 80), task)[4:]

    script = score(lambda state: expert(state[None], True, rng)[0])
    chance = score(lambda _: rng.uniform(-1, 1, env.action_space.shape))
    assert script.mean() > chance.mean() + 10
