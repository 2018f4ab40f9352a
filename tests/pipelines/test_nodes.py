"""Every stage once, at the tiny size, on the real simulator: what one makes the next can read."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.data.importers import read_source, read_videos
from viper_pipeline.pipelines import datasets
from viper_pipeline.pipelines.ablations.nodes import (
    evaluate_scoring,
    report_ablations,
    train_agent_beta,
    train_context,
    weighted,
)
from viper_pipeline.pipelines.agents.nodes import train_agent
from viper_pipeline.pipelines.experts.nodes import curate_experts, record_baselines, record_episodes, train_expert
from viper_pipeline.pipelines.models.nodes import (
    encode_experts,
    evaluate_reward,
    rollouts,
    single_frames,
    train_tokenizer,
    train_video_model,
)
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.pipelines.report.commands import FinishedRun, record_of
from viper_pipeline.pipelines.report.films import film_agents
from viper_pipeline.pipelines.report.nodes import aggregate, draw_figures, write_cards, write_report
from viper_pipeline.pipelines.wiring import argument
from viper_pipeline.reporting.films import INDEX, listed_films
from viper_pipeline.reporting.metrics import reward_summary
from viper_pipeline.reporting.results import RunKey, run_digest
from viper_pipeline.rewards.evaluation import score_kinds
from viper_pipeline.rewards.gate import judge
from viper_pipeline.rewards.scores import EvaluationConfig, transition_scores, unpack
from viper_pipeline.rewards.viper import ViperConfig, ViperReward, assemble_reward, fit_scale
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import save_artifact
from viper_pipeline.video_models import VIDEO_MODELS

PROFILES = Path(__file__).parents[2] / "profiles"
PARAMS = read_profile(PROFILES / "tiny.yaml")
DMC = PARAMS["suites"]["dmc"]
TASK = "cartpole_balance"
COMPUTE = PARAMS["runtime"]["compute"]
HERE = {"suite": "dmc", "task": TASK}


class Disk:
    """Saves what a stage makes and loads it again, as the catalog would."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, kind, name, value):
        dataset = kind(filepath=str(self.root / name))
        dataset.save(value)
        assert dataset.exists()
        return dataset.load()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("graph")
    disk, seed = Disk(root), PARAMS["seed"]

    def scratch(name):
        (root / "scratch" / name).mkdir(parents=True)
        return root / "scratch" / name

    expert = disk(
        datasets.ModelArtifactDataset,
        "expert",
        train_expert(DMC["experts"][TASK], DMC["env"], seed, scratch("expert"), **HERE),
    )
    recorded = disk(
        datasets.EpisodesDataset,
        "recorded.h5",
        record_episodes(expert, DMC["env"], DMC["frames"], DMC["record"], seed, 0, scratch("recorded"), **HERE),
    )
    baselines = disk(
        datasets.EpisodesDataset,
        "baselines.h5",
        record_baselines(DMC["env"], DMC["frames"], DMC["baselines"], seed, 0, scratch("baselines"), **HERE),
    )
    experts = disk(
        datasets.EpisodesDataset,
        "experts.h5",
        curate_experts(root / "recorded.h5", {"kind": "expert"}, DMC["env"], DMC["frames"], DMC["curation"], **HERE),
    )
    files = {f"experts__{TASK}": experts, f"baselines__{TASK}": baselines}
    tokenizer = disk(
        datasets.ModelArtifactDataset,
        "tokenizer",
        train_tokenizer(DMC["tokenizer"], seed, COMPUTE, scratch("tokenizer"), suite="dmc", **files),
    )
    codes = disk(datasets.EpisodesDataset, "codes.h5", encode_experts(COMPUTE, tokenizer, experts, **HERE))
    files[f"codes__{TASK}"] = codes
    video_model = disk(
        datasets.ModelArtifactDataset,
        "video_model",
        train_video_model(
            DMC["videogpt"],
            seed,
            COMPUTE,
            tokenizer,
            scratch("model"),
            suite="dmc",
            model="videogpt",
            **{f"codes__{TASK}": codes},
        ),
    )
    reward = disk(
        datasets.ModelArtifactDataset,
        "reward",
        evaluate_reward(
            DMC["reward"],
            DMC["reward_evaluation"],
            seed,
            COMPUTE,
            tokenizer,
            video_model,
            suite="dmc",
            model="videogpt",
            **files,
        ),
    )
    return {
        "root": root,
        "recorded": recorded,
        "baselines": baselines,
        "experts": experts,
        "codes": codes,
        "tokenizer": tokenizer,
        "video_model": video_model,
        "reward": reward,
        "disk": disk,
    }


