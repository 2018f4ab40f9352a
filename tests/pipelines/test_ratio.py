"""The stages of the likelihood ratio: what each class learns, what it is judged by, and what DVC knows of it."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.pipelines.test_held_out import COMPUTE, HELD_OUT, PARAMS, SPEC, TASKS, files, same, video
from tests.pipelines.test_params import ROOT
from viper_pipeline import pipeline_registry
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.data.episode import Episode
from viper_pipeline.pipelines import datasets
from viper_pipeline.pipelines.datasets import Recording
from viper_pipeline.pipelines.models.nodes import encode_experts, train_tokenizer
from viper_pipeline.pipelines.models.ratio import KEPT, evaluate_ratio, train_ratio_model
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.pipelines.report.nodes import aggregate
from viper_pipeline.rewards.base import REWARDS, RatioConfig, RewardContext
from viper_pipeline.rewards.viper_ratio import FollowingStream
from viper_pipeline.video_models.videogpt_ratio import RatioVideoGPT

HERE = {"suite": "tabletop", "model": "videogpt_ratio"}
RANDOM = 5
"""Random episodes of a task; one of them, the fourth, is kept."""


def random_play(root, changed=(), task_changed=""):
    """baselines__<task>; changed: numbers of episodes that are others than before."""
    out = {}
    for i, task in enumerate(TASKS):
        seeds = [100 * i + 20 + j + (50 if j in changed and task_changed in ("", task) else 0) for j in range(RANDOM)]
        episodes = [Episode(np.tile(video(s), (3, 1, 1, 1)), np.zeros(30, np.float32), s, "random") for s in seeds]
        episodes.append(Episode(video(7, 30), np.zeros(30, np.float32), 7, "idle"))
        dataset = datasets.EpisodesDataset(filepath=str(root / f"play-{task}.h5"))
        dataset.save(Recording({"episodes": episodes}, "tabletop", task, SPEC.model_copy(update={"stride": 1})))
        out[f"baselines__{task}"] = dataset.load()
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Expert sets, tokenizer, codes and baselines."""
    root = tmp_path_factory.mktemp("ratio")
    experts = {name: file for name, file in files(root).items() if name.startswith("experts")}
    play, codes = random_play(root), {}
    tokenizer = train_tokenizer(PARAMS["tokenizer"], 0, COMPUTE, None, HELD_OUT, suite="tabletop", **experts, **play)
    for task in TASKS:
        dataset = datasets.EpisodesDataset(filepath=str(root / f"codes-{task}.h5"))
        dataset.save(encode_experts(COMPUTE, tokenizer, experts[f"experts__{task}"], suite="tabletop", task=task))
        codes[f"codes__{task}"] = dataset.load()
    return SimpleNamespace(experts=experts, play=play, tokenizer=tokenizer, codes=codes)


def learned(made, play=None, scratch=None, held_out=HELD_OUT):
    given = made.codes | (play or made.play)
    return train_ratio_model(PARAMS["videogpt"], 0, COMPUTE, made.tokenizer, scratch, held_out, **HERE, **given)


@pytest.fixture(scope="module")
def model(made):
    return learned(made)


@pytest.fixture(scope="module")
def reward(made, model):
    given = made.experts | made.codes | made.play
    return evaluate_ratio(
        PARAMS["reward"], PARAMS["reward_evaluation"], 0, COMPUTE, made.tokenizer, model, **HERE, **given
    )


def test_kept_and_held_out_episodes_change_no_weight_and_the_others_do(made, model, tmp_path):
    assert model.config["kept"] == {task: [*range(RANDOM)] if task in HELD_OUT else [KEPT - 1] for task in TASKS}
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    assert same(model, learned(made, random_play(folders[0], changed=[KEPT - 1])))
    assert same(model, learned(made, random_play(folders[1], changed=range(RANDOM), task_changed=HELD_OUT[0])))
    assert not same(model, learned(made, random_play(folders[2], changed=[0])))


