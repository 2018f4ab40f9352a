"""`init: reference`: new weights are spread as the original's new ones are, layer by layer."""

import json

import numpy as np
import pytest
import torch

from tests.port.fixtures import FOLDER, TRAINING
from viper_pipeline.rewards.released_weights import videogpt, vqgan
from viper_pipeline.tokenizers.losses import Discriminator, DiscriminatorConfig
from viper_pipeline.tokenizers.vqgan_training import VQGANConfig, VQGANTraining
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig
from viper_pipeline.video_models.videogpt_streaming import StreamingVideoGPT, StreamingVideoGPTConfig

CODEBOOK, GRID, TASKS = torch.zeros(512, 64), (8, 8), [f"t{i}" for i in range(16)]
GPT = {"window": 8, "width": 256, "feedforward": 512, "heads": 8, "layers": 2, "training": TRAINING}
VQ = {"channels": 32, "multipliers": (1, 2, 2), "quantizer": {"size": 256}, "training": TRAINING}
"""Sizes of the fixture's models."""


class Numbered:
    """In the place of a checkpoint: hands out arrays full of a number, and remembers whose number it is."""

    def __init__(self):
        self.names = []

    def take(self, name, *shape):
        self.names.append(name)
        return torch.full(shape, float(len(self.names)))

    def finish(self):
        """Nothing is left over."""

    def of(self, value):
        """The originals' names of what stands in one of our tensors."""
        return [self.names[int(n) - 1] for n in value.unique()]


def beginnings(kind):
    kept = json.loads((FOLDER / "beginnings.json").read_text())
    return {k.removeprefix(f"{kind}/"): v for k, v in kept.items() if k.startswith(f"{kind}/")}


def alike(value, theirs, name):
    """Deviations within five standard errors of each other, and cut at two deviations where theirs are."""
    deviation, greatest, count = theirs
    error = deviation * 5 * np.sqrt(1 / value.numel() + 1 / count)
    assert float(value.std(correction=0)) == pytest.approx(deviation, abs=error + 1e-9), name
    if greatest < 2.4 * deviation:
        assert float(value.abs().max()) < 2.4 * deviation, name


def compare(parameters, filled, numbered, kind):
    """Every parameter beside the originals that `filled`, the same network, says it is made of."""
    found, seen = beginnings(kind), set()
    for name, value in parameters.items():
        for theirs in numbered.of(filled[name]):
            alike(value.detach(), found[theirs], name)
            seen.add(theirs)
    assert seen == set(found)


def test_video_model_begins_as_the_originals():
    torch.manual_seed(0)
    config, numbered = VideoGPTConfig(**GPT, init="reference"), Numbered()
    filled = videogpt(config, numbered, CODEBOOK, GRID, {t: i for i, t in enumerate(TASKS)}, len(TASKS)).state_dict()
    compare(dict(VideoGPT(config, CODEBOOK, GRID, TASKS).named_parameters()), filled, numbered, "videogpt")


def test_tokenizer_begins_as_the_originals():
    torch.manual_seed(0)
    config, numbered = VQGANConfig(**VQ, init="reference"), Numbered()
    filled = vqgan(config, numbered, (), 64).state_dict()
    model = VQGANTraining(config, (), 64)
    seen = {name: value for name, value in model.named_parameters() if not name.startswith("discriminator.")}
    compare(seen, filled, numbered, "vqgan")
    assert float(model.discriminator.blocks[0].first.weight.detach().std()) == pytest.approx(0.01, rel=0.05)


def test_discriminator_begins_as_the_originals():
    torch.manual_seed(0)
    model, found = Discriminator(DiscriminatorConfig(), 64), beginnings("discriminator")
    model.initialize_as_reference()
    pairs = {"Conv_0": model.stem, "Conv_1": model.last, "Dense_0": model.head[0], "Dense_1": model.head[2]}
    for i, block in enumerate(model.blocks):
        pairs |= {
            f"DiscriminatorBlock_{i}/{name}": layer
            for name, layer in zip(
                ("conv_in", "downsample1/conv", "downsample2/conv"),
                (block.first, block.second, block.shortcut),
                strict=True,
            )
        }
    for name, layer in pairs.items():
        alike(layer.weight.detach(), found[f"{name}/kernel"], name)
        assert layer.bias is None or not layer.bias.any()
        assert found[f"{name}/bias"][1] == 0
    assert len(found) == 2 * len(pairs)


def test_the_option_is_off_by_default_and_holds_for_the_streaming_model_too():
    streaming = StreamingVideoGPTConfig(**GPT | {"context": 3})
    for kind, config in ((VideoGPT, VideoGPTConfig(**GPT)), (StreamingVideoGPT, streaming)):
        model = kind(config, CODEBOOK, GRID, TASKS)
        assert config.init == "torch" and not model.norm.gain.any() and not model.head.weight.any()
        again = kind(config.model_copy(update={"init": "reference"}), CODEBOOK, GRID, TASKS)
        for name, value in again.named_parameters():
            assert value.any() == (not name.endswith("bias") or "norm" in name), name


def test_light_tokenizers_have_no_reference():
    with pytest.raises(ValueError, match="architecture light has none"):
        VQGANConfig(**VQ, architecture="light", init="reference")