def viper(made, seed=0, env=None, scratch=None, train=train_agent, **more):
    return train(
        env=env or DMC["env"],
        frames=DMC["frames"],
        tokenizer=made["tokenizer"],
        video_model=made["video_model"],
        fitted_reward=made["reward"],
        model="videogpt",
        config=DMC["drq"],
        run=DMC["runs"],
        compute=COMPUTE,
        scratch=scratch,
        bonus=DMC["exploration"],
        exploration="rnd",
        reward="viper",
        agent="drq",
        seed=seed,
        **HERE,
        **more,
    )


SMALL = DMC["videogpt"]
ZOO = {
    "videogpt_streaming": SMALL | {"window": 6, "context": 2},
    "maskgit": SMALL | {"passes": 4},
    "byol": {"window": 3, "width": 16, "horizon": 2, "training": SMALL["training"]},
}


@pytest.mark.parametrize("name", ZOO)
def test_every_video_model_can_pay_an_agent(made, tmp_path, name):
    disk = Disk(tmp_path)
    block = DMC["reward"] | {"model": name} | ({"scoring": "kv_cache"} if name == "videogpt_streaming" else {})
    codes = {f"codes__{TASK}": made["codes"]}
    here = {"suite": "dmc", "model": name}
    model = train_video_model(ZOO[name], 0, COMPUTE, made["tokenizer"], tmp_path, **here, **codes)
    model = disk(datasets.ModelArtifactDataset, "video_model", model)
    files = codes | {f"experts__{TASK}": made["experts"], f"baselines__{TASK}": made["baselines"]}
    reward = evaluate_reward(block, DMC["reward_evaluation"], 0, COMPUTE, made["tokenizer"], model, **here, **files)
    reward = disk(datasets.ModelArtifactDataset, "reward", reward)
    assert reward.files[f"maps_{TASK}.png"][:4] == b"\x89PNG" and reward.files[f"maps_{TASK}.gif"][:3] == b"GIF"
    stream = assemble_reward(made["tokenizer"], model, reward, TASK).stream()
    frames = made["experts"].group("held_out")[0].frames
    stream.start(frames[:1])
    paid = np.concatenate([stream.step(frames[t : t + 1]) for t in range(1, 8)])
    kept = reward.tensors[f"{TASK}/held_out/nats"][1:8].numpy()
    np.testing.assert_allclose(paid, stream.reward.scaled(kept), rtol=1e-3, atol=1e-3)


def test_the_best_episodes_become_the_expert_set(made):
    everything, experts = made["recorded"].group("episodes"), made["experts"]
    returns = everything.returns[np.array(everything.kinds) == "expert"]
    kept = np.concatenate([experts.group(name).returns for name in ("train", "held_out", "test")])
    np.testing.assert_allclose(np.sort(kept), np.sort(returns)[-DMC["curation"]["top_k"] :], rtol=1e-5)
    assert len(experts.group("contrast")) == DMC["record"]["noisy"]
    assert experts.spec.size == 64 and experts.spec.action_repeat == DMC["env"]["action_repeat"]


def test_test_episodes_are_scored_and_nothing_is_fitted_to_them(made):
    scores, returns = unpack(TASK, made["reward"].tensors)
    assert len(scores["test"]) == len(returns["test"]) == DMC["curation"]["test"] == 1
    seen = [transition_scores(scores[kind]) for kind in ("held_out", "random", "idle")]
    config = ViperConfig.model_validate(DMC["reward"]).scale
    assert fit_scale(config, *seen).model_dump() == pytest.approx(made["reward"].config["scales"][TASK])
    gate = judge({kind: videos for kind, videos in scores.items() if kind != "test"})
    assert gate.auroc == pytest.approx(made["reward"].config["gates"][TASK]["auroc"])
    assert gate.gap == pytest.approx(made["reward"].config["gates"][TASK]["gap"], abs=1e-3)
    assert reward_summary(made["reward"])["tasks"][TASK]["experts"] == "test"


