"""`viper import-checkpoint`: the authors' folders become models and rewards of ours, and score as theirs do."""

import argparse
import io
import lzma
import pickle
import tarfile

import msgpack
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.data.gadgets import PROTOCOLS, by_hand, calls
from tests.port import drawn
from tests.port.fixtures import FOLDER
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.importers.safe_pickle import SETTINGS, as_values, read_safely
from viper_pipeline.envs.base import blacken
from viper_pipeline.rewards.pretrained import load_reward
from viper_pipeline.rewards.released import Choices, import_checkpoint, rectangles
from viper_pipeline.rewards.released_weights import latest_checkpoint, read_flax
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import load_artifact
from viper_pipeline.video_models.videogpt import VideoGPT


@pytest.fixture
def released(tmp_path):
    """Two folders that the authors' own programs wrote, with flax."""
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress((FOLDER / "released.tar.xz").read_bytes()))) as tar:
        tar.extractall(tmp_path)
    return tmp_path


def packed(value):
    """As flax packs arrays and scalars."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        code = 1 if isinstance(value, np.ndarray) else 3
        return msgpack.ExtType(code, msgpack.packb((array.shape, array.dtype.name, array.tobytes("C"))))
    raise TypeError(type(value))


def write(folder, about, tree, **pickles):
    """A folder in the layout of the authors' programs."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoints" / "checkpoint_10").write_bytes(msgpack.packb(tree, default=packed, strict_types=True))
    (folder / "args").write_bytes(pickle.dumps(argparse.Namespace(**about)))
    for name, value in pickles.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("mode", ["joint", "conditional"])
def test_a_released_model_scores_as_the_authors_own_reward(released, mode):
    """From the first whole window on; before it their code has rules of its own, and drops what they give."""
    out = released / "reward"
    said = CliRunner().invoke(
        cli, ["import-checkpoint", "reward", str(released / "dmc_videogpt_l4_s2"), str(out), "--mode", mode],
        catch_exceptions=False,
    )  # fmt: skip
    assert "3 tasks, window 4, stride 2" in said.output
    reward, theirs = load_reward(out), np.load(FOLDER / "released_scores.npz")
    assert reward.tasks == ("ball_in_cup_catch", "walker_walk")  # the third has no mask, and is not to be scored
    frames = drawn.video("released", 20, 32)
    for ours, task in (("ball_in_cup_catch", "cup_catch"), ("walker_walk", "walker_walk")):
        assert reward.spec(ours).stride == 2 and reward.spec(ours).size == 32
        expected = theirs[f"{task} {mode}"]
        found = reward.score(frames, ours)[-len(expected) :]
        print(f"{task} {mode}: {np.abs(found - expected).max():.1e} of {np.abs(expected).max():.0f} nats")
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert (np.abs(reward.score(frames[:, ::-1], ours)[-len(expected) :] - expected) > 1).any()
    stream = reward.of("walker_walk").stream()
    stream.start(frames[None, 0])
    rewards = [stream.step(frame[None])[0] for frame in frames[1:]]
    np.testing.assert_allclose(rewards[-13:], theirs[f"walker_walk {mode}"], rtol=1e-6)


def test_models_alone_are_folders_of_this_project(released):
    import_checkpoint("vqgan", released / "dmc_vqgan", released / "tokenizer")
    import_checkpoint("videogpt", released / "dmc_videogpt_l4_s2", released / "model")
    tokenizer = load_tokenizer(load_artifact(released / "tokenizer"))
    model = VideoGPT.from_artifact(load_artifact(released / "model"))
    assert torch.equal(tokenizer.codebook, model.codebook) and tokenizer.grid == model.grid == (8, 8)
    assert model.tasks == ("ball_in_cup_catch", "point_mass_easy", "walker_walk")
    # a class beyond those the model was made for has a code of noughts
    assert not model.norm.gain[2].any() and model.norm.gain[:2].any()


