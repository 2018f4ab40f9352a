"""RLBench's demonstrations through the stages, without RLBench; what reward and agent get of a demonstration."""

import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.envs import rlbench_stub
from tests.pipelines.grep import found, numbers
from tests.pipelines.test_nodes import Disk
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import EpisodeFile, write_groups
from viper_pipeline.data.importers import import_videos
from viper_pipeline.data.importers.safe_pickle import Array, read_safely
from viper_pipeline.envs.rlbench import RLBench
from viper_pipeline.pipelines import datasets
from viper_pipeline.pipelines.agents import nodes as stage
from viper_pipeline.pipelines.agents.nodes import train_agent
from viper_pipeline.pipelines.datasets import Recording
from viper_pipeline.pipelines.experts.nodes import curate_experts, record_baselines, record_episodes, train_expert
from viper_pipeline.pipelines.models.nodes import encode_experts, evaluate_reward, train_tokenizer, train_video_model
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.rewards.viper import assemble_reward
from viper_pipeline.training.config import ONE_CPU

COMPUTE = ONE_CPU.model_dump()

TESTS = Path(__file__).parents[1]
TINY = read_profile(TESTS.parent / "profiles" / "tiny.yaml")["suites"]["dmc"]
TASKS = ("panda_push_button", "sawyer_take_lid_off_saucepan")
FRAMES = {"size": 32, "camera": "front"}
CURATION = {"top_k": 4, "held_out": 1, "stride": 4}
REWARD = {"model": "videogpt", "force": True}  # a few steps of training tell nobody from anybody
STATES = "*/*/episodes/*/low_dim_obs.pkl"
HERE = {"suite": "rlbench", "task": TASKS[0]}


