"""LeRobot datasets: both versions come in frame by frame with their rewards; broken ones are refused with the path."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tests.data.lerobot_files import CAMERAS, LENGTHS, TASKS, gray, write, write_av1
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadData, BadEnvironment, BadParams
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.data.importers import chosen_of, import_videos, kind_of, lerobot, read_videos
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.pipelines.experts.nodes import curate_experts
from viper_pipeline.testing import check_importer

VERSIONS = ("v2.1", "v3.0")
FILM = "videos/observation.images.top/chunk-000/file-000.mp4"
ROWS = "data/chunk-000/file-000.parquet"
LIST = "meta/episodes/chunk-000/file-000.parquet"


@pytest.fixture(scope="module", params=VERSIONS)
def dataset(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("sets") / request.param, request.param)


@pytest.fixture(scope="module")
def newest(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sets") / "set", "v3.0")


@pytest.fixture
def copy(newest, tmp_path):
    """One that may be spoilt."""
    shutil.copytree(newest, tmp_path / "copy")
    return tmp_path / "copy"


def episodes(path, size=32, **about):
    return list(read_videos("lerobot", path, size, **{"source_camera": "top"} | about))


@pytest.mark.parametrize("camera", range(2))
def test_each_frame_is_that_of_its_row(dataset, camera):
    found = episodes(dataset, source_camera=CAMERAS[camera])
    assert [len(e) for e in found] == list(LENGTHS)
    for number, episode in enumerate(found):
        expected = [gray(camera, number, step) for step in range(len(episode))]
        assert np.abs(episode.frames.mean((1, 2, 3)) - expected).max() < 1.4  # steps differ by 3


def test_a_reward_belongs_to_the_frame_after_its_row_and_none_is_lost(dataset):
    for number, episode in enumerate(episodes(dataset)):
        paid = 10 * number + 1 + np.arange(len(episode))
        assert np.array_equal(episode.rewards[:-1], [0, *paid[:-2]])
        assert episode.rewards[-1] == paid[-2] + paid[-1] and episode.ret == paid.sum()


@pytest.mark.parametrize(("version", "film"), [("v2.0", {}), ("v3.0", {"film": write_av1})])
def test_version_2_0_and_the_codec_of_lerobot_are_read_too(tmp_path, version, film):
    for number, episode in enumerate(episodes(write(tmp_path / "set", version, **film))):
        expected = [gray(0, number, step) for step in range(len(episode))]
        assert np.abs(episode.frames.mean((1, 2, 3)) - expected).max() < 1.4


@pytest.mark.parametrize("version", VERSIONS)
def test_success_is_rewarded_once_when_it_begins(tmp_path, version):
    first, second, _ = episodes(write(tmp_path / "set", version, rewards="next.success"))
    assert first.ret == 0
    assert second.ret == 1 and second.rewards[5] == 1  # the row of step 4 leads to frame 5


@pytest.mark.parametrize("version", VERSIONS)
def test_pictures_may_lie_in_the_data_files_and_rewards_be_unknown(tmp_path, version):
    for number, episode in enumerate(episodes(write(tmp_path / "set", version, rewards=None, dtype="image"))):
        assert [frame[0, 0, 0] for frame in episode.frames] == [gray(0, number, t) for t in range(len(episode))]
        assert np.isnan(episode.rewards).all()


def test_only_episodes_of_an_instruction_are_read(dataset):
    found = episodes(dataset, instruction="push the block")
    assert [len(e) for e in found] == [n for n, task in zip(LENGTHS, TASKS, strict=True) if task == "push the block"]
    with pytest.raises(BadData, match=r"no episode has the instruction 'push teh block' \(did you mean 'push the bl"):
        episodes(dataset, instruction="push teh block")


def test_of_several_cameras_one_must_be_named(dataset):
    with pytest.raises(BadData, match=r"2 cameras; datasets.<task>.camera or --camera can be .*top, .*wrist"):
        episodes(dataset, source_camera=None)
    with pytest.raises(BadData, match=r"holds no camera 'tpo'; .*top, .*wrist"):
        episodes(dataset, source_camera="tpo")
    by_suite = episodes(dataset, source_camera=None, camera="wrist")  # the suite's own name for its view
    assert np.array_equal(by_suite[0].frames, episodes(dataset, source_camera="wrist")[0].frames)


def test_the_only_camera_is_taken_whatever_it_is_called(tmp_path):
    folder = write(tmp_path / "set", "v3.0", cameras=["observation.image"])
    assert len(episodes(folder, source_camera=None, camera="screen")) == 3
    with pytest.raises(BadData, match="no camera 'top'"):
        episodes(folder)


def test_the_importer_keeps_its_contract_and_is_found_by_the_folder(dataset):
    check_importer("lerobot", dataset, size=8, source_camera="top")
    assert kind_of(dataset) == "lerobot" and kind_of(dataset / "data") == "video"


def spoil_json(key, value):
    def spoil(folder):
        file = folder / "meta/info.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))

    return spoil


def spoil_table(name, change):
    def spoil(folder):
        table = pd.read_parquet(folder / name)
        change(table).to_parquet(folder / name, index=False)

    return spoil


def cut(name, share=0.5):
    def spoil(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return spoil


FROM = "videos/observation.images.top/from_timestamp"
BROKEN = {
    "an old version": (spoil_json("codebase_version", "v1.6"), "info.json: codebase_version v1.6 is not read"),
    "no frames per second": (spoil_json("fps", 0), "info.json: fps: .*greater than 0"),
    "no JSON": (cut("meta/info.json"), "info.json: Invalid JSON"),
    "no info": (lambda folder: (folder / "meta/info.json").unlink(), "holds no meta/info.json"),
    "a path out of it": (spoil_json("data_path", "../{chunk_index}"), "data_path '../{chunk_index}' leads out"),
    "no pattern": (spoil_json("video_path", "{episode}"), "video_path '{episode}' is no pattern"),
    "episodes are missing": (spoil_json("total_episodes", 9), "lists 3 episodes, but meta/info.json speaks of 9"),
    "no list": (lambda folder: shutil.rmtree(folder / "meta/episodes"), "meta/episodes: holds no .parquet file"),
    "a list without lengths": (spoil_table(LIST, lambda t: t.drop(columns="length")), "has no column length"),
    "a film is missing": (lambda folder: (folder / FILM).unlink(), "file-000.mp4: is missing; download"),
    "a film is cut": (cut(FILM), "file-000.mp4: not a readable video"),
    "rows are cut": (cut(ROWS), "file-000.parquet: damaged, or no Parquet file"),
    "rows are missing": (spoil_table(ROWS, lambda t: t.iloc[1:]), "episode 0: has rows of 4 frames, .* says 5"),
    "no time": (spoil_table(ROWS, lambda t: t.drop(columns="timestamp")), "has no column timestamp"),
    "a film that ends early": (
        spoil_table(LIST, lambda t: t.assign(**{FROM: t[FROM] + 0.3})),
        "file-000.mp4: has no picture at 0.65",
    ),
    "a row between two pictures": (
        spoil_table(LIST, lambda t: t.assign(**{FROM: t[FROM] + 0.02})),
        "has no picture at 0.020 s",
    ),
    "a reward that is no number": (
        spoil_table(ROWS, lambda t: t.assign(**{"next.reward": np.inf})),
        "episode 0: next.reward is not finite",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_broken_is_refused_with_its_path(copy, how):
    spoil, message = BROKEN[how]
    spoil(copy)
    with pytest.raises(BadData, match=message) as refused:
        episodes(copy)
    assert str(copy) in str(refused.value)


def test_a_folder_of_datasets_is_refused_with_their_names(newest):
    with pytest.raises(BadData, match=r"name the folder of one LeRobot dataset \(datasets found in it: set\)"):
        episodes(newest.parent)


def test_a_missing_pyarrow_ends_in_one_line(dataset, monkeypatch):
    monkeypatch.setattr(lerobot, "find_spec", lambda name: None)
    with pytest.raises(BadEnvironment, match=r"need pyarrow: pip install 'viper-pipeline\[lerobot\]'"):
        episodes(dataset)


def test_an_import_says_what_was_chosen_in_its_lineage(dataset, tmp_path):
    out = tmp_path / "out.h5"
    chosen = {"camera": "top", "instruction": "pull the block"}
    line = import_videos("lerobot", dataset, "dmc", "toy", out, FrameSpec(size=16), chosen)
    assert "1 episodes, 8 frames of 16x16" in line
    imported = EpisodeFile(out).lineage["imported"]
    assert imported == {"kind": "lerobot", "path": dataset.name, **chosen}


def test_an_expert_set_is_made_of_a_dataset(newest):
    chosen = {"kind": "lerobot", "path": str(newest), "camera": "wrist", "instruction": "push the block"}
    curation = {"top_k": 2, "held_out": 1}
    made = curate_experts(newest, chosen, {}, {"size": 16}, curation, suite="dmc", task="cartpole_balance")
    groups = {name: list(episodes) for name, episodes in made.groups.items()}
    assert {name: [len(e) for e in group] for name, group in groups.items()} == {"train": [6], "held_out": [5]}
    assert abs(groups["train"][0].frames[0].mean() - gray(1, 2, 0)) < 1.4
    with pytest.raises(BadParams, match=r"camera: sources of kind episodes have no choice of it"):
        curate_experts(
            newest, {"kind": "expert", "camera": "x"}, {}, {}, curation, suite="dmc", task="cartpole_balance"
        )


def test_the_command_has_the_choices(newest, tmp_path):
    out = tmp_path / "out.h5"
    arguments = ["import", "lerobot", str(newest), "--suite", "dmc", "--task", "cartpole_balance", "--out", str(out)]
    result = CliRunner().invoke(cli, [*arguments, "--camera", "wrist"], catch_exceptions=False)
    assert result.exit_code == 0 and "3 episodes, 19 frames" in result.output


def test_kinds_without_a_choice_refuse_it():
    assert chosen_of("npz", {"camera": None}) == {}
    with pytest.raises(BadParams, match=r"datasets.toy.instruction: sources of kind video have no choice of it"):
        chosen_of("video", {"instruction": "push"}, "datasets.toy.")
    with pytest.raises(BadParams, match=r"frames\.camera says which one"):
        chosen_of("rlbench", {"camera": "wrist"})
