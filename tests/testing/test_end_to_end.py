"""A project of toys alone, from expert to agent: one file, one line and one block of params.yaml for each part."""

from __future__ import annotations

from tests.testing.toys import BLOCK
from viper_pipeline import pipeline_registry
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.pipelines.datasets import EpisodesDataset, ModelArtifactDataset, Recording
from viper_pipeline.pipelines.params_check import validate

PARAMS = {
    "profile": "toys",
    "seed": 0,
    "seeds": [0],
    "runtime": {"compute": {"threads": 1, "accelerator": "cpu"}, "workers": 1},
    "suites": {"dots": BLOCK},
}
REPORT = {"aggregate", "draw_figures", "film_agents", "write_cards", "write_report"}
"""What comes after the agents, and is no part's business."""


def run_nodes(nodes, params, root):
    """Run nodes in an order in which their inputs are there, each output by way of the disk; values by name."""
    values = {}

    def value(name):
        if name == "scratch":
            return None
        if name.endswith("/source"):
            return root / name.replace("/source", "/expert_episodes")
        found = values if not name.startswith("params:") else params
        for key in name.removeprefix("params:").split(".") if found is params else [name]:
            found = found[key]
        return found

    waiting = list(nodes)
    while waiting:
        ready = [
            node
            for node in waiting
            if all(
                name in values
                or name.startswith("params:")
                or name == "scratch"
                or (name.endswith("/source") and value(name).exists())
                for name in node.inputs
            )
        ]
        assert ready, f"nothing is ready: {[node.name for node in waiting]}"
        for node in ready:
            for name, made in node.run({name: value(name) for name in node.inputs}).items():
                kind = EpisodesDataset if isinstance(made, Recording) else ModelArtifactDataset
                dataset = kind(filepath=str(root / name))
                dataset.save(made)
                values[name] = dataset.load()
            waiting.remove(node)
    return values


def test_toys_run_from_expert_to_agent(tmp_path, monkeypatch):
    monkeypatch.setitem(PARAMS["runtime"], "workers", 0)
    validate({**PARAMS, "runtime": {**PARAMS["runtime"], "workers": 1}})
    nodes = pipeline_registry.build(PARAMS)["dots"].nodes
    values = run_nodes([node for node in nodes if node.name.split(".")[1] not in REPORT], PARAMS, tmp_path)
    assert values["dots/right/expert"].config["recipe"]["force"] == 0.5
    assert isinstance(values["dots/right/experts"], EpisodeFile)
    assert values["dots/tokenizer"].config["kind"] == "mosaic"
    assert values["dots/right/codes"].group("train")[0].frames.shape == (13, 2, 2)
    assert values["dots/habit/video_model"].config["held_out"]["right"]["nats_per_code"] < 1.4
    scale = values["dots/habit/reward"].config["scales"]["right"]
    assert scale["unit"] >= 1
    for method in BLOCK["methods"]:
        run = values[f"dots/right/{method}/bandit/0/run"]
        assert run.config["method"] == method and len(run.config["final_returns"]) == 2
        assert "values" in run.tensors and b"train_reward" in run.files["curve.csv"]
