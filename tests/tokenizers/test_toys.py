"""Another tokenizer: a line in the table and a block of params.yaml take it through the check and every node."""

import copy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tokenizers.toy import Inertia, Mosaic, Pooled
from viper_pipeline import pipeline_registry
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import EpisodeFile, verify, write_groups
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.tokenizers import TOKENIZERS, load_tokenizer, trainable_tokenizer
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.video_models import VIDEO_MODELS

ROOT = Path(__file__).parents[2]
LOOP = {"steps": 3, "batch_size": 4, "learning_rate": 0.01}
INERTIA = {"video_models": ["inertia"], "inertia": {"training": LOOP}}
SPEC = FrameSpec(size=16)


@pytest.fixture
def toys():
    tables = [(TOKENIZERS, "mosaic", Mosaic), (TOKENIZERS, "pooled", Pooled), (VIDEO_MODELS, "inertia", Inertia)]
    for table, name, target in tables:
        table.register(name, target)
    yield
    for table, name, _ in tables:
        table.unregister(name)


def params(kind, **changes):
    values = copy.deepcopy(read_profile(ROOT / "profiles/tiny.yaml"))
    block = values["suites"]["dmc"]
    block |= {"tokenizer": {"kind": kind, "training": LOOP}} | changes
    if "video_models" in changes:
        block["reward"] |= {"model": changes["video_models"][0]}
    values["suites"] = {"dmc": block}
    values.pop("ablations", None)
    return values


def files(root, tasks):
    """experts__, baselines__<task>: noise of 16 x 16 pixels."""

    def episodes(seed, kinds):
        rng = np.random.default_rng(seed)
        frames = rng.integers(0, 256, (len(kinds), 24, 16, 16, 3), dtype=np.uint8)
        return [
            Episode(f, np.zeros(24, np.float32), i, kind) for i, (f, kind) in enumerate(zip(frames, kinds, strict=True))
        ]

    found = {}
    for i, task in enumerate(tasks):
        groups = {"train": episodes(2 * i, ["expert"] * 3), "held_out": episodes(9, ["expert"])}
        others = {"episodes": episodes(2 * i + 1, ["random", "idle"])}
        for name, content in (("experts", groups), ("baselines", others)):
            write_groups(root / f"{name}-{task}.h5", content, suite="dmc", task=task, spec=SPEC)
            found[f"{name}__{task}"] = EpisodeFile(root / f"{name}-{task}.h5")
    return found


def run(values, root):
    """Every node of the models' pipeline, as the graph binds it: tokenizer, code files, video model, reward."""
    block = values["suites"]["dmc"]
    nodes = {node.name: node.func for node in pipeline_registry.build(values)["dmc"].nodes}
    videos = files(root, block["tasks"])
    here = {"seed": 0, "compute": values["runtime"]["compute"]}
    tokenizer = nodes["dmc.train_tokenizer.all"](config=block["tokenizer"], scratch=None, **here, **videos)
    here["tokenizer"], codes = tokenizer, {}
    for task in block["tasks"]:
        encode = nodes[f"dmc.encode_experts.{task}"]
        made = encode(compute=here["compute"], tokenizer=tokenizer, experts=videos[f"experts__{task}"])
        place = root / f"codes-{task}.h5"
        write_groups(place, made.groups, suite="dmc", task=task, spec=SPEC, payload=made.payload)
        assert "whole" in verify(place)
        codes[f"codes__{task}"] = EpisodeFile(place)
    (name,) = block["video_models"]
    learn = nodes[f"dmc.train_video_model.{name}"]
    model = learn(config=block[name], scratch=None, **here, **codes)
    judge = nodes[f"dmc.evaluate_reward.{name}"]
    blocks = {"reward": block["reward"], "evaluation": block["reward_evaluation"]}
    return nodes, tokenizer, codes, model, judge(**blocks, video_model=model, **here, **videos, **codes)


