"""What Kedro-Viz shows of a dataset: its layer and its preview."""

import base64
import inspect
import json
from pathlib import Path

import pytest

from tests.data.makers import SPEC, episode
from viper_pipeline import pipeline_registry
from viper_pipeline.dvc_bridge.project import read_params
from viper_pipeline.dvc_bridge.templates import PRIVATE, Wiring
from viper_pipeline.pipelines import datasets
from viper_pipeline.training.artifacts import ModelArtifact

ROOT = Path(__file__).parents[2]
LAYERS = ["sources", "videos", "models", "rewards", "agents", "reports"]
PREVIEWED = [
    datasets.CsvDataset,
    datasets.EpisodesDataset,
    datasets.FilesDataset,
    datasets.JsonDataset,
    datasets.ModelArtifactDataset,
]


def test_layers_follow_the_data():
    """Kedro-Viz draws no layers at all if two of them are each before the other; a folded suite counts as one node."""
    catalog = Wiring(ROOT).catalog

    def layer(dataset):
        meta = (catalog.resolve_pattern(dataset) or {}).get("metadata") or {}
        if (meta.get("dvc") or {}).get("kind") in PRIVATE:
            return None
        return LAYERS.index(meta["kedro-viz"]["layer"])

    def layers(names):
        return {layer(name) for name in names if not name.startswith(("params:", "parameters"))} - {None}

    seen = set()
    for name, pipeline in pipeline_registry.build(read_params(ROOT / "params.yaml")).items():
        for node in pipeline.nodes:
            made = layers(node.outputs)
            seen |= made
            assert max(layers(node.inputs), default=0) <= min(made), node.name
        if name in ("dmc", "atari", "tabletop"):
            assert layers(pipeline.inputs()) <= {0}, name
    assert seen == set(range(len(LAYERS)))


@pytest.mark.parametrize("kind", PREVIEWED)
def test_a_preview_is_of_a_type_that_kedro_viz_draws_and_empty_before_a_run(kind, tmp_path):
    dataset = kind(filepath=str(tmp_path / "nothing"))
    named = inspect.signature(dataset.preview).return_annotation  # by the names of kedro-datasets' own previews
    shown = dataset.preview()
    assert isinstance(shown, getattr(datasets, named).__supertype__)
    empty = {"ImagePreview": "", "JSONPreview": "{}", "TablePreview": []}[named]
    assert (shown["data"] if isinstance(shown, dict) else shown) == empty


def test_previews_show_what_is_there(tmp_path):
    table = datasets.CsvDataset(filepath=str(tmp_path / "curve.csv"))
    table.save([{"step": step, "loss": 1 / (step + 1)} for step in range(20)])
    assert table.preview(nrows=2) == {
        "index": [0, 1],
        "columns": ["step", "loss"],
        "data": [["0", "1.0"], ["1", "0.5"]],
    }
    assert len(table.preview()["data"]) == 10

    files = datasets.FilesDataset(filepath=str(tmp_path / "figures"))
    files.save({"b.svg": b"12345", "a.svg": b"1"})
    assert files.preview()["data"] == [["a.svg", 1], ["b.svg", 5]]

    numbers = datasets.JsonDataset(filepath=str(tmp_path / "metrics.json"))
    numbers.save({"auroc": 0.5})
    assert json.loads(numbers.preview()) == {"auroc": 0.5}

    model = datasets.ModelArtifactDataset(filepath=str(tmp_path / "model"))
    model.save(ModelArtifact({"psnr": 31.25}))
    assert json.loads(model.preview())["psnr"] == 31.25

    videos = datasets.EpisodesDataset(filepath=str(tmp_path / "a.h5"))
    videos.save(datasets.Recording({"train": [episode(6, 1)]}, "dmc", "a", SPEC))
    assert videos.preview() == ""  # no stage made it, so no card lies beside it
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    assert base64.b64decode(videos.preview()) == b"\x89PNG"
