"""Equal to the original: VideoGPT, VQ-GAN and discriminator give what the authors' code gives with the same weights.

Differences are those of float32 sums in another order. The bounds are about three times what was measured
(docs/verified.md).
"""

import numpy as np
import pytest
import torch

from tests.port import drawn
from tests.port.fixtures import drawn_videogpt, drawn_vqgan, drawn_weights, stored_videogpt
from viper_pipeline.tokenizers.base import to_float
from viper_pipeline.tokenizers.losses import (
    Discriminator,
    DiscriminatorConfig,
    discriminator_loss,
    generator_loss,
    r1,
)
from viper_pipeline.video_models.videogpt import VideoGPT

VIDEOGPTS = {
    "videogpt_48": stored_videogpt,
    "videogpt_64": stored_videogpt,
    "videogpt_48_unconditioned": stored_videogpt,
    "videogpt_256": drawn_videogpt,
    "videogpt_512": drawn_videogpt,
}


def gap(ours, theirs):
    """The largest absolute difference, and the largest number."""
    ours = ours.detach().numpy() if isinstance(ours, torch.Tensor) else np.asarray(ours)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max()), float(np.abs(theirs).max())


@pytest.mark.parametrize("name", VIDEOGPTS)
@torch.no_grad()
def test_log_likelihoods_of_frames_and_codes_are_the_originals(name):
    model, codes, task, nats, per_code = VIDEOGPTS[name](name)
    found = torch.cat([model.log_prob(codes[i : i + 1], task[i : i + 1], per_code=True) for i in range(len(codes))])
    frames, codes_gap = gap(found.sum((2, 3)), nats), gap(found, per_code)
    print(f"{name}: frames {frames[0]:.1e} of {frames[1]:.0f} nats, codes {codes_gap[0]:.1e} of {codes_gap[1]:.1f}")
    assert frames[0] < 1e-6 * frames[1]
    assert codes_gap[0] < 3e-6 * codes_gap[1]
    last, size = gap(model.log_prob_last(codes[:1], task[:1]), nats[:1, -1])
    assert last < 1e-6 * size


def test_position_tables_are_split_as_the_reference_splits_them():
    model = drawn_videogpt("videogpt_512").model
    assert [table.shape[1] for table in model.positions] == [171, 171, 170]


def test_models_saved_with_the_earlier_split_still_load():
    model = drawn_videogpt("videogpt_512").model
    saved = model.to_artifact()
    t, y, x = (saved.tensors[f"positions.{i}"] for i in range(3))
    wide = torch.cat([t, t[:, :1]], 1), y[:, 1:], x
    saved.tensors.update({f"positions.{i}": table for i, table in enumerate(wide)})
    again = VideoGPT.from_artifact(saved)
    assert [table.shape[1] for table in again.positions] == [172, 170, 170]
    assert torch.equal(again.positions[0], wide[0])


@pytest.mark.parametrize("name", ["vqgan_dmc", "vqgan_rlbench"])
@torch.no_grad()
def test_vqgan_encodes_quantizes_and_decodes_as_the_original(name):
    model, frames, kept = drawn_vqgan(name)
    x = to_float(torch.from_numpy(frames))
    hidden = model.encoder(x)
    through, codes, loss, metrics = model.quantizer(hidden)
    again = model.decoder(through)
    near = [gap(found.permute(0, 2, 3, 1), kept[key]) for found, key in ((hidden, "hidden"), (again, "reconstruction"))]
    found = {"vq_loss": loss, "perplexity": metrics["perplexity"], "l1": (x - again).abs().mean()}
    print(f"{name}: encoder {near[0][0]:.1e} of {near[0][1]:.1f}, reconstruction {near[1][0]:.1e} of {near[1][1]:.1f}")
    for key, value in ((k, v.detach()) for k, v in found.items()):
        print(f"  {key} {float(value):.7g}, theirs {float(kept[key]):.7g}")
        assert float(value) == pytest.approx(float(kept[key]), rel=2e-6)
    assert np.array_equal(codes.numpy(), kept["codes"])
    assert np.array_equal(model.encode(frames).numpy(), kept["codes"])
    for difference, size in near:
        assert difference < 5e-6 * size


def test_discriminator_its_losses_and_its_penalty_are_the_originals():
    kept, s, flat = drawn_weights("discriminator")
    model = Discriminator(DiscriminatorConfig(), 64)
    weights = {name: torch.from_numpy(value) for name, value in flat.items()}

    def put(layer, name):
        layer.weight.data.copy_(weights[f"{name}/kernel"].permute(3, 2, 0, 1))
        if layer.bias is not None:  # the shortcut has none; the fixture's is nought
            layer.bias.data.copy_(weights[f"{name}/bias"])

    put(model.stem, "Conv_0")
    put(model.last, "Conv_1")
    for i, block in enumerate(model.blocks):
        names = ("conv_in", "downsample1/conv", "downsample2/conv")
        for layer, name in zip((block.first, block.second, block.shortcut), names, strict=True):
            put(layer, f"DiscriminatorBlock_{i}/{name}")
    # theirs flattens (h, w, c), ours (c, h, w)
    kernel = weights["Dense_0/kernel"].view(2, 2, 512, 512).permute(3, 2, 0, 1).reshape(512, -1)
    model.head[0].weight.data.copy_(kernel)
    model.head[0].bias.data.copy_(weights["Dense_0/bias"])
    model.head[2].weight.data.copy_(weights["Dense_1/kernel"].T)
    model.head[2].bias.data.copy_(weights["Dense_1/bias"])

    real, fake = (to_float(torch.from_numpy(drawn.video(f"discriminator {kind}", s["frames"], 64))) for kind in "rf")
    real.requires_grad_()
    logits, judged = model(real), model(fake)
    gamma = 1e8 / (s["frames"] ** 2 * 64 * 64 * 3)  # see DiscriminatorConfig.r1_gamma
    found = {
        "generator": generator_loss(judged),
        "discriminator": discriminator_loss(logits, judged),
        "penalty": gamma * r1(logits, real),
    }
    print("logits", gap(logits, kept["logits"]))
    assert gap(logits, kept["logits"])[0] < 1e-6
    for key, value in ((k, v.detach()) for k, v in found.items()):
        print(f"  {key} {float(value):.7g}, theirs {float(kept[key]):.7g}")
        assert float(value) == pytest.approx(float(kept[key]), rel=2e-5)