def test_a_discrete_one_goes_through_every_node(toys, tmp_path):
    values = params("mosaic")
    assert validate(values).suites["dmc"].tokenizer.levels == 4
    nodes, tokenizer, codes, model, reward = run(values, tmp_path)
    train = nodes["dmc.train_tokenizer.all"]
    assert isinstance(train, partial) and train.keywords == {"suite": "dmc", "tokenizer_kind": "mosaic"}
    assert tokenizer.config["kind"] == "mosaic" and "gray" in tokenizer.files["curve.csv"].decode()
    task = values["suites"]["dmc"]["tasks"][0]
    assert codes[f"codes__{task}"].payload == "codes" and codes[f"codes__{task}"].group("train").shape == (2, 2)
    assert model.tensors["codebook"].shape == (4, 1)
    assert torch.isfinite(reward.tensors[f"{task}/held_out/nats"]).all()
    assert load_tokenizer(tokenizer).codebook.equal(tokenizer.tensors["gray"])


def test_a_continuous_one_is_refused_by_models_of_codes_and_goes_with_one_of_latents(toys, tmp_path):
    refused = r"suites\.dmc\.video_models: video model 'videogpt' predicts codes.*continuous.*tokenizer\.kind"
    with pytest.raises(BadParams, match=refused):
        validate(params("pooled"))
    with pytest.raises(BadParams, match="'videogpt' predicts codes"):
        run(params("pooled"), tmp_path)
    values = params("pooled", **INERTIA)
    validate(values)
    _, _, codes, model, reward = run(values, tmp_path)
    task = values["suites"]["dmc"]["tasks"][-1]
    group = codes[f"codes__{task}"].group("train")
    assert codes[f"codes__{task}"].payload == "latents" and group.dtype == np.float32 and group.shape == (2, 2, 3)
    assert model.tensors["codebook"].shape == (0, 3)
    assert torch.isfinite(reward.tensors[f"{task}/random/nats"]).all()


def test_mistakes_in_the_block_are_named_with_the_keys_of_its_kind(toys):
    wrong = {
        "there is no tokenizer 'mosaik' \\(did you mean 'mosaic'": {"kind": "mosaik"},
        "tokenizer.tilw: unknown key \\(did you mean 'tile'": {"kind": "mosaic", "tilw": 3},
        "tokenizer.channels: unknown key": {"kind": "mosaic", "channels": 3},
        "tokenizer.quantizer.siez: unknown key \\(did you mean 'size'": {"kind": "vqgan", "quantizer": {"siez": 1}},
        "tokenizer.kind: missing": {"training": LOOP},
    }
    for message, block in wrong.items():
        values = params("mosaic")
        values["suites"]["dmc"]["tokenizer"] = {"training": LOOP} | block
        with pytest.raises(BadParams, match=message):
            validate(values)


def test_a_folder_of_another_kind_is_refused(toys):
    artifact = Mosaic(Mosaic.Config.model_validate({"training": LOOP}), ("a",), 16).to_artifact()
    with pytest.raises(BadData, match=r"'mosaic', not a tokenizer of kind vqgan"):
        load_tokenizer(artifact, "vqgan")
    with pytest.raises(BadData, match="not a tokenizer of kind vqgan, mosaic, pooled"):
        load_tokenizer(ModelArtifact({"kind": "inertia"}))
    assert trainable_tokenizer("mosaic") is Mosaic
    assert trainable_tokenizer("vqgan") is not TOKENIZERS.get("vqgan")


def test_what_agents_load_does_not_import_what_only_training_needs():
    """The discriminator and the perceptual network are reached from the training alone."""
    import subprocess
    import sys

    code = (
        "import sys\nimport viper_pipeline.rewards.viper, viper_pipeline.tokenizers.vqgan\n"
        "print([m for m in sys.modules if m.startswith('viper_pipeline.tokenizers.')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert "vqgan'" in found and not any(word in found for word in ("discriminator", "perceptual", "training"))
