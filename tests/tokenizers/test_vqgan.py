"""The VQ-GAN: it learns, its parts learn, and a frame's codes are its own."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.tokenizers import TOKENIZERS, load_tokenizer
from viper_pipeline.tokenizers.vqgan import VQGAN
from viper_pipeline.tokenizers.vqgan_training import VQGANConfig, VQGANTraining
from viper_pipeline.training.artifacts import ModelArtifact, load_artifact, save_artifact
from viper_pipeline.training.loop import train

TRAINING = {"steps": 60, "batch_size": 8, "learning_rate": 3e-3, "log_every": 10}
LIGHT = {
    "architecture": "light",
    "channels": 8,
    "multipliers": (1, 2),
    "quantizer": {"size": 16, "dim": 8, "kind": "ema", "restart_below": 0.05},
    "discriminator": {"weight": 0},
    "training": TRAINING,
}
TINY = {
    "channels": 8,
    "multipliers": (1, 2),
    "latent": 8,
    "quantizer": {"size": 16, "dim": 8},
    "discriminator": {"weight": 0.1, "width": 4, "max_width": 8, "r1_gamma": 0.1},
    "training": TRAINING,
}


def squares(count=8, size=16, seed=0):
    """Frames with one coloured square each, somewhere."""
    rng = np.random.default_rng(seed)
    frames = np.full((count, size, size, 3), 40, np.uint8)
    for frame in frames:
        y, x = rng.integers(0, size - 6, 2)
        frame[y : y + 6, x : x + 6] = rng.integers(120, 255, 3)
    return frames


def build(settings=LIGHT, size=16, **more):
    torch.manual_seed(0)
    config = VQGANConfig.model_validate(settings | more)
    backgrounds = torch.full((2, size, size, 3), 40, dtype=torch.uint8)
    return VQGANTraining(config, ("a", "b"), size, backgrounds)


def batch(count=8, size=16, seed=0):
    return torch.as_tensor(squares(count, size, seed)), torch.arange(count) % 2


def learn(model, updates, data=None, rate=3e-3):
    """The values of every metric at each update."""
    data = data or batch()
    optimizers = {part: torch.optim.Adam(p, rate) for part, p in model.parts.items()}
    rows = []
    for _ in range(updates):
        row = {}
        for part, optimizer in optimizers.items():
            loss, metrics = model.loss(data, part)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            row |= {name: float(value) for name, value in metrics.items()}
        rows.append(row)
    return rows


@pytest.mark.parametrize("settings", [LIGHT, TINY], ids=["light", "paper"])
def test_a_small_batch_is_learnt_by_heart(settings):
    rows = learn(build(settings | {"discriminator": {"weight": 0}}), 60, rate=5e-3)
    assert rows[-1]["reconstruction"] < 0.35 * rows[0]["reconstruction"]


def test_encode_and_decode_keep_shapes_types_and_range():
    for settings in (LIGHT, TINY):
        model = build(settings).eval()
        codes = model.encode(squares(5))
        assert codes.dtype == torch.int64 and codes.shape == (5, *model.grid)
        assert int(codes.min()) >= 0 and int(codes.max()) < len(model.codebook)
        again = model.decode(codes.short())
        assert again.dtype == torch.uint8 and again.shape == (5, 16, 16, 3)
        assert model.encode(squares(5)[:0]).shape == (0, *model.grid)


@pytest.mark.parametrize("settings", [LIGHT, TINY], ids=["light", "paper"])
def test_the_codes_of_a_frame_do_not_depend_on_its_batch(settings):
    model = build(settings)
    learn(model, 10)
    model.eval()
    frames = torch.cat([batch(60)[0], torch.randint(0, 256, (40, 16, 16, 3), dtype=torch.uint8)])
    together = model.encode(frames)
    alone = torch.cat([model.encode(frames[i : i + 1]) for i in range(len(frames))])
    pieces = torch.cat([model.encode(piece) for piece in frames.split(7)])
    order = torch.randperm(len(frames))
    assert torch.equal(together, alone) and torch.equal(together, pieces)
    assert torch.equal(model.encode(frames[order]), together[order])


def test_a_nearly_tied_frame_is_decided_alone():
    """A codebook of almost equal vectors: in a batch, as alone, every frame gets what it gets alone."""
    model = build().eval()
    frames = batch(20)[0]
    alone = {}
    with torch.no_grad():
        model.quantizer.codebook.copy_(model.quantizer.codebook[:1] + 1e-7 * torch.randn(16, 8))
    for i in range(20):
        alone[i] = model.encode(frames[i : i + 1])
    assert model.quantizer.nearest(model.encoder(torch.zeros(1, 3, 16, 16)))[1].all()
    assert torch.equal(model.encode(frames), torch.cat(list(alone.values())))


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_each_part_gets_its_gradients_and_no_other(part):
    model = build(TINY)
    model.loss(batch(), part)[0].backward()
    for name, parameters in model.parts.items():
        touched = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in parameters]
        if name == part:
            assert sum(touched) > 0.8 * len(touched)
        else:
            assert not any(touched)
    assert all(p.requires_grad for parameters in model.parts.values() for p in parameters)


def test_parts_are_everything_that_can_learn_once_generator_first():
    model = build(TINY)
    assert list(model.parts) == ["generator", "discriminator"]
    listed = [id(p) for parameters in model.parts.values() for p in parameters]
    assert sorted(listed) == sorted(id(p) for p in model.parameters())
    assert list(build(LIGHT).parts) == ["generator"]


def test_the_discriminator_learns_to_tell_and_the_generator_feels_it():
    model = build(TINY)
    data = batch()
    before = float(model.loss(data, "discriminator")[0].detach())
    optimizer = torch.optim.Adam(model.parts["discriminator"], 3e-3)
    for _ in range(40):
        loss, metrics = model.loss(data, "discriminator")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.8 * before
    assert metrics["logits_real"] > metrics["logits_fake"] and metrics["r1"] > 0
    with_it = gradient(model, data)
    without = gradient_without(model, data, "discriminator")
    assert not torch.allclose(with_it, without, rtol=0.01)


def gradient(model, data):
    model.zero_grad()
    model.loss(data, "generator")[0].backward()
    return torch.cat([p.grad.flatten() for p in model.decoder.parameters()])


def gradient_without(model, data, name):
    kept = getattr(model, name)
    setattr(model, name, None)
    try:
        return gradient(model, data)
    finally:
        setattr(model, name, kept)


class Features(torch.nn.Module):
    """In the place of a VGG: mean squares of random convolutions."""

    def __init__(self, path, inputs):
        super().__init__()
        self.register_buffer("kernel", torch.randn(6, 3, 3, 3))

    def forward(self, x, y):
        return torch.nn.functional.conv2d(x - y, self.kernel).square().mean((1, 2, 3))


def test_the_perceptual_distance_is_weighted_felt_and_falls(monkeypatch, tmp_path):
    monkeypatch.setattr("viper_pipeline.tokenizers.vqgan_training.VGG", Features)
    terms = {"kind": "vgg", "weights": tmp_path / "vgg.h5", "weight": 0.1}
    model = build(LIGHT | {"perceptual": terms}, foreground_weight=0)
    metrics = model.loss(batch(), "generator")[1]
    total = metrics["reconstruction"] + metrics["codebook"] + 0.1 * metrics["perceptual"]
    assert torch.allclose(metrics["loss"], total)
    model.eval()  # no codebook updates between the two gradients
    assert not torch.allclose(gradient(model, batch()), gradient_without(model, batch(), "perceptual"), rtol=0.01)
    rows = learn(model.train(), 40)
    assert rows[-1]["perceptual"] < 0.5 * rows[0]["perceptual"]


def test_wrong_perceptual_weights_are_refused(tmp_path):
    (tmp_path / "vgg.h5").write_text("nothing")
    with pytest.raises(BadData, match=r"neither safetensors nor HDF5"):
        build(LIGHT | {"perceptual": {"kind": "vgg", "weights": tmp_path / "vgg.h5"}})


def test_the_reused_reconstruction_is_the_one_it_would_make():
    model = build(TINY).eval()
    data = batch()
    model.loss(data, "generator")
    reused = model.loss(data, "discriminator")[1]
    made = model.loss(data, "discriminator")[1]
    assert torch.allclose(reused["discriminator"], made["discriminator"], atol=1e-6)
    model.loss(data, "generator")
    other = model.loss(batch(seed=5), "discriminator")[1]
    assert not torch.allclose(other["logits_fake"], reused["logits_fake"], atol=1e-9)


def test_r1_comes_as_often_as_asked_and_as_much_heavier():
    model = build(TINY | {"discriminator": TINY["discriminator"] | {"r1_every": 3, "r1_gamma": 1e6}}).train()
    data = batch()
    seen = [model.loss(data, "discriminator") for _ in range(6)]
    assert ["r1" in metrics for _, metrics in seen] == [True, False, False] * 2
    assert torch.allclose(seen[0][0] - seen[1][0], 1e6 * seen[0][1]["r1"], rtol=1e-3)


def test_foreground_pixels_weigh_more():
    plain, heavy = build(foreground_weight=0.0), build(foreground_weight=20.0)
    data = batch()
    zeros = {name: torch.zeros_like(value) for name, value in plain.decoder.state_dict().items()}
    for model in (plain, heavy):
        model.decoder.load_state_dict(zeros)  # grey everywhere
    error = (data[0].float() / 127.5 - 1).abs().mean(3)
    mask = (data[0] != 40).any(3)
    weight = 1 + 20.0 * mask
    got = heavy.loss(data, "generator")[1]
    assert torch.allclose(plain.loss(data, "generator")[1]["reconstruction"], error.mean())
    assert torch.allclose(got["reconstruction"], (weight * error).sum() / weight.sum())
    assert torch.allclose(got["foreground_l1"], 127.5 * error[mask].mean(), rtol=1e-4)


def test_each_frame_counts_alike_however_much_of_it_moves():
    each, shared = (build(foreground_weight=20.0, foreground_mean=mean).eval() for mean in ("frame", "batch"))
    frames, tasks = batch()
    frames[:4, 2:] = 40  # half of them hardly differ from the background

    def error(model, rows):
        return model.loss((frames[rows], tasks[rows]), "generator")[1]["reconstruction"]

    everything = slice(None)
    alone = torch.stack([error(each, [i]) for i in range(len(frames))])
    assert torch.allclose(error(each, everything), alone.mean(), rtol=1e-4)
    assert not torch.allclose(error(shared, everything), alone.mean(), rtol=1e-4)


def test_foreground_weight_needs_backgrounds_of_the_right_shape():
    config = VQGANConfig.model_validate(LIGHT | {"foreground_weight": 5.0})
    with pytest.raises(BadParams, match="background"):
        VQGANTraining(config, ("a",), 16)
    with pytest.raises(BadData, match="backgrounds"):
        VQGANTraining(config, ("a", "b"), 16, torch.zeros(1, 16, 16, 3, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("multipliers", "blocks", "grid"),
    [((1, 1, 2, 2), 1, (8, 8)), ((1, 2, 2), 1, (16, 16)), ((1, 2, 2), 2, (16, 16))],
    ids=["dmc", "atari", "rlbench"],
)
def test_table_1(multipliers, blocks, grid):
    with torch.device("meta"):
        model = VQGANTraining(
            VQGANConfig.model_validate({"multipliers": multipliers, "blocks": blocks, "training": TRAINING})
        )
    assert model.grid == grid
    assert model.codebook.shape == (1024, 64)
    encoder, decoder = (sum(p.numel() for p in m.parameters()) for m in (model.encoder, model.decoder))
    assert encoder < decoder  # one block a level more
    z = model.encoder(torch.zeros(1, 3, 64, 64, device="meta"))
    assert z.shape == (1, 64, *grid)
    assert model.decoder(z).shape == (1, 3, 64, 64)


def test_parameter_counts_follow_the_table():
    def count(**settings):
        with torch.device("meta"):
            model = VQGAN(VQGANConfig.model_validate({"training": TRAINING} | settings))
        return sum(p.numel() for p in model.parameters())

    dmc = count()
    assert count(multipliers=(1, 2, 2), blocks=2) > count(multipliers=(1, 2, 2), blocks=1)
    assert dmc > count(channels=64) > count(channels=32)
    assert dmc - count(quantizer={"size": 256}) == (1024 - 256) * 64
    assert count(architecture="light", channels=16, multipliers=(1, 2, 4)) < dmc / 50


def test_default_settings_are_the_papers_for_dmc():
    config = VQGANConfig.model_validate({"training": TRAINING})
    assert (config.channels, config.multipliers, config.blocks) == (128, (1, 1, 2, 2), 1)
    assert (config.quantizer.size, config.quantizer.dim, config.quantizer.kind) == (1024, 64, "learned")
    assert (config.quantizer.commitment, config.perceptual.weight, config.discriminator.weight) == (
        0.25,
        0.1,
        0.1,
    )
    assert config.quantizer.restart_below == 0 and config.foreground_weight == 0


def test_a_folder_gives_back_the_same_tokenizer_bit_for_bit(tmp_path):
    for settings in (LIGHT, TINY):
        model = build(settings)
        learn(model, 3)
        model.eval()
        save_artifact(tmp_path / "tokenizer", model.to_artifact())
        again = load_tokenizer(load_artifact(tmp_path / "tokenizer"))
        assert isinstance(again, TOKENIZERS.get("vqgan")) and again.grid == model.grid and again.tasks == model.tasks
        state = again.state_dict()
        assert state and all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())
        assert not any(name.startswith("discriminator") for name in state)
        codes = model.encode(squares(5))
        assert torch.equal(codes, again.encode(squares(5)))
        assert torch.equal(model.decode(codes), again.decode(codes))


def test_wrong_folders_are_refused():
    good = build().to_artifact()
    less = {name: value for name, value in good.tensors.items() if name != "quantiser.codebook"}
    for artifact, words in [
        (ModelArtifact({"kind": "videogpt"}, good.tensors), "videogpt"),
        (ModelArtifact({}, {}), "None"),
        (ModelArtifact(good.config, less), "quantizer.codebook"),
        (ModelArtifact(good.config | {"model": {"channels": "many"}}, good.tensors), "channels"),
        (ModelArtifact({"kind": "vqgan"}, good.tensors), "model"),
    ]:
        with pytest.raises(BadData, match=words):
            load_tokenizer(artifact)
    with pytest.raises(BadData, match="videogpt"):
        VQGANTraining.from_artifact(ModelArtifact({"kind": "videogpt"}, good.tensors))
    more = good.config | {"held_out": {"psnr": 30.0}}
    assert load_tokenizer(ModelArtifact(more, good.tensors)).grid == (4, 4)


def test_wrong_frames_and_sizes_are_refused():
    with pytest.raises(BadData, match="uint8"):
        build().encode(torch.zeros(2, 16, 16, 3))
    with pytest.raises(BadData, match="16, 16, 3"):
        build().encode(torch.zeros(2, 8, 8, 3, dtype=torch.uint8))
    with pytest.raises(BadParams, match="18 pixels"):
        build(size=18)
    with pytest.raises(BadParams, match="12"):
        build(TINY, size=12)
    with pytest.raises(ValidationError, match="ema"):
        VQGANConfig.model_validate(LIGHT | {"training": TRAINING | {"ema": 0.99}})


@pytest.mark.parametrize("settings", [LIGHT, TINY], ids=["light", "paper"])
def test_killed_and_resumed_in_the_training_loop_equals_never_killed(settings, tmp_path):
    steps = {"steps": 9, "checkpoint_every": 4, "log_every": 2}
    config = settings | {"training": TRAINING | steps, "foreground_weight": 3.0}

    def batches(step):
        return squares(8, seed=step), np.arange(8) % 2

    def killed(step):
        if step == 7:
            raise KeyboardInterrupt
        return batches(step)

    whole = build(config)
    train(whole, batches, whole.config.training, seed=3)
    half = build(config)
    with pytest.raises(KeyboardInterrupt):
        train(half, killed, half.config.training, seed=3, scratch=tmp_path)
    resumed = build(config)
    train(resumed, batches, resumed.config.training, seed=3, scratch=tmp_path)
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