def test_a_reward_of_windows_is_scored_by_single_frames_too(made):
    reward = assemble_reward(made["tokenizer"], made["video_model"], made["reward"], TASK)
    videos = {"held_out": [torch.as_tensor(episode.frames) for episode in made["codes"].group("held_out")]}
    settings = EvaluationConfig(freeze_at=(0,), episodes=9)
    assert single_frames(reward, videos, settings, 0, None) is None
    joint = ViperConfig.model_validate(DMC["reward"] | {"mode": "joint"})
    windows = ViperReward(reward.tokenizer, reward.model, TASK, joint, reward.spec)
    found, again = single_frames(windows, videos, settings, 0, None), score_kinds(reward, videos, settings, 0)
    assert found.keys() == again.keys()
    assert all(np.array_equal(a, b) for kind in found for a, b in zip(found[kind], again[kind], strict=True))


def test_codes_are_the_experts_frames(made):
    frames, codes = made["experts"].group("held_out")[0], made["codes"].group("held_out")[0]
    assert len(codes) == len(frames) and codes.frames.dtype == np.int16
    assert np.array_equal(load_tokenizer(made["tokenizer"]).encode(frames.frames).numpy(), codes.frames)


def test_models_carry_pictures_and_curves(made):
    assert {"curve.csv", f"reconstructions_{TASK}.png"} <= set(made["tokenizer"].files)
    assert {"curve.csv", f"rollouts_{TASK}.png"} <= set(made["video_model"].files)
    assert made["video_model"].config["held_out"][TASK]["nats_per_code"] > 0


def test_a_rollout_of_a_short_video_is_drawn_beside_the_longer_ones(made):
    whole = made["codes"].group("held_out")[0]
    videos = [whole, replace(whole, frames=whole.frames[:5])]
    network = VIDEO_MODELS.get("videogpt").from_artifact(made["video_model"])
    picture = np.asarray(Image.open(io.BytesIO(rollouts(network, load_tokenizer(made["tokenizer"]), videos, TASK))))
    rows = picture.reshape(4, 64, -1, 64, 3).swapaxes(1, 2)  # two videos, each above what was made of its first frame
    drawn = [int(row.any((1, 2, 3)).sum()) for row in rows]
    assert drawn == [13, 13, 5, 13]


def test_a_stage_run_twice_makes_the_same_bytes(made, tmp_path):
    again = curate_experts(
        made["root"] / "recorded.h5", {"kind": "expert"}, DMC["env"], DMC["frames"], DMC["curation"], **HERE
    )
    Disk(tmp_path)(datasets.EpisodesDataset, "experts.h5", again)
    assert (tmp_path / "experts.h5").read_bytes() == (made["root"] / "experts.h5").read_bytes()
    first, second = viper(made), viper(made)
    assert first.config == second.config and first.files == second.files
    assert all((first.tensors[name] == second.tensors[name]).all() for name in first.tensors)


def test_an_environment_of_other_frames_is_refused(made):
    with pytest.raises(BadData, match="action_repeat"):
        viper(made, env={"action_repeat": 10})


def test_frames_of_another_kind_are_not_curated(made):
    other = DMC["frames"] | {"shadows": True}
    with pytest.raises(BadData, match="shadows"):
        curate_experts(made["root"] / "recorded.h5", {"kind": "expert"}, DMC["env"], other, DMC["curation"], **HERE)


def test_somebodys_videos_take_the_experts_place(made, tmp_path):
    """A folder of npz files with the same frames gives the same frames to the models."""
    folder, group = tmp_path / "videos", made["recorded"].group("episodes")
    folder.mkdir()
    for i, episode in enumerate(group):
        if episode.kind == "expert":
            np.savez_compressed(folder / f"{i:03d}-rew{episode.ret:.3f}.npz", episode.frames)
    swapped = curate_experts(folder, {"kind": "npz"}, DMC["env"], DMC["frames"], DMC["curation"], **HERE)
    file = Disk(tmp_path)(datasets.EpisodesDataset, "out/experts.h5", swapped)
    ours, theirs = made["experts"].group("train"), file.group("train")
    assert [e.frames.tobytes() for e in ours] == [e.frames.tobytes() for e in theirs]
    assert len(read_source("npz", folder, 64)[0]) == DMC["record"]["expert"]


