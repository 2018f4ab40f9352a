"""Two arms: what is held out reaches no weight, arms of a class are one class, and frames in between pay nothing."""

import numpy as np
import pytest
import torch

from tests.pipelines.test_params import ROOT, read
from viper_pipeline.core.errors import BadParams
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import ConcatEpisodes
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.pipelines import datasets
from viper_pipeline.pipelines.datasets import Recording
from viper_pipeline.pipelines.models.nodes import encode_experts, evaluate_reward, train_tokenizer, train_video_model
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.pipelines.report.nodes import PICTURED_TASKS, aggregate, draw_figures, write_report
from viper_pipeline.reporting.reward_metrics import reward_metrics
from viper_pipeline.reporting.summary import transfers
from viper_pipeline.rewards.viper import assemble_reward
from viper_pipeline.training.config import ONE_CPU
from viper_pipeline.video_models import VIDEO_MODELS

COMPUTE = ONE_CPU.model_dump()

PARAMS = read_profile(ROOT / "profiles" / "tiny.yaml")["suites"]["tabletop"]
TASKS = ("panda_lift", "panda_stack", "sawyer_lift", "sawyer_stack")
HELD_OUT = ("panda_stack",)
SPEC = FrameSpec(size=16, camera="close", stride=4)
MODELS = {
    "videogpt": PARAMS["videogpt"],
    "byol": {"window": 3, "width": 16, "horizon": 2, "training": PARAMS["videogpt"]["training"]},
}


def video(seed, frames=10):
    """A square that moves over a background of the seed's colour."""
    rng = np.random.default_rng(seed)
    pictures = np.full((frames, 16, 16, 3), rng.integers(0, 256, 3), np.uint8)
    for t, (x, y) in enumerate(rng.integers(0, 12, (frames, 2))):
        pictures[t, y : y + 4, x : x + 4] = rng.integers(0, 256, 3)
    return pictures


def saved(path, groups, suite="tabletop"):
    episodes = {
        name: [Episode(video(seed), np.zeros(10, np.float32), seed, kind) for seed, kind in rows]
        for name, rows in groups.items()
    }
    dataset = datasets.EpisodesDataset(filepath=str(path))
    dataset.save(Recording(episodes, suite, path.stem, SPEC))
    return dataset.load()


def files(root, shift=0):
    """experts__, baselines__<task>; `shift` makes other videos of the held-out task."""
    out = {}
    for i, task in enumerate(TASKS):
        first = 100 * i + (shift if task in HELD_OUT else 0)
        expert = [(first + j, "expert") for j in range(4)]
        out[f"experts__{task}"] = saved(
            root / f"experts-{shift}-{task}.h5", {"train": expert[:3], "held_out": expert[3:]}
        )
        others = [(first + 10, "random"), (first + 11, "random"), (first + 12, "idle")]
        out[f"baselines__{task}"] = saved(root / f"baselines-{shift}-{task}.h5", {"episodes": others})
    return out


def models(root, inputs, held_out, model="videogpt"):
    """Tokenizer, codes and video model."""
    tokenizer = train_tokenizer(PARAMS["tokenizer"], 0, COMPUTE, None, held_out, suite="tabletop", **inputs)
    codes = {}
    for task in TASKS:
        dataset = datasets.EpisodesDataset(filepath=str(root / f"codes-{task}.h5"))
        dataset.save(encode_experts(COMPUTE, tokenizer, inputs[f"experts__{task}"], suite="tabletop", task=task))
        codes[f"codes__{task}"] = dataset.load()
    here = {"suite": "tabletop", "model": model}
    return tokenizer, codes, train_video_model(MODELS[model], 0, COMPUTE, tokenizer, None, held_out, **here, **codes)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("arms")
    inputs = files(root)
    return inputs, *models(root, inputs, HELD_OUT)


@pytest.fixture(scope="module")
def reward(made):
    inputs, tokenizer, codes, model = made
    here = {"suite": "tabletop", "model": "videogpt"}
    return evaluate_reward(
        PARAMS["reward"], PARAMS["reward_evaluation"], 0, COMPUTE, tokenizer, model, **here, **inputs, **codes
    )


def same(a, b):
    return a.tensors.keys() == b.tensors.keys() and all(torch.equal(a.tensors[k], b.tensors[k]) for k in a.tensors)


def test_what_is_held_out_changes_no_weight(made, tmp_path):
    _, tokenizer, _, model = made
    others = files(tmp_path, shift=50)
    tokenizer_again, _, model_again = models(tmp_path, others, HELD_OUT)
    assert same(tokenizer, tokenizer_again) and same(model, model_again)
    tokenizer_of_all, _, model_of_all = models(tmp_path, others, ())
    assert not same(tokenizer, tokenizer_of_all) and not same(model, model_of_all)


@pytest.mark.parametrize("name", MODELS)
def test_arms_of_a_class_get_equal_scores_for_equal_codes(made, tmp_path, name):
    inputs, _, codes, model = made
    if name != "videogpt":
        model = models(tmp_path, inputs, HELD_OUT, name)[2]
    network = VIDEO_MODELS.get(name).from_artifact(model)
    assert network.tasks == TASKS and model.config["held_out_tasks"] == list(HELD_OUT)
    clip = torch.as_tensor(codes["codes__sawyer_lift"].group("train")[0].frames[None, :3]).long()
    with torch.no_grad():
        scores = {task: network.log_prob(clip, torch.tensor([i]))[0, -1].item() for i, task in enumerate(TASKS)}
    assert scores["panda_lift"] == scores["sawyer_lift"] and scores["panda_stack"] == scores["sawyer_stack"]
    assert scores["panda_lift"] != scores["panda_stack"]


