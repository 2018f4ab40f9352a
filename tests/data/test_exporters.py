"""Exports: what is written is read again by the importer of its format, and what is lost is said."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tests.data.test_importers import film
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode, unknown_rewards
from viper_pipeline.data.exporters import EXPORTERS, ExportConfig, export_dataset
from viper_pipeline.data.exporters import lerobot as exporter
from viper_pipeline.data.hdf5 import write_groups
from viper_pipeline.data.importers import read_videos
from viper_pipeline.envs.base import FrameSpec

SIZE = 32


def episode(length, seed, kind="expert", known=True):
    rewards = np.random.default_rng(seed).normal(size=length).astype(np.float32)
    rewards[0] = 0
    return Episode(film(length, SIZE, seed), rewards if known else unknown_rewards(length), 100 + seed, kind)


GROUPS = {
    "train": [episode(9, 1), episode(12, 2)],
    "held_out": [episode(7, 3)],
    "contrast": [episode(5, 4, "noisy")],
}
EPISODES = [one for group in GROUPS.values() for one in group]


def write(path, groups=None, size=SIZE, payload="frames"):
    spec = FrameSpec(size=size, library="toy 3")
    about = {"lineage": {"steps": {"a": 1}}, "payload": payload}
    write_groups(path, groups or GROUPS, suite="dmc", task="toy", spec=spec, **about)
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "toy.h5")


def test_lerobot_without_loss_is_read_as_it_was(dataset, tmp_path):
    said = export_dataset(dataset, tmp_path / "out", "lerobot", ExportConfig(lossless=True))
    assert "4 episodes, 33 frames" in said and "nothing is lost" in said
    back = list(read_videos("lerobot", tmp_path / "out", SIZE))
    for one, other in zip(EPISODES, back, strict=True):
        assert np.array_equal(one.frames, other.frames) and np.array_equal(one.rewards, other.rewards)
        assert (one.seed, one.kind) == (other.seed, other.kind)


def test_films_lose_a_little_of_the_frames_and_say_how_much(dataset, tmp_path):
    said = export_dataset(dataset, tmp_path / "out", "lerobot")
    back = list(read_videos("lerobot", tmp_path / "out", SIZE))
    off = [np.abs(one.frames.astype(int) - other.frames) for one, other in zip(EPISODES, back, strict=True)]
    mean = sum(o.sum() for o in off) / sum(o.size for o in off)
    assert 0 < mean < 4
    assert f"lost: {mean:.2f} of 255 per pixel on average, {max(o.max() for o in off)} at most" in said
    assert "rewards" not in said and "seeds" not in said


def test_lerobot_files_are_what_its_description_says(dataset, tmp_path):
    out = tmp_path / "out"
    export_dataset(dataset, out, "lerobot", ExportConfig(fps=10, instruction="balance the pole"))
    info = json.loads((out / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["fps"] == 10
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (4, 33, 1)
    assert info["splits"] == {"train": "0:2", "held_out": "2:3", "contrast": "3:4"}
    rows = pd.read_parquet(out / info["data_path"].format(chunk_index=0, file_index=0))
    assert set(rows) == set(info["features"]) - {"observation.image"}
    assert np.array_equal(rows["index"], np.arange(33))
    for name, feature in info["features"].items():
        if name in rows:
            assert rows[name].dtype == feature["dtype"], name
    tasks = pd.read_parquet(out / "meta/tasks.parquet")
    assert (
        tasks.index.name == "task" and list(tasks.index) == ["balance the pole"] and tasks["task_index"].tolist() == [0]
    )
    listed = pd.read_parquet(out / "meta/episodes/chunk-000/file-000.parquet")
    assert listed["dataset_from_index"].tolist() == [0, 9, 21, 28] and listed["dataset_to_index"].iloc[-1] == 33
    assert listed["videos/observation.image/from_timestamp"].tolist() == pytest.approx([0, 0.9, 2.1, 2.8])
    assert all(tasks.tolist() == ["balance the pole"] for tasks in listed["tasks"])
    about = json.loads((out / "meta/viper.json").read_text())
    assert about["frame_spec"]["library"] == "toy 3" and about["lineage"]["steps"] == {"a": 1}


def test_lerobot_statistics_are_those_of_all_frames(dataset, tmp_path):
    export_dataset(dataset, tmp_path / "out", "lerobot")
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    frames = np.concatenate([one.frames for one in EPISODES]) / 255
    assert np.ravel(stats["observation.image"]["mean"]) == pytest.approx(frames.mean((0, 1, 2)), abs=1e-6)
    assert np.ravel(stats["observation.image"]["std"]) == pytest.approx(frames.std((0, 1, 2)), abs=1e-6)
    assert np.shape(stats["observation.image"]["max"]) == (3, 1, 1)
    paid = np.concatenate([np.append(one.rewards[1:], 0) for one in EPISODES])
    assert stats["next.reward"]["mean"] == pytest.approx([paid.mean()], abs=1e-6)
    assert stats["next.reward"]["std"] == pytest.approx([paid.std()], abs=1e-6)
    assert stats["next.reward"]["count"] == [33]


def test_a_full_file_is_followed_by_the_next(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "VIDEO_MB", 0)
    said = export_dataset(dataset, tmp_path / "out", "lerobot", ExportConfig(lossless=True))
    assert "nothing is lost" in said
    assert (
        len(list((tmp_path / "out/videos").rglob("*.mp4"))) == len(list((tmp_path / "out/data").rglob("*.parquet"))) > 1
    )


def test_unknown_rewards_stay_unknown(tmp_path):
    mixed = write(tmp_path / "mixed.h5", {"episodes": [episode(5, 1), episode(6, 2, known=False)]})
    unknown = write(tmp_path / "unknown.h5", {"episodes": [episode(6, 2, known=False)]})
    for source in (mixed, unknown):
        out = tmp_path / source.stem
        assert "nothing is lost" in export_dataset(source, out, "lerobot", ExportConfig(lossless=True))
        assert np.isnan(list(read_videos("lerobot", out, SIZE))[-1].rewards).all()
        json.loads((out / "meta/stats.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert "next.reward" not in json.loads((tmp_path / "unknown/meta/info.json").read_text())["features"]


def test_npz_is_the_layout_of_the_authors(dataset, tmp_path):
    said = export_dataset(dataset, tmp_path / "out", "npz")
    assert "rewards of single frames (returns are kept)" in said and "per pixel" not in said
    folders = {p.parent.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.npz")}
    assert folders == {"toy/train", "toy/test", "toy/noisy"}
    back = list(read_videos("npz", tmp_path / "out/toy/train", SIZE))
    for one, other in zip(GROUPS["train"], back, strict=True):
        assert np.array_equal(one.frames, other.frames) and other.ret == pytest.approx(one.ret, rel=1e-6)
    assert any(one.ret < 0 for one in EPISODES) and any(one.ret > 0 for one in EPISODES)  # or names with m are untested


def test_films_are_a_folder_that_is_imported_again(dataset, tmp_path):
    said = export_dataset(dataset, tmp_path / "out", "videos", ExportConfig(lossless=True))
    assert "lost: kinds (the folders' names tell them), rewards, seeds" in said
    back = list(read_videos("video", tmp_path / "out/test", SIZE))
    assert np.array_equal(back[0].frames, GROUPS["held_out"][0].frames)


@pytest.mark.parametrize("form", EXPORTERS.names())
def test_equal_episodes_give_equal_bytes(dataset, tmp_path, form):
    for name in "ab":
        export_dataset(dataset, tmp_path / name, form)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*") if p.is_file())
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_frames_of_an_odd_size_are_filmed(tmp_path):
    odd = Episode(film(6, 15), unknown_rewards(6))
    assert "1 episodes" in export_dataset(
        write(tmp_path / "odd.h5", {"episodes": [odd]}, 15), tmp_path / "out", "videos"
    )


def test_what_cannot_be_exported_leaves_nothing_behind(dataset, tmp_path):
    codes = write(tmp_path / "codes.h5", {"train": [Episode(np.zeros((4, 2, 2), np.int16), np.zeros(4))]}, 2, "codes")
    with pytest.raises(BadData, match=r"codes\.h5: holds codes, not frames"):
        export_dataset(codes, tmp_path / "out", "npz")
    with pytest.raises(BadData, match="exists already; name a new folder"):
        export_dataset(dataset, tmp_path, "npz")
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(dataset.read_bytes()[:-100])
    with pytest.raises(BadData, match="damaged"):
        export_dataset(damaged, tmp_path / "out", "npz")
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_was_written_and_lost(dataset, tmp_path):
    arguments = ["export", str(dataset), str(tmp_path / "out"), "--format", "lerobot", "--lossless"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and "4 episodes" in result.output and "nothing is lost" in result.output
