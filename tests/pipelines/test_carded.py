"""The cards that lie with artifacts."""

import json

import numpy as np
import pytest
import torch

from tests.data.makers import SPEC, episode
from viper_pipeline.data.episode import png
from viper_pipeline.dvc_bridge.provenance import Provenance
from viper_pipeline.pipelines import datasets
from viper_pipeline.pipelines.datasets import Recording
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
