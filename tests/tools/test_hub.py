"""The Hub: what is pushed is pulled as it was, with a card that the Hub reads; every refusal is one line."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from click.testing import CliRunner
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars

import viper_pipeline
from tests.data.lerobot_files import write as write_foreign
from tests.data.makers import episode, file
from tests.tools.hub_standin import TOKEN, running
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadData, BadEnvironment, BadParams
from viper_pipeline.data.exporters import export_dataset
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.data.importers import read_videos
from viper_pipeline.reporting.hub_cards import license_of, size_class
from viper_pipeline.tools import hub

REWARD = Path(viper_pipeline.__file__).parent / "pretrained" / "dmc-laptop"
OWN = {
    "data/episodes/dmc/expert/toy.h5": {"stage": "dmc.record_episodes.toy", "params": {}, "parents": {}},
    "data/experts/dmc/toy.h5": {
        "stage": "dmc.curate_experts.toy",
        "params": {"suites.dmc.datasets.toy": {"kind": "expert", "path": "data/episodes/dmc/expert/toy.h5"}},
        "parents": {"data/episodes/dmc/expert/toy.h5": "0" * 32},
    },
}
"""Lineage of an expert set of this project."""


@pytest.fixture
def server(monkeypatch):
    with running() as standin:
        monkeypatch.setenv("HF_ENDPOINT", standin.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the stand-in speaks Git LFS alone
        disable_progress_bars()
        yield standin


def experts(path, lineage=None):
    groups = {"train": [episode(12, 1), episode(9, 2)], "held_out": [episode(7, 3)]}
    return file(path, groups, lineage=lineage if lineage is not None else {"steps": OWN})


def card_of(server, kind, repo):
    text = server.files(kind, repo)["README.md"].decode()
    return (huggingface_hub.ModelCard if kind == "model" else huggingface_hub.DatasetCard)(text)


def test_a_dataset_comes_back_as_it_was_with_its_lineage(server, tmp_path):
    source = experts(tmp_path / "toy.h5")
    said = hub.push(source, "me/toy")
    assert said.startswith(f"{server.address}/datasets/me/toy: 1 files and a card")
    said = hub.pull("me/toy", tmp_path / "back")
    assert "dataset me/toy, commit" in said and "toy.h5: whole; `kind: episodes` reads it" in said
    assert (tmp_path / "back/toy.h5").read_bytes() == source.read_bytes()
    assert EpisodeFile(tmp_path / "back/toy.h5").lineage == {"steps": OWN}
    assert not (tmp_path / "back/.cache").exists()


def test_a_dataset_has_a_card_with_what_the_hub_filters_by(server, tmp_path):
    hub.push(experts(tmp_path / "toy.h5"), "me/toy")
    card = card_of(server, "dataset", "me/toy")
    assert card.data.license == "mit" and card.data.size_categories == ["n<1K"]
    assert {"viper", "dmc", "toy", "reinforcement-learning"} <= set(card.data.tags)
    assert card.data.task_categories == ["reinforcement-learning"]
    assert "# data/experts/dmc/toy.h5" in card.text and "2 episodes (expert), 21 frames" in card.text
    assert "![frames of one episode](toy.png)" in card.text
    assert server.files("dataset", "me/toy")["toy.png"].startswith(b"\x89PNG")
    assert "viper pull USER/NAME FOLDER" in card.text


def test_a_reward_comes_back_and_works(server, tmp_path):
    said = hub.push(REWARD, "me/reward")
    assert said.startswith(f"{server.address}/me/reward:")
    said = hub.pull("me/reward", tmp_path / "back")
    assert "model me/reward" in said and "a reward for dmc" in said
    model, here = viper_pipeline.load_reward(tmp_path / "back"), viper_pipeline.load_reward(REWARD)
    frames = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
    task = model.tasks[0]
    assert np.array_equal(model.score(frames, task), here.score(frames, task))
    card = card_of(server, "model", "me/reward")
    assert card.data.license == "mit" and card.data.library_name == "viper-pipeline"
    assert card.data.pipeline_tag == "reinforcement-learning" and "reward-model" in card.data.tags
    assert (REWARD / "README.md").read_text() in card.text  # the card itself is the one that it has


def test_a_lerobot_dataset_comes_back_readable(server, tmp_path):
    export_dataset(experts(tmp_path / "toy.h5"), tmp_path / "robot", "lerobot")
    hub.push(tmp_path / "robot", "me/robot")
    assert "a LeRobot dataset" in hub.pull("me/robot", tmp_path / "back")
    before, after = (list(read_videos("lerobot", tmp_path / name, 8)) for name in ("robot", "back"))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(before, after, strict=True))
    card = card_of(server, "dataset", "me/robot")
    assert "LeRobot" in card.data.tags and card.data.license == "mit"
    assert card.data.configs == [{"config_name": "default", "data_files": "data/*/*.parquet"}]
    assert "| total frames | 28 |" in card.text


def test_a_card_that_has_a_block_already_is_left_as_it_is(server, tmp_path):
    folder = write_foreign(tmp_path / "set", "v3.0")
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\n\n# Mine\n")
    hub.push(folder, "me/set", license="cc0-1.0")
    assert server.files("dataset", "me/set")["README.md"] == (folder / "README.md").read_bytes()


def test_videos_of_others_need_a_license(server, tmp_path):
    imported = {"steps": {}, "imported": {"kind": "video", "path": "films"}}
    elsewhere = json.loads(json.dumps(OWN).replace('"kind": "expert"', '"kind": "video"'))
    for name, lineage in (("a", imported), ("b", {"steps": elsewhere}), ("c", {"steps": {}})):
        source = experts(tmp_path / f"{name}.h5", lineage)
        with pytest.raises(BadParams, match="--license must say under which license"):
            hub.push(source, f"me/{name}")
        hub.push(source, f"me/{name}", license="cc-by-4.0")
        card = card_of(server, "dataset", f"me/{name}")
        assert card.data.license == "cc-by-4.0" and "cc-by-4.0, as whoever shared it states." in card.text
        assert "MIT" not in card.text
    with pytest.raises(BadParams, match="--license"):
        hub.push(write_foreign(tmp_path / "set", "v3.0"), "me/set")
    assert ("dataset", "me/set") not in server.repos
    assert license_of("atari", OWN) == "other"  # games are their owners'


def test_a_second_push_is_a_new_commit_and_old_ones_can_be_pulled(server, tmp_path):
    hub.push(experts(tmp_path / "toy.h5"), "me/toy")
    first = server.repos["dataset", "me/toy"][-1][0]
    file(tmp_path / "toy.h5", {"train": [episode(30, 9)]}, lineage={"steps": OWN})
    hub.push(tmp_path / "toy.h5", "me/toy")
    hub.pull("me/toy", tmp_path / "new")
    hub.pull("me/toy", tmp_path / "old", revision=first)
    assert [len(EpisodeFile(tmp_path / n / "toy.h5").group("train")) for n in ("new", "old")] == [1, 2]
    with pytest.raises(BadData, match="has no such branch, tag or commit"):
        hub.pull("me/toy", tmp_path / "none", revision="never")


def test_what_was_damaged_on_the_way_is_refused_and_leaves_nothing(server, tmp_path):
    hub.push(experts(tmp_path / "toy.h5"), "me/toy")
    files = server.repos["dataset", "me/toy"][-1][1]
    content = bytearray(server.objects[files["toy.h5"]["lfs"]])
    content[2000] ^= 1
    server.objects[files["toy.h5"]["lfs"]] = bytes(content)
    with pytest.raises(BadData, match=r"toy\.h5: damaged"):
        hub.pull("me/toy", tmp_path / "back")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["toy.h5"]


def test_a_repository_of_something_else_is_refused(server, tmp_path):
    api = huggingface_hub.HfApi(server.address)
    api.create_repo("me/other")
    with pytest.raises(BadData, match="holds no episodes, no exported reward and no LeRobot dataset"):
        hub.pull("me/other", tmp_path / "back")


def test_a_name_that_is_a_model_and_a_dataset_must_be_told_apart(server, tmp_path):
    hub.push(experts(tmp_path / "toy.h5"), "me/both")
    hub.push(REWARD, "me/both")
    with pytest.raises(BadParams, match="--kind model or --kind dataset"):
        hub.pull("me/both", tmp_path / "back")
    assert "toy.h5: whole" in hub.pull("me/both", tmp_path / "back", kind="dataset")


def test_who_is_not_logged_in_is_told_how(server, tmp_path, monkeypatch):
    source = experts(tmp_path / "toy.h5")
    hub.push(source, "me/private", private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(BadEnvironment, match="answered with status 401; log in with `hf auth login`"):
        hub.push(source, "me/toy")
    with pytest.raises(BadData, match="has no such repository, or it is private and you are not logged in"):
        hub.pull("me/private", tmp_path / "back")


def test_what_cannot_be_shared_is_refused_before_anything_is_sent(server, tmp_path):
    (tmp_path / "films").mkdir()
    shutil.copytree(REWARD, tmp_path / "damaged")
    (tmp_path / "damaged/lineage.json").write_text("{}")
    for path, message in (
        (tmp_path / "films", "neither an .h5 file of episodes, nor a folder of `viper export-reward`"),
        (REWARD / "reward", "is a model of a project; `viper export-reward` makes a folder"),
        (tmp_path / "damaged", "lineage.json: damaged"),
        (tmp_path / "none.h5", "there is no such file or folder"),
    ):
        with pytest.raises(BadData, match=message):
            hub.push(path, "me/x")
    with pytest.raises(BadParams, match="is no name of a repository, USER/NAME"):
        hub.push(experts(tmp_path / "toy.h5"), "me/a/b")
    assert not server.asked


def test_a_hub_that_is_not_there_and_a_missing_library_end_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadEnvironment, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        hub.pull("me/toy", tmp_path / "back", kind="dataset")
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    with pytest.raises(BadEnvironment, match=r"pip install 'viper-pipeline\[hub\]'"):
        hub.pull("me/toy", tmp_path / "back")
    assert not list(tmp_path.iterdir())


def test_the_commands(server, tmp_path):
    source = experts(tmp_path / "toy.h5")
    result = CliRunner().invoke(cli, ["push", str(source), "me/toy", "--message", "one"], catch_exceptions=False)
    assert result.exit_code == 0 and "datasets/me/toy" in result.output
    result = CliRunner().invoke(cli, ["pull", "me/toy", str(tmp_path / "back")], catch_exceptions=False)
    assert result.exit_code == 0 and "whole" in result.output


def test_sizes_are_the_hubs_classes():
    assert [size_class(n) for n in (999, 1000, 99_999, 2_000_000)] == ["n<1K", "1K<n<10K", "10K<n<100K", "n>1M"]