def test_a_killed_training_ends_as_an_uninterrupted_one(made, model, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    from viper_pipeline.training import loop

    keep, saved = loop.save_checkpoint, []

    def kill(path, state):
        keep(path, state)
        saved.append(path)
        raise Killed

    config = copy.deepcopy(PARAMS["videogpt"])
    config["training"]["checkpoint_every"] = 7
    given = made.codes | made.play

    def run():
        return train_ratio_model(config, 0, COMPUTE, made.tokenizer, tmp_path, HELD_OUT, **HERE, **given)

    monkeypatch.setattr(loop, "save_checkpoint", kill)
    with pytest.raises(Killed):
        run()
    monkeypatch.setattr(loop, "save_checkpoint", keep)
    assert saved and same(run(), model)


def test_arms_of_a_class_share_both_sides(made, model):
    network = RatioVideoGPT.from_artifact(model)
    assert network.tasks == TASKS
    clip = torch.as_tensor(made.codes["codes__sawyer_lift"].group("train")[0].frames[None, :3]).long()
    with torch.no_grad():
        scores = {task: network.log_prob(clip, network.conditions([task]))[0, -1].item() for task in TASKS}
    assert scores["panda_lift"] == scores["sawyer_lift"] != scores["panda_stack"] == scores["sawyer_stack"]


def test_the_reward_is_judged_by_random_play_that_its_model_never_saw(made, reward):
    for task in TASKS:
        lengths = reward.tensors[f"{task}/random/lengths"]
        assert len(lengths) == (RANDOM if task in HELD_OUT else 1)
        assert len(reward.tensors[f"{task}/idle/lengths"]) == 1
        assert set(reward.config["gates"][task]["auroc"]) == {"idle"}
    network = RatioVideoGPT.from_artifact(learned(made))
    kept = made.play["baselines__sawyer_lift"].group("episodes")[KEPT - 1].frames[::4]
    from viper_pipeline.tokenizers import load_tokenizer
    from viper_pipeline.video_models.scoring import score_videos

    codes = load_tokenizer(made.tokenizer).encode(torch.as_tensor(kept))[None]
    expected = score_videos(network, codes, network.conditions(["sawyer_lift"]))[0]
    torch.testing.assert_close(reward.tensors["sawyer_lift/random/nats"], expected, rtol=1e-4, atol=1e-3)
    assert {f"maps_{task}.png" for task in TASKS} <= set(reward.files)


def test_it_stands_beside_the_plain_reward_in_metrics(made, reward):
    shown = {name.replace("__", "__tabletop__"): file for name, file in (made.experts | made.play).items()}
    shown = {name.replace("baselines", "baseline_episodes"): file for name, file in shown.items()}
    rewards = {"rewards__tabletop__videogpt_ratio": reward}
    settings = {"settings__tabletop": PARAMS | {"tasks": list(TASKS), "methods": ["viper_ratio"]}}
    metrics, _, _ = aggregate({}, {}, **shown, **rewards, **settings)
    tasks = metrics["rewards"]["tabletop"]["videogpt_ratio"]["tasks"]
    assert set(tasks) == set(TASKS)
    assert all("random" in numbers["kinds"] and "idle" in numbers["kinds"] for numbers in tasks.values())


@pytest.mark.parametrize("negatives", ["random", "replay"])
def test_an_agent_is_paid_by_it(made, model, reward, negatives):
    method, task = REWARDS.get("viper_ratio")(), "sawyer_lift"
    context = RewardContext("tabletop", task, "cpu", lambda name: SPEC.model_copy(update={"stride": 1}))
    block = {"viper_ratio": {"negatives": negatives}}
    names = {"tokenizer": made.tokenizer, "video_model": model, "fitted_reward": reward}
    more = {"expert_codes": made.codes[f"codes__{task}"]} if negatives == "replay" else {}
    assert set(method.inputs(block, "tabletop", task, TASKS)) == {*names, *more}
    forced = copy.deepcopy(reward.config) | {"reward": reward.config["reward"] | {"force": True}}
    names["fitted_reward"] = type(reward)(forced, reward.tensors, reward.files)
    settings = RatioConfig(negatives=negatives, every=10, updates=2)
    source = method.build(context, settings, names | more)((3, 16, 16))
    assert isinstance(source, FollowingStream) == (negatives == "replay")
    frames, paid = video(3, 17), []
    for _ in range(3):
        source.start(frames[:1])
        paid.append(np.stack([source.step(frames[t : t + 1], np.zeros(1)) for t in range(1, 17)]))
    assert np.isfinite(paid).all()
    changed = not np.array_equal(paid[0], paid[1])
    assert changed == (negatives == "replay") and (source.state_dict() != {}) == changed


def test_the_method_that_follows_the_agent_does_so_whatever_the_block_says(made, model, reward):
    method, task = REWARDS.get("viper_ratio_replay")(), "sawyer_lift"
    names = {"tokenizer": made.tokenizer, "video_model": model, "fitted_reward": reward}
    for block in ({"viper_ratio": {"negatives": "random"}}, {"viper_ratio": {}}, {}):
        assert set(method.inputs(block, "tabletop", task, TASKS)) == {*names, "expert_codes"}
    context = RewardContext("tabletop", task, "cpu", lambda name: SPEC.model_copy(update={"stride": 1}))
    forced = copy.deepcopy(reward.config) | {"reward": reward.config["reward"] | {"force": True}}
    names["fitted_reward"] = type(reward)(forced, reward.tensors, reward.files)
    names["expert_codes"] = made.codes[f"codes__{task}"]
    source = method.build(context, RatioConfig(negatives="random", every=10), names)((3, 16, 16))
    assert isinstance(source, FollowingStream) and source.config.every == 10


def test_either_method_of_the_ratio_has_its_model_trained():
    for methods in (["viper_ratio"], ["viper_ratio_replay"], ["viper_ratio", "viper_ratio_replay"]):
        nodes = {node.name for node in pipeline_registry.build(params(methods=methods))["atari"].nodes}
        assert {"atari.train_video_model_ratio.all", "atari.evaluate_reward_ratio.all"} <= nodes


def test_a_reward_that_is_not_usable_is_refused(made, model, reward):
    context = RewardContext("tabletop", "sawyer_lift", "cpu", lambda name: SPEC)
    refused = copy.deepcopy(reward.config) | {"reward": reward.config["reward"] | {"force": False}}
    refused["gates"]["sawyer_lift"] |= {"usable": False, "reasons": ["a reason"]}
    names = {"tokenizer": made.tokenizer, "video_model": model}
    names["fitted_reward"] = type(reward)(refused, reward.tensors, reward.files)
    with pytest.raises(BadData, match=r"data/rewards/tabletop/videogpt_ratio/config\.json.*a reason"):
        REWARDS.get("viper_ratio")().build(context, RatioConfig(), names)


def params(**changes):
    raw = read_profile(ROOT / "profiles/tiny.yaml")
    raw["suites"]["atari"] |= changes
    return raw


def test_baselines_reach_the_ratio_alone():
    """Without the method, the graph is what it was; with it, no other stage reads anything more."""
    inputs = {
        has: {node.name: set(node.inputs) for node in pipeline_registry.build(params(methods=methods))["atari"].nodes}
        for has, methods in ((True, ["viper_ratio"]), (False, []))
    }
    new = set(inputs[True]) - set(inputs[False])
    assert new == {"atari.train_video_model_ratio.all", "atari.evaluate_reward_ratio.all"}
    assert "atari/freeway/baseline_episodes" in inputs[True]["atari.train_video_model_ratio.all"]
    readers = ("aggregate", "draw_figures", "film_agents", "write_cards", "write_report")
    for name, before in inputs[False].items():
        more = inputs[True][name] - before
        assert not more or name.split(".")[1] in readers
        assert all("videogpt_ratio" in one for one in more)


WRONG = [
    ({"videogpt_ratio": None}, r"atari\.videogpt_ratio: method viper_ratio needs this block"),
    ({"viper_ratio": None}, r"atari\.viper_ratio: method viper_ratio needs this block"),
    ({"video_models": ["maskgit", "videogpt_ratio"]}, r"atari\.video_models: 'videogpt_ratio' learns random play"),
    ({"baselines": {"random": 1, "idle": 1}}, r"atari\.baselines\.random: method viper_ratio"),
    ({"viper_ratio": {"negatives": "replays"}}, r"atari\.viper_ratio\.negatives"),
    ({"viper_ratio": {"evry": 3}}, r"atari\.viper_ratio\.evry: unknown key \(did you mean 'every'"),
]


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_what_cannot_be_is_said_before_any_work(changes, said):
    raw = params()
    for name, value in changes.items():
        if value is None:
            del raw["suites"]["atari"][name]
        else:
            raw["suites"]["atari"][name] = value
    with pytest.raises(BadParams, match=said):
        validate(raw)


def test_too_little_random_play_is_said(made, tmp_path):
    dataset = datasets.EpisodesDataset(filepath=str(tmp_path / "one.h5"))
    one = Episode(video(1), np.zeros(10, np.float32), 1, "random")
    dataset.save(Recording({"episodes": [one]}, "tabletop", TASKS[0], SPEC))
    with pytest.raises(BadParams, match=r"baselines\.random: panda_lift has 1 random episode"):
        learned(made, made.play | {f"baselines__{TASKS[0]}": dataset.load()})
