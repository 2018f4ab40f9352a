"""The cards that lie with artifacts."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.data.makers import SPEC, episode, write_video
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import ViperError
from viper_pipeline.data.episode import png
from viper_pipeline.data.importers import import_videos
from viper_pipeline.dvc_bridge.provenance import Provenance
from viper_pipeline.pipelines import datasets
from viper_pipeline.pipelines.datasets import Recording
from viper_pipeline.pipelines.report.commands import card_command
from viper_pipeline.reporting.score import check_plot
from viper_pipeline.rewards.pretrained import PRETRAINED
from viper_pipeline.training.artifacts import ModelArtifact

EPISODES, MODEL = "data/experts/dmc/a.h5", "data/tokenizers/dmc"
BESIDE = {"dvc": {"beside": [".md", ".png"]}}


@pytest.fixture
def running(tmp_path):
    """In a stage that makes both, in a folder of its own."""
    params = {"seed": 3, "suites.dmc.curation": {"top_k": 2}}
    return Provenance("dmc.curate_experts.a", params, {"data/x.h5": "0"}, (EPISODES, MODEL), "c0de", tmp_path)


def told(dataset, provenance):
    """As the hooks tell an output where it comes from."""
    dataset.provenance = provenance
    return dataset


def recording():
    return Recording({"train": [episode(6, 1)], "held_out": [episode(6, 2)]}, "dmc", "a", SPEC)


def test_a_models_folder_holds_its_card(running):
    made = ModelArtifact(
        {"suite": "dmc", "psnr": 31.25}, {"w": torch.zeros(3, 4)}, {"look.png": png(np.zeros((2, 2, 3), "u1"))}
    )
    dataset = told(datasets.ModelArtifactDataset(filepath=str(running.root / MODEL)), running)
    dataset.save(made)
    card = (running.root / MODEL / "README.md").read_text()
    assert card.startswith(f"# {MODEL}\n") and str(running.root) not in card
    for said in ("12 numbers", "| psnr | 31.25 |", "`data/x.h5`", "| suites.dmc.curation.top_k | 2 |", "![look.png]"):
        assert said in card
    loaded = dataset.load()
    dataset.save(loaded)  # what is handed on has its card made anew, not twice
    assert (running.root / MODEL / "README.md").read_text() == card
    assert json.loads((running.root / MODEL / "lineage.json").read_text())["steps"].keys() == {EPISODES, MODEL}


def test_episodes_have_their_card_and_a_picture_beside_them(running):
    told(datasets.EpisodesDataset(filepath=str(running.root / EPISODES), metadata=BESIDE), running).save(recording())
    folder = (running.root / EPISODES).parent
    assert sorted(path.name for path in folder.iterdir()) == ["a.h5", "a.md", "a.png"]
    card = (folder / "a.md").read_text()
    assert card.startswith(f"# {EPISODES}\n") and "![frames of one episode](a.png)" in card and "1 episodes" in card
    before = [path.read_bytes() for path in sorted(folder.iterdir())]
    told(datasets.EpisodesDataset(filepath=str(running.root / EPISODES), metadata=BESIDE), running).save(recording())
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == before


def test_what_no_stage_makes_has_no_card(tmp_path):
    datasets.EpisodesDataset(filepath=str(tmp_path / "a.h5"), metadata=BESIDE).save(recording())
    datasets.ModelArtifactDataset(filepath=str(tmp_path / "model")).save(ModelArtifact({}))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.h5", "config.json", "lineage.json", "model"]


def test_somebody_elses_videos_are_not_called_ours(tmp_path):
    write_video(tmp_path / "theirs.mp4", np.zeros((4, 16, 16, 3), "u1"))
    import_videos("video", tmp_path / "theirs.mp4", "dmc", "cartpole_balance", tmp_path / "a.h5", SPEC)
    card = card_command(tmp_path / "a.h5", tmp_path)
    assert "Imported by `viper import video` from `theirs.mp4`." in card and "their owner's license" in card
    for untrue in ("MIT", "Apache", "drawn by", "stage"):
        assert untrue not in card


def test_of_what_says_nothing_of_its_origin_the_license_is_unknown(tmp_path):
    datasets.EpisodesDataset(filepath=str(tmp_path / "a.h5")).save(recording())
    card = card_command(tmp_path / "a.h5", tmp_path)
    assert "Unknown: nothing says where this comes from" in card and "MIT" not in card


def test_the_card_of_an_exported_reward_is_the_one_in_its_folder():
    folder = PRETRAINED / "dmc-laptop"
    assert card_command(folder, folder.parent) == (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("plot", "said"),
    [("x.xyz", "no picture ends in .xyz; take .png"), (".", "is a folder"), ("file/x.png", "is a file")],
)
def test_a_picture_that_cannot_be_is_refused_before_anything_is_scored(tmp_path, plot, said):
    (tmp_path / "file").write_text("")
    with pytest.raises(ViperError, match=said):
        check_plot(tmp_path / plot)


def test_scores_are_printed_before_they_are_drawn(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError("the disk is full")

    np.savez(tmp_path / "a.npz", np.zeros((6, 64, 64, 3), "u1"))
    monkeypatch.setattr("viper_pipeline.reporting.score.draw_scores", fails)
    words = ["score", str(tmp_path / "a.npz"), "--reward", "dmc-laptop", "--task", "cartpole_balance", "--plot"]
    done = CliRunner().invoke(cli, [*words, str(tmp_path / "a.png")])
    assert isinstance(done.exception, OSError) and "6 frames, cartpole_balance" in done.output