def amp(made, env=None):
    return train_agent(
        env=env or DMC["env"],
        frames=DMC["frames"],
        settings=DMC["amp"],
        config=DMC["drq"],
        run=DMC["runs"],
        compute=COMPUTE,
        scratch=None,
        reward="amp",
        agent="drq",
        seed=0,
        **{f"experts__{TASK}": made["experts"]},
        **HERE,
    )


def test_amp_learns_from_videos_and_refuses_those_made_otherwise(made):
    run = amp(made)
    assert run.config["method"] == "amp" and b"amp_experts" in run.files["curve.csv"]
    with pytest.raises(BadParams, match=r"experts\.h5.*action_repeat.*suites\.dmc\.frames"):
        amp(made, {"action_repeat": 2})


def run_argument(method):
    return argument("agents", RunKey("dmc", TASK, method, "drq", 0))


def test_the_report_is_made_of_runs(made, tmp_path):
    runs = {run_argument("viper"): viper(made)}
    for method in ("task_reward", "exploration"):
        runs[run_argument(method)] = train_agent(
            DMC["drq"],
            DMC["runs"],
            DMC["env"],
            DMC["frames"],
            COMPUTE,
            None,
            DMC["exploration"] if method == "exploration" else None,
            reward=method,
            exploration="rnd" if method == "exploration" else None,
            agent="drq",
            seed=0,
            **HERE,
        )
    files = {
        f"experts__dmc__{TASK}": made["experts"],
        f"baseline_episodes__dmc__{TASK}": made["baselines"],
        "rewards__dmc__videogpt": made["reward"],
    }
    costs = {
        node: {"seconds": 1, "peak_rss_mb": 9}
        for node in ("dmc.train_expert.a", "atari.train_expert.a", "report.aggregate.all")
    }
    metrics, headline, curves = aggregate({}, costs, **runs, **files)
    json.dumps(metrics)
    assert set(metrics["costs"]) == {"dmc.train_expert.a"}  # a page counts what its own suites' stages cost
    table = metrics["agents"]["dmc"][TASK]["drq"]
    assert set(table) == {"viper", "task_reward", "exploration"}
    returns = runs[run_argument("viper")].config["final_returns"]
    assert table["viper"]["final_return"] == pytest.approx(np.mean(returns))
    scores, auroc = metrics["aggregates"]["dmc"]["drq"], metrics["rewards"]["dmc"]["videogpt"]["auroc_frame"]
    assert set(headline) == {"score", "auroc_frame"} and set(headline["score"]["drq"]) == set(table)
    shares = scores["expert_normalized"] or scores["methods"]  # an expert this small may be no better than random
    assert headline["score"]["drq"]["viper"] == pytest.approx(shares["viper"]["mean"]["value"], abs=0.001)
    assert headline["auroc_frame"]["videogpt"] == pytest.approx(auroc, abs=1e-4)
    assert len(curves) == 3 * 2 and {row["method"] for row in curves} == set(table)
    shown = {
        **runs,
        **files,
        "tokenizers__dmc": made["tokenizer"],
        "video_models__dmc__videogpt": made["video_model"],
        "settings__dmc": DMC,
    }
    base, paper = (datasets.YamlDataset(filepath=str(PROFILES / f"{name}.yaml")).load() for name in ("base", "paper"))
    figures = draw_figures(base, paper, {}, **shown)
    learned = {name: value for name, value in shown.items() if name.startswith(("agents", "experts", "baseline"))}
    films = film_agents(DMC["env"], DMC["frames"], suite="dmc", **learned)
    listed = listed_films(films)
    assert [film.name for film in listed] == ["viper", "task_reward", "random", "expert", "exploration"]
    assert set(films) == {INDEX, *(film.file for film in listed)}
    for film in listed:
        (tmp_path / film.file).write_bytes(films[film.file])
        (played,) = read_videos("video", tmp_path / film.file, 64)
        assert len(played) == film.shown == film.frames > 2, "every frame is there"
    assert any(listed[0].ret == pytest.approx(one, abs=0.01) for one in returns), "an episode of the evaluation"
    page = write_report(metrics, figures, "tiny", base, paper, {}, films=films, **shown)
    assert [page.count(f'src="films/{film.file}"') for film in listed] == [1] * 5
    assert page.count("an episode of") == 3 + 2 and f"curves-dmc-{TASK}.svg" in figures  # and random, and an expert
    assert {"fig05.pdf", "fig12.svg", "fig17.svg", "table1.csv", "paper.json"} <= set(figures)
    assert "Settings that differ" in page and "Does VIPER work here?" in page
    disk = made["disk"]
    assert disk(datasets.JsonDataset, "m.json", metrics) == json.loads(json.dumps(metrics))
    assert len(disk(datasets.CsvDataset, "c.csv", curves)) == len(curves)
    assert disk(datasets.FilesDataset, "figures", figures) == figures
    assert disk(datasets.TextDataset, "page.html", page) == page
    cards = write_cards(**{name: value for name, value in shown.items() if name != "settings__dmc"})
    listed = re.findall(r"\((.+?\.md)\)", cards["README.md"].decode())
    assert sorted(listed) == sorted(name for name in cards if name.endswith(".md") and name != "README.md")
    pictures = [name for name in listed for name in re.findall(r"\((.+?\.png)\)", cards[name].decode())]
    assert len(pictures) == 2 and set(pictures) <= set(cards)  # experts and baselines