def test_a_file_of_flax_is_what_this_test_writes_by_hand(released, tmp_path):
    """Layout and bytes: written anew from the tree, with the encoding that the other tests use."""
    file = latest_checkpoint(released / "dmc_videogpt_l4_s2")
    tree = read_flax(file)
    write(tmp_path / "again", {}, tree)
    again = read_flax(latest_checkpoint(tmp_path / "again"))
    for (name, one), (other, two) in zip(drawn.flattened(tree).items(), drawn.flattened(again).items(), strict=True):
        assert name == other and np.array_equal(one, two), name
    assert int(tree["step"]) == 0 and set(tree) == {"step", "params", "opt_state", "ema_params"}


def test_an_unconditional_model_is_told_no_tasks(released, tmp_path):
    """As the Atari configuration: gains of one kind for every task, and the tasks are those with a mask."""
    kept = np.load(FOLDER / "videogpt_48_unconditioned.npz")
    flat = {k.removeprefix("P:params/"): kept[k] for k in kept.files if k.startswith("P:")}
    transformer = {"embed_dim": 48, "num_heads": 4, "mlp_dim": 96, "num_layers": 3, "dropout": 0.0}
    about = {"seq_len": 4, "class_cond": False, "n_classes": None, "transformer": transformer, "ae_ckpt": "x/vqgan"}
    write(tmp_path / "atari_l4", about, {"step": 3, "params": drawn.nested(flat), "ema_params": None})
    settings, tree = codes_of(released / "dmc_vqgan", 32, 16)
    mask = np.ones((16, 16, 1), bool)
    write(tmp_path / "vqgan", settings, tree, mask_map={"pong": mask, "boxing": mask})
    import_checkpoint("reward", tmp_path / "atari_l4", tmp_path / "out")
    assert load_reward(tmp_path / "out").tasks == ("boxing", "pong")
    model = VideoGPT.from_artifact(load_artifact(tmp_path / "out" / "video_model"))
    assert model.grid == (4, 4) and torch.equal(model.norm.gain[0], model.norm.gain[1])


def codes_of(folder, codes, dim):
    """The tokenizer in `folder`, its codebook replaced by one of another size."""
    about, tree = as_values(read_safely(folder / "args", SETTINGS)), read_flax(latest_checkpoint(folder))
    about = about | {"image_size": 16, "ae": about["ae"] | {"n_embed": codes, "embed_dim": dim}}
    found = tree["vqgan_params"]
    found["quantize"]["embeddings"] = drawn.weight("x/embeddings", (codes, dim))
    found["quant_conv"] = {"kernel": np.zeros((1, 1, 8, dim), np.float32), "bias": np.zeros(dim, np.float32)}
    found["post_quant_conv"]["kernel"] = np.zeros((1, 1, dim, 8), np.float32)
    return about, tree


def test_a_mask_of_pixels_becomes_rectangles_that_hide_just_these():
    rng = np.random.default_rng(0)
    for share in (0.0, 0.1, 0.5, 1.0):
        hidden = rng.random((24, 24)) < share
        frames = rng.integers(1, 256, (2, 24, 24, 3), dtype=np.uint8)
        found = rectangles(hidden)
        assert np.array_equal(blacken(frames, found), frames * ~hidden[..., None])
        assert sum((r.bottom - r.top) * (r.right - r.left) for r in found) == hidden.sum()
    band = np.zeros((24, 24), bool)
    band[:7] = True
    assert len(rectangles(band)) == 1


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_settings_and_arrays_come_out_of_pickles_as_they_went_in(tmp_path, protocol, order):
    arrays = [np.asarray(np.arange(24).reshape(2, 3, 4), kind, order=order) for kind in ("u1", "?", "f4", ">i8", "f2")]
    scalars = [np.int64(7), np.float32(0.5), np.bool_(True)]
    about = argparse.Namespace(lr=1e-4, sizes=(1, 2), ae={"ch": [1, 2], "none": None}, arrays=arrays, scalars=scalars)
    (tmp_path / "args").write_bytes(pickle.dumps(about, protocol))
    found = as_values(read_safely(tmp_path / "args", SETTINGS))
    assert found["lr"] == 1e-4 and found["ae"] == {"ch": [1, 2], "none": None} and found["sizes"] == (1, 2)
    for one, other in zip(arrays + scalars, found["arrays"] + found["scalars"], strict=True):
        assert np.array_equal(one, other) and np.asarray(one).dtype.newbyteorder("=") == np.asarray(other).dtype