def test_pictures_show_every_pair_and_weights_of_none_depend_on_them(made):
    _, tokenizer, _, model = made
    assert {f"rollouts_{task}.png" for task in TASKS} | {"curve.csv"} == set(model.files)
    assert {f"reconstructions_{task}.png" for task in TASKS} <= set(tokenizer.files)
    assert set(tokenizer.config["metrics"]) == set(TASKS) and list(tokenizer.config["tasks"]) == [
        task for task in TASKS if task not in HELD_OUT
    ]


def test_frames_in_between_pay_nothing_and_every_fourth_pays_what_the_strided_video_scores(made, reward):
    inputs, tokenizer, _, model = made
    task, rng = HELD_OUT[0], np.random.default_rng(0)
    strided = inputs[f"experts__{task}"].group("held_out")[0].frames
    paid = []
    for _ in range(2):  # two videos that agree in every fourth frame
        live = rng.integers(0, 256, (4 * len(strided) - 3, 16, 16, 3), dtype=np.uint8)
        live[::4] = strided
        stream = assemble_reward(tokenizer, model, reward, task).stream()
        stream.start(live[:1])
        nats = [(stream.step(live[t : t + 1]), stream.log_prob[0])[1] for t in range(1, len(live))]
        paid.append(np.array(nats))
    np.testing.assert_allclose(paid[0][3::4], reward.tensors[f"{task}/held_out/nats"][1:].numpy(), rtol=1e-3)
    assert np.array_equal(paid[0][3::4], paid[1][3::4])
    assert not np.allclose(paid[0][2::4], paid[1][2::4])


def test_the_page_says_what_was_held_out(made, reward):
    inputs, tokenizer, _, model = made
    shown = {name.replace("__", "__tabletop__"): file for name, file in inputs.items()}
    shown = {name.replace("baselines", "baseline_episodes"): file for name, file in shown.items()}
    rewards = {"rewards__tabletop__videogpt": reward}
    settings = {"settings__tabletop": PARAMS | {"tasks": list(TASKS)}}
    metrics, _, _ = aggregate({}, {}, **shown, **rewards, **settings)
    models = {"tokenizers__tabletop": tokenizer, "video_models__tabletop__videogpt": model}
    given = shown | rewards | models | settings
    page = write_report(metrics, draw_figures({}, {}, {}, **given), "tiny", {}, {}, {}, **given)
    assert "<td>panda_stack</td><td>no</td>" in page and "<td>panda_lift</td><td>yes</td>" in page
    assert page.count("of a task that it was not trained on") == len(HELD_OUT)
    continued = {task for task in TASKS if f'alt="rollouts of {task}"' in page}
    assert continued == {*list(TASKS)[:PICTURED_TASKS], *HELD_OUT}
    assert all(f'alt="reward along videos of {task}, ' in page for task in TASKS)


def test_files_together_read_like_one(made):
    codes = made[2]
    parts = [codes[f"codes__{task}"].group("train") for task in TASKS]
    whole = ConcatEpisodes([codes[f"codes__{task}"] for task in TASKS]).group("train")
    everything = np.concatenate([part.read(0, int(part.starts[-1])) for part in parts])
    assert len(whole) == sum(map(len, parts)) and whole.shape == parts[0].shape and whole.dtype == parts[0].dtype
    for begin in range(0, len(everything), 7):
        for end in (begin + 1, begin + 13, len(everything)):
            assert np.array_equal(whole.read(begin, end), everything[begin:end])
    for i, (begin, length) in enumerate(zip(whole.starts, whole.lengths, strict=False)):
        assert np.array_equal(whole[i].frames, everything[begin : begin + length])
    with pytest.raises(IndexError):
        whole[len(whole)]


def test_the_table_says_what_was_trained():
    rng = np.random.default_rng(0)
    numbers = reward_metrics(
        {k: [rng.normal(m, 3, 9) for _ in range(3)] for k, m in (("held_out", -5), ("random", -9))}, {}
    )
    rewards = {"tabletop": {"videogpt": {"tasks": {task: numbers for task in TASKS}}}}
    (table,) = transfers(rewards, {("tabletop", "videogpt"): HELD_OUT})
    assert [row["task"] for row in table["rows"] if not row["trained"]] == list(HELD_OUT)
    assert all(row["auroc"] == numbers["kinds"]["random"]["auroc_frame"] for row in table["rows"])
    assert all(row["hardest"]["against"] == "random" and row["expert"] > row["random"] for row in table["rows"])
    assert not list(transfers(rewards, {("tabletop", "videogpt"): ()}))


WRONG = {
    "unknown": (["panda_lft"], "did you mean 'panda_lift'"),
    "a whole class": (["panda_lift", "sawyer_lift"], "no other task with label 'lift'"),
    "not said": (None, "held_out_tasks: missing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_holding_out_what_cannot_be_is_refused(case):
    params = read("profiles/tiny.yaml")
    params["suites"]["tabletop"]["held_out_tasks"], message = WRONG[case]
    with pytest.raises(BadParams, match=message):
        validate(params)


def test_a_suite_without_arms_holds_no_task_out():
    params = read("profiles/tiny.yaml")
    params["suites"]["dmc"]["held_out_tasks"] = []
    with pytest.raises(BadParams, match="a label of its own"):
        validate(params)


@pytest.mark.parametrize(("suite", "task"), [("tabletop", "panda_lift"), ("dmc", "cartpole_balance")])
def test_scripts_are_for_those_who_have_them(suite, task):
    params = read("profiles/tiny.yaml")
    wrong = {"dmc": {"algorithm": "script"}, "tabletop": {"algorithm": "sac", "steps": 2000}}[suite]
    params["suites"][suite]["experts"][task] = wrong
    with pytest.raises(BadParams, match=r"no scripts are written|use script"):
        validate(params)