def test_run_records_stand_beside_the_graphs_own_if_their_settings_are_todays(made, tmp_path):
    own = viper(made)
    key = RunKey("dmc", TASK, "viper", "drq", 0)
    path = f"data/agents/dmc/{TASK}/viper-drq/0"
    read = {"suites.dmc.drq": DMC["drq"], "suites.dmc.runs": DMC["runs"], "seed": 0}
    node = f"dmc.train_agent_viper.{TASK}-drq-0"
    steps = {path: {"stage": node, "params": read, "code": "c1", "parents": {}}}
    save_artifact(tmp_path / path, own, {"steps": steps})
    run = record_of(FinishedRun(key, path), tmp_path, "abc")
    assert run.final_returns == pytest.approx(own.config["final_returns"], abs=1e-3) and run.params == read
    less = record_of(FinishedRun(key, path, "beta", "0.5"), tmp_path, "abc")
    assert (less.axis, less.value, less.key) == ("beta", "0.5", run.key) and less.file != run.file
    assert run.digest and run.digest == run_digest(path, steps)
    ours, old = run.model_copy(update={"seed": 7}), run.model_copy(update={"seed": 9, "digest": "of other code"})
    elsewhere = run.model_copy(update={"seed": 8, "params": read | {"suites.dmc.runs": DMC["runs"] | {"steps": 1}}})
    files = {f"{r.seed}.json": r.model_dump_json().encode() for r in (run, ours, old, elsewhere)} | {"README.md": b"-"}
    inputs = {
        run_argument("viper"): own,
        f"experts__dmc__{TASK}": made["experts"],
        f"baseline_episodes__dmc__{TASK}": made["baselines"],
        "rewards__dmc__videogpt": made["reward"],
        "settings__dmc": DMC,
    }
    costs = {node: {"seconds": 1, "peak_rss_mb": 9, "machine": run.machine}}
    metrics, _, curves = aggregate(files, costs, SimpleNamespace(lineage={"steps": steps}), **inputs)
    table = metrics["agents"]["dmc"][TASK]["drq"]
    origin = f"commit abc, {run.machine}"
    assert set(table) == {"viper", f"viper [{origin}]"} and table[f"viper [{origin}]"]["seeds"] == 1
    assert (table["viper"]["seeds"], table["viper"]["from_records"]) == (2, 1)
    assert {row["seed"] for row in curves if row["method"] == "viper"} == {0, 7}
    assert metrics["run_records"]["left_out"] == {"the same run is there already": 1}
    assert [r["differs"] for r in metrics["run_records"]["other_settings"]] == ["runs"]
    (where,) = metrics["run_records"]["shown"]
    assert where == f"dmc {TASK} viper drq: {origin}"
    page = write_report(metrics, {}, "tiny", {}, {}, {}, **inputs, tokenizers__dmc=made["tokenizer"])
    assert "2 (1 from records)" in page and where in page and "Runs made with other settings" in page
    with pytest.raises(BadData, match=r"reports/runs/bad.json: budget"):
        aggregate({"bad.json": files["7.json"].replace(b'"budget":', b'"budgets":')}, {}, **inputs)