def short(name):
    """A block of the tiny profile, with fewer steps."""
    return TINY[name] | {"training": TINY[name]["training"] | {"steps": 5}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every stage from RLBench's folders to a reward. True rewards are made-up numbers, so that grep can tell them."""
    root = tmp_path_factory.mktemp("rlbench")
    with tarfile.open(TESTS / "fixtures" / "rlbench_demos.tar.gz") as archive:
        archive.extractall(root / "demos")
    disk, suite, rng, files = Disk(root), RLBench(), np.random.default_rng(0), {}
    for path in root.glob(f"demos/{STATES}"):
        fill(path, rng)
    everything = {"root": root, "files": files, "paid": {}}
    for task in TASKS:
        spec, path = suite.frame_spec(task, {}, FRAMES), root / f"{task}.h5"
        import_videos("rlbench", root / "demos", "rlbench", task, path, spec)
        imported = list(EpisodeFile(path).group("episodes"))
        paid = [Episode(e.frames, rng.random(len(e)).astype(np.float32)) for e in imported]
        everything["paid"][task] = paid
        write_groups(root / f"{task}-paid.h5", {"episodes": paid}, suite="rlbench", task=task, spec=spec)
        source = root / f"{task}-paid.h5", {"kind": "episodes"}
        here = {"suite": "rlbench", "task": task}
        experts = curate_experts(*source, {}, FRAMES, CURATION, **here)
        files[f"experts__{task}"] = disk(datasets.EpisodesDataset, f"experts/{task}.h5", experts)
        random = [Episode(rng.permutation(e.frames), np.zeros(len(e), np.float32), kind="random") for e in imported]
        idle = [Episode(e.frames[[0] * len(e)], np.zeros(len(e), np.float32), kind="idle") for e in imported]
        floors = Recording({"episodes": random + idle}, "rlbench", task, spec)
        files[f"baselines__{task}"] = disk(datasets.EpisodesDataset, f"baselines/{task}.h5", floors)
    tokenizer = train_tokenizer(short("tokenizer"), 0, COMPUTE, None, [], suite="rlbench", **files)
    tokenizer = disk(datasets.ModelArtifactDataset, "tokenizer", tokenizer)
    codes = {}
    for task in TASKS:
        encoded = encode_experts(COMPUTE, tokenizer, files[f"experts__{task}"], suite="rlbench", task=task)
        codes[f"codes__{task}"] = disk(datasets.EpisodesDataset, f"codes/{task}.h5", encoded)
    here = {"suite": "rlbench", "model": "videogpt"}
    model = train_video_model(short("videogpt"), 0, COMPUTE, tokenizer, None, [], **here, **codes)
    model = disk(datasets.ModelArtifactDataset, "video_model", model)
    evaluation = {"freeze_at": [0], "episodes": 2}
    reward = evaluate_reward(REWARD, evaluation, 0, COMPUTE, tokenizer, model, **here, **files, **codes)
    reward = disk(datasets.ModelArtifactDataset, "reward", reward)
    return everything | {"tokenizer": tokenizer, "video_model": model, "reward": reward, "disk": disk}


def test_rlbenchs_folders_are_scored_by_the_same_stages(made):
    assert not any(name.split(".")[0] in ("rlbench", "pyrep") for name in sys.modules)
    for task in TASKS:
        experts = made["files"][f"experts__{task}"]
        assert experts.spec.stride == 4 and experts.spec.camera == "front"
        viper = assemble_reward(made["tokenizer"], made["video_model"], made["reward"], task)
        video = experts.group("held_out")[0].frames
        scores = made["reward"].tensors[f"{task}/held_out/nats"][: len(video)].numpy()
        assert np.isfinite(scores).all() and (scores[1:] < 0).all()
        nats = viper.log_prob(viper.encode(video)[None])[0].numpy()
        np.testing.assert_allclose(nats[1:], scores[1:], rtol=1e-3)
        assert f"rollouts_{task}.png" in made["video_model"].files


def test_a_folder_of_params_yaml_becomes_the_expert_set_of_an_import(made):
    """Kind rlbench, and the file that `viper import` made of the same folder, are curated into the same frames."""
    task, root = TASKS[0], made["root"]
    both = [
        curate_experts(path, {"kind": kind}, {}, FRAMES, CURATION, suite="rlbench", task=task)
        for path, kind in ((root / "demos", "rlbench"), (root / f"{task}.h5", "episodes"))
    ]
    ours, theirs = ([e.frames for name in ("train", "held_out") for e in r.groups[name]] for r in both)
    assert [f.tobytes() for f in ours] == [f.tobytes() for f in theirs]
    with pytest.raises(BadData, match="camera: wrist here, front there"):
        wrist = FRAMES | {"camera": "wrist"}
        curate_experts(root / f"{task}.h5", {"kind": "episodes"}, {}, wrist, CURATION, suite="rlbench", task=task)


def fill(path, rng):
    """Put made-up numbers where the writer, which had no robot, has left zeros."""
    content = path.read_bytes()
    for count in range(3, 13):
        head = b"C" + bytes([8 * count])  # so many bytes follow
        parts = content.split(head + bytes(8 * count))
        content = parts[0] + b"".join(head + rng.random(count).tobytes() + part for part in parts[1:])
    path.write_bytes(content)


def secrets(made):
    """Rows of numbers that no reward and no agent may get: states and actions, true rewards, true returns."""
    rows = {"states and actions": [], "rewards": [], "returns": []}
    for path in sorted(made["root"].glob(f"demos/{STATES}")):
        for moment in read_safely(path).state["_observations"]:
            arrays = [moment.state[name] for name in ("joint_positions", "joint_velocities", "task_low_dim_state")]
            arrays.append(moment.state["misc"].get("joint_position_action"))
            rows["states and actions"] += [np.frombuffer(a.state[-1]) for a in arrays if isinstance(a, Array)]
    for task in TASKS:
        for group in ("train", "held_out"):
            kept = made["files"][f"experts__{task}"].group(group)
            rows["rewards"] += [e.rewards[1:] for e in kept]
            rows["returns"] += [np.float64([e.ret]) for e in kept]
        rows["rewards"] += [e.rewards[1:] for e in made["paid"][task]]
        rows["returns"] += [np.array([e.ret for e in made["paid"][task]])]
    telling = {kind: [r for r in kept if len(set(r)) == len(r) and r.all()] for kind, kept in rows.items()}
    assert min(map(len, telling.values())) >= 8 and len(telling["states and actions"]) > 300
    return telling


@pytest.fixture
def handed(made, monkeypatch):
    """What the loop that trains agents is handed by the stages of methods viper and amp."""
    caught = {}

    def catch(method):
        monkeypatch.setattr(stage, "train_in_environment", lambda *a, **k: caught.update({method: (a, k)}) or stop())

    def stop():
        raise StopIteration

    rest = {"config": TINY["drq"], "run": TINY["runs"], "compute": COMPUTE, "scratch": None, "agent": "drq", "seed": 0}
    catch("viper")
    models = {name: made[name] for name in ("tokenizer", "video_model")} | {"fitted_reward": made["reward"]}
    with pytest.raises(StopIteration):
        train_agent(env={}, frames=FRAMES, **models, model="videogpt", reward="viper", **rest, **HERE)
    catch("amp")
    source = made["root"] / f"{TASKS[0]}-paid.h5", {"kind": "episodes"}
    experts = curate_experts(*source, {}, FRAMES, CURATION | {"stride": 1}, **HERE)
    experts = made["disk"](datasets.EpisodesDataset, "experts/amp.h5", experts)
    with pytest.raises(StopIteration):
        train_agent(
            env={},
            frames=FRAMES,
            settings=TINY["amp"],
            reward="amp",
            **{f"experts__{TASKS[0]}": experts},
            **rest,
            **HERE,
        )
    return caught, experts


def test_no_action_state_or_reward_of_a_demonstration_reaches_reward_or_agent(made, handed):
    """Everything that the reward and the agents' loop hold is searched for every such row of numbers."""
    caught, experts = handed
    rows = secrets(made)
    viper = assemble_reward(made["tokenizer"], made["video_model"], made["reward"], TASKS[0])
    for place, value in (("reward", viper), ("viper", caught["viper"]), ("amp", caught["amp"])):
        hay = b"|".join(numbers(value))
        assert len(hay) > 10_000, place  # weights, or videos
        for kind, needles in rows.items():
            assert not found(needles, hay), f"{kind} of a demonstration are in what {place} gets"
    assert experts.group("train")[0].frames.tobytes() in b"|".join(numbers(caught["amp"]))  # the search goes deep


def test_the_search_finds_what_is_there(made):
    rows = secrets(made)
    episodes = [e for group in ("train", "held_out") for e in made["files"][f"experts__{TASKS[0]}"].group(group)]
    assert found(rows["rewards"], b"|".join(numbers(lambda: episodes)))
    row = rows["states and actions"][0]
    assert len(found([row], b"|".join(numbers({"deep": [(row.tolist(),)]})))) == 1
    with pytest.raises(AssertionError):
        list(numbers([made["files"][f"experts__{TASKS[0]}"]]))


def test_planned_demonstrations_are_recorded_through_the_stages(made, monkeypatch, tmp_path):
    """The live stages, on the stand-in for RLBench."""
    rlbench_stub.install(monkeypatch)
    disk, env, frames = Disk(tmp_path), {"max_steps": 6}, {"size": 16}
    made = train_expert({"algorithm": "planner"}, env, 0, tmp_path, **HERE)
    expert = disk(datasets.ModelArtifactDataset, "expert", made)
    files = []
    for name in ("first", "second"):
        (tmp_path / name / "scratch").mkdir(parents=True)
        demos = record_episodes(
            expert, env, frames, {"expert": 3, "noisy": 0}, 0, 0, tmp_path / name / "scratch", **HERE
        )
        files.append(disk(datasets.EpisodesDataset, f"{name}/demos.h5", demos))
    group = files[0].group("episodes")
    assert len(group) == 3 and (group.returns == 1).all() and group.kinds == ("expert",) * 3
    assert (tmp_path / "first/demos.h5").read_bytes() == (tmp_path / "second/demos.h5").read_bytes()
    floors = record_baselines(env, frames, {"random": 2, "idle": 1}, 0, 0, None, **HERE)
    floors = disk(datasets.EpisodesDataset, "floors.h5", floors).group("episodes")
    assert floors.lengths.tolist() == [7, 7, 7] and floors.returns[2] == 0
    strange = datasets.ModelArtifact({"format": "viper oracle 1"}, {}, {})
    with pytest.raises(BadData, match="train the expert again"):
        record_episodes(strange, env, frames, {"expert": 1}, 0, 0, tmp_path, **HERE)