@pytest.mark.parametrize("name", ["args", "class_map.pkl", "mask_map.pkl"])
def test_hostile_pickles_are_refused_and_not_run(released, tmp_path, name):
    """Every gadget of the demonstrations' test, in each of the three places where the authors have a pickle."""
    folder, canary = tmp_path / "case", tmp_path / "case" / "canary"
    folder.mkdir()
    gpt, tokenizer = released / "dmc_videogpt_l4_s2", released / "dmc_vqgan"
    place = (tokenizer if name == "mask_map.pkl" else gpt) / name
    tried = {f"{k}, {p}": pickle.dumps(call, p) for k, call in calls(canary).items() for p in PROTOCOLS}
    tried |= by_hand(canary)
    kept = {p.name for p in folder.iterdir()}
    for gadget, content in tried.items():
        place.write_bytes(content)
        with pytest.raises(BadData, match=f"{name}: refused, and nothing in it was run"):
            import_checkpoint("reward", gpt, tmp_path / "out")
        assert {p.name for p in folder.iterdir()} == kept, gadget
    assert not (tmp_path / "out").exists()


def swap(old, new):
    def change(root):
        path = root / old
        path.write_bytes(new) if isinstance(new, bytes) else path.rename(root / new)

    return change


def retree(folder, change):
    def run(root):
        file = latest_checkpoint(root / folder)
        tree = read_flax(file)
        change(tree)
        file.write_bytes(msgpack.packb(tree, default=packed, strict_types=True))

    return run


def resettle(folder, **changed):
    def run(root):
        about = as_values(read_safely(root / folder / "args", SETTINGS))
        (root / folder / "args").write_bytes(pickle.dumps(argparse.Namespace(**about | changed)))

    return run


def orbax(root):
    file = latest_checkpoint(root / "dmc_vqgan")
    file.unlink()
    file.mkdir()