def test_an_ablation_changes_one_part_alone(made, tmp_path):
    here = {"suite": "dmc", "model": "videogpt", "seed": 0, "compute": COMPUTE, "tokenizer": made["tokenizer"]}
    codes = {f"codes__{TASK}": made["codes"]}
    short = train_context(config=DMC["videogpt"], context=1, scratch=tmp_path, **here, **codes)
    assert short.config["model"] == made["video_model"].config["model"] | {"window": 2}
    share = {"weight": 0.25, "final_weight": None}
    assert weighted({"weight": 0.5}, "rnd", 0.5) == share
    assert weighted({"weight": 0.5, "final_weight": 0.1, "clip": 3}, "rnd", 2) == {
        "weight": 1.0,
        "final_weight": 0.2,
        "clip": 3,
    }


def test_a_kv_cache_scores_the_same_model_with_a_little_more_context(made, tmp_path):
    here = {"suite": "dmc", "model": "videogpt_streaming", "seed": 0, "compute": COMPUTE}
    here["tokenizer"] = made["tokenizer"]
    codes = {f"codes__{TASK}": made["codes"]}
    files = codes | {f"experts__{TASK}": made["experts"], f"baselines__{TASK}": made["baselines"]}
    model = train_video_model(ZOO["videogpt_streaming"], scratch=tmp_path, **here, **codes)
    judged = {"reward": DMC["reward"], "evaluation": DMC["reward_evaluation"], "video_model": model} | here | files
    exact, streaming = evaluate_reward(**judged), evaluate_scoring(scoring="kv_cache", **judged)
    assert (exact.config["reward"]["scoring"], streaming.config["reward"]["scoring"]) == ("full_window", "kv_cache")
    one, other = (reward.tensors[f"{TASK}/held_out/nats"][1:].numpy() for reward in (exact, streaming))
    np.testing.assert_allclose(one[:2], other[:2], rtol=0, atol=1e-4)  # no more than the band has been seen
    assert 2e-4 < np.abs(one - other).max() < 0.1 and np.corrcoef(one, other)[0, 1] > 0.99


def test_ablations_are_reported_beside_the_suites_own(made):
    own, none = viper(made), viper(made, train=train_agent_beta, beta=0.0)
    assert none.config == own.config | {"final_returns": none.config["final_returns"]}
    metrics, headline, rows, figures, page = report_ablations(
        settings=DMC["videogpt"],
        profile="tiny",
        experts=made["experts"],
        baseline_episodes=made["baselines"],
        agent="drq",
        pages=["dmc", "ablations"],
        run__own__own__0=own,
        reward__own__videogpt=made["reward"],
        reward__model__videogpt_streaming=made["reward"],
        reward__scoring__kv_cache=made["reward"],
        **{"run__beta__0.0__0": none, "run__model__videogpt_streaming__0": own, "run__scoring__kv_cache__0": none},
        **HERE,
    )
    assert {axis: list(values) for axis, values in metrics["axes"].items()} == {
        "beta": ["1", "0.0"],
        "model": ["videogpt", "videogpt_streaming"],
        "context": ["2"],
        "scoring": ["full_window", "kv_cache"],
    }
    assert metrics["axes"]["scoring"] == {
        "full_window": metrics["axes"]["model"]["videogpt_streaming"],
        "kv_cache": metrics["axes"]["beta"]["0.0"],
    }
    assert metrics["axes"]["beta"]["1"]["final_return"] == pytest.approx(np.mean(own.config["final_returns"]))
    assert headline["scoring"] == {
        "full_window": headline["model"]["videogpt_streaming"],
        "kv_cache": headline["beta"]["0.0"],
    }
    assert {row["axis"] for row in rows} == set(metrics["axes"]) and set(figures) == {"ablations.svg", "ablations.pdf"}
    assert 'src="figures/ablations.svg"' in page and "beta: 0.0" in page
    json.dumps(metrics)