GPT, VQ = "dmc_videogpt_l4_s2", "dmc_vqgan"
WRONG = {
    "no settings": (swap(f"{GPT}/args", f"{GPT}/old"), "args: missing"),
    "no classes": (swap(f"{GPT}/class_map.pkl", f"{GPT}/old"), "class_map.pkl: missing"),
    "no tokenizer": (swap(VQ, "elsewhere"), "dmc_vqgan/args: missing"),
    "no checkpoint": (swap(f"{GPT}/checkpoints", f"{GPT}/old"), "holds no file checkpoint_<step>"),
    "torch's file": (swap(f"{GPT}/checkpoints/checkpoint_7", b"PK\x03\x04" + bytes(99)), "no checkpoint of flax"),
    "cut short": (swap(f"{VQ}/checkpoints/checkpoint_30", b"\x82\xa4step"), "no checkpoint of flax"),
    "orbax": (orbax, "is a folder of orbax"),
    "the other model": (swap(f"{VQ}/args", pickle.dumps(argparse.Namespace(lr=1))), "of no VQ-GAN"),
    "not settings": (swap(f"{VQ}/args", pickle.dumps([1])), "not the settings of a training"),
    "not a mask": (swap(f"{VQ}/mask_map.pkl", pickle.dumps({"walker_walk": 3})), "holds no arrays by task"),
    "grey mask": (
        swap(f"{VQ}/mask_map.pkl", pickle.dumps({"walker_walk": np.full((32, 32, 3), 2)})), "must be 0 or 1"
    ),
    "mask of another size": (
        swap(f"{VQ}/mask_map.pkl", pickle.dumps({"walker_walk": np.ones((64, 64, 3))})), r"not \(32, 32, 3\)"
    ),
    "masks of other tasks": (
        swap(f"{VQ}/mask_map.pkl", pickle.dumps({"pong": np.ones((32, 32, 3))})), "no task has both a class and a mask"
    ),
    "other tasks": (swap(f"{GPT}/class_map.pkl", pickle.dumps({"pong": 0})), "say with --suite"),
    "an array less": (retree(VQ, lambda t: t["vqgan_params"].pop("quant_conv")), "quant_conv/kernel is missing"),
    "an array more": (retree(GPT, lambda t: t["ema_params"].update(more=np.zeros(3))), "1 arrays have no place"),
    "no weights": (retree(VQ, lambda t: t.pop("vqgan_params")), "holds no vqgan_params"),
    "another width": (
        resettle(GPT, transformer={"embed_dim": 48, "mlp_dim": 64, "num_heads": 4, "num_layers": 2}),
        "model/Dense_0/kernel has shape",
    ),
    "no transformer": (resettle(GPT, transformer={}), "these settings are of no such model"),
    "attention elsewhere": (
        resettle(VQ, ae={"ch_mult": [1, 1, 1], "attn_resolutions": [16]}), "ae.attn_resolutions is"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_refused_by_name_and_nothing_is_written(released, case):
    change, message = WRONG[case]
    change(released)
    with pytest.raises(BadData, match=message) as refused:
        import_checkpoint("reward", released / GPT, released / "out")
    assert str(released) in str(refused.value)
    assert not (released / "out").exists()


def test_what_else_is_refused(released, tmp_path):
    with pytest.raises(BadData, match="exists already"):
        import_checkpoint("vqgan", released / VQ, released)
    with pytest.raises(BadData, match="no such folder"):
        import_checkpoint("vqgan", released / "nowhere", tmp_path / "out")
    (released / GPT).rename(released / "mine")
    with pytest.raises(BadData, match="no suite is called 'mine'; say --suite"):
        import_checkpoint("reward", released / "mine", tmp_path / "out")
    import_checkpoint("reward", released / "mine", tmp_path / "out", Choices(suite="dmc", action_repeat=1))
    assert load_reward(tmp_path / "out").spec("walker_walk").action_repeat == 1


EXTENSIONS = {
    "complex": (msgpack.ExtType(2, msgpack.packb((1.0, 2.0))), "a value of type 2"),
    "objects": (msgpack.ExtType(1, msgpack.packb(((1,), "object", b"12345678"))), "'object'"),
    "too few numbers": (msgpack.ExtType(1, msgpack.packb(((9,), "float32", bytes(4)))), "1 numbers where shape"),
    "half a number": (msgpack.ExtType(1, msgpack.packb(((1,), "float32", bytes(3)))), "no checkpoint of flax"),
    "a negative size": (msgpack.ExtType(1, msgpack.packb(((-1,), "float32", bytes(4)))), "shape"),
}


@pytest.mark.parametrize("case", EXTENSIONS)
def test_arrays_that_flax_would_not_write_are_refused(tmp_path, case):
    value, message = EXTENSIONS[case]
    (tmp_path / "x").write_bytes(msgpack.packb({"a": value}))
    with pytest.raises(BadData, match=message):
        read_flax(tmp_path / "x")


@pytest.mark.parametrize(
    ("folder", "name", "value"),
    [
        ("dmc_videogpt_l4_s2", "n_classes", None),
        ("dmc_videogpt_l4_s2", "frame_skip", "2"),
        ("dmc_vqgan", "image_size", 0),
    ],
)
def test_a_setting_that_is_no_whole_number_is_named(released, folder, name, value):
    file = released / folder / "args"
    about = as_values(read_safely(file, SETTINGS, "settings")) | {name: value}
    file.write_bytes(pickle.dumps(argparse.Namespace(**about)))
    with pytest.raises(BadData, match=rf"args: {name} is {value!r}, not a whole number"):
        import_checkpoint("reward", released / "dmc_videogpt_l4_s2", released / "reward")
    assert not (released / "reward").exists()
