"""Makes tests/fixtures/port anew from the authors' own code: python -m tests.port.make_fixtures VIPER_RL.

VIPER_RL is a checkout of github.com/Alescontrela/viper_rl (MIT; b1c847c was used), run as it is with jax 0.10.2 and
flax 0.12.8, but for one mutable default in stylegan_disc.py (resample_kernel, made a default_factory: newer Pythons
ask for it). This program runs by hand, in an environment of its own with jax, flax, optax and NumPy; the tests need
none of these. Of what they import and the models do not need, empty modules stand in.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import lzma
import pickle
import sys
import tarfile
import tempfile
import types
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from tests.port import drawn

OUT = Path(__file__).parents[1] / "fixtures" / "port"
VIDEOGPTS = {
    # Table 2, DMC; and Atari's and RLBench's width with fewer codes
    "videogpt_256": {"T": 16, "grid": 8, "D": 256, "mlp": 1024, "heads": 8, "layers": 8, "K": 1024, "E": 64, "n": 16},
    "videogpt_512": {"T": 4, "grid": 4, "D": 512, "mlp": 2048, "heads": 8, "layers": 8, "K": 1024, "E": 64, "n": 8},
}
VQGANS = {
    # Table 1, DMC; and RLBench's depth at a quarter of the width
    "vqgan_dmc": {"ch": 128, "ch_mult": [1, 1, 2, 2], "num_res_blocks": 1, "n_embed": 1024, "frames": 1},
    "vqgan_rlbench": {"ch": 32, "ch_mult": [1, 2, 2], "num_res_blocks": 2, "n_embed": 256, "frames": 2},
}


def main(checkout: str) -> None:
    """Write every file."""
    for name in ("lpips_jax", "moviepy", "moviepy.editor", "ffmpeg", "tqdm", "PIL"):
        sys.modules.setdefault(name, mock.MagicMock())
    # the models alone: the package's own __init__ imports the agents
    for name in ("viper_rl", "viper_rl.videogpt"):
        package = types.ModuleType(name)
        package.__path__ = [str(Path(checkout, *name.split(".")))]
        package.CHECKPOINT_PATH = checkout
        sys.modules[name] = package
    OUT.mkdir(exist_ok=True)
    for name, sizes in VIDEOGPTS.items():
        videogpt(name, sizes)
    for name, sizes in VQGANS.items():
        vqgan(name, sizes)
    discriminator("discriminator")
    beginnings("beginnings")
    released("released")


def shapes_of(module, *arguments, **keywords) -> dict[str, tuple[int, ...]]:
    """Shapes of a flax module's parameters by path, without computing them."""
    tree = jax.eval_shape(lambda: module.init(jax.random.PRNGKey(0), *arguments, **keywords))["params"]
    return {name: tuple(leaf.shape) for name, leaf in drawn.flattened(tree).items()}


def save(name: str, sizes: dict, shapes: dict, **arrays) -> None:
    """sizes and shapes as JSON, beside what came out."""
    about = json.dumps({"sizes": sizes, "shapes": shapes})
    np.savez_compressed(OUT / f"{name}.npz", about=about, **{k: np.asarray(v) for k, v in arrays.items()})
    print(name, {k: np.asarray(v).ravel()[:4] for k, v in arrays.items()})


def settings(**chosen) -> types.SimpleNamespace:
    """A configuration as their programs hand it about."""
    return types.SimpleNamespace(**chosen)


def videogpt(name: str, s: dict) -> None:
    """Log-likelihoods of two videos of random codes."""
    VideoGPT = importlib.import_module("viper_rl.videogpt.models.videogpt").VideoGPT
    ae = settings(latent_shape=lambda size: (s["grid"], s["grid"]), n_embed=s["K"])
    transformer = {"embed_dim": s["D"], "mlp_dim": s["mlp"], "num_heads": s["heads"], "num_layers": s["layers"]}
    transformer |= {"dropout": 0.0, "attention_dropout": 0.0}
    model = VideoGPT(
        settings(seq_len=s["T"], image_size=64, class_cond=True, n_classes=s["n"], transformer=transformer), ae
    )
    codes = drawn.whole(f"{name} codes", (2, s["T"], s["grid"], s["grid"]), 0, s["K"] - 1)
    codebook, label = drawn.weight(f"{name}/embeddings", (s["K"], s["E"])), np.array([1, s["n"] - 1])
    shapes = shapes_of(model, jnp.asarray(codebook[codes]), label=label)
    params = drawn.nested(drawn.weights(shapes))

    def nats(**how):
        found = [
            model.apply({"params": params}, codebook[codes[i : i + 1]], codes[i : i + 1], label=label[i : i + 1],
                        method=model.log_prob, **how)
            for i in range(2)
        ]  # fmt: skip
        return np.concatenate(found)

    save(name, s, shapes, label=label, nats=nats(), per_code=nats(reduce_sum=False))


def vqgan(name: str, s: dict) -> None:
    """What the encoder says, codes, reconstruction, losses."""
    VQGAN = importlib.import_module("viper_rl.videogpt.models.vqgan").VQGAN
    model = VQGAN(**autoencoder(s))
    frames = drawn.video(name, s["frames"], 64)
    x = jnp.asarray(frames, jnp.float32) / 127.5 - 1
    shapes = shapes_of(model, x)
    params = {"params": drawn.nested(drawn.weights(shapes))}
    h = model.apply(params, x, method=lambda m, x: m.quant_conv(m.encoder(x, deterministic=True)))
    out = model.apply(params, x)
    codes = model.apply(params, x, method=model.encode)["encodings"]
    error = jnp.abs(x - out["recon"]).mean()
    save(name, s, shapes, hidden=h, codes=np.asarray(codes).astype(np.int16), reconstruction=out["recon"],
         vq_loss=out["vq_loss"], perplexity=out["perplexity"], l1=error)  # fmt: skip


def autoencoder(s: dict, latent: int = 64) -> dict:
    """Their block `ae`."""
    fixed = {"attn_resolutions": [], "z_channels": latent, "double_z": False, "dropout": 0.0, "embed_dim": latent}
    sizes = {k: s[k] for k in ("ch", "ch_mult", "num_res_blocks", "n_embed")}
    return sizes | fixed | {"patch_size": [2 ** (len(s["ch_mult"]) - 1)] * 2}


def discriminator(name: str) -> None:
    """Logits, both losses and the penalty of a group of four frames."""
    module = importlib.import_module("viper_rl.videogpt.models.stylegan_disc")
    model = module.StyleGANDisc(32, 512, 4, 1, 1e8)
    real, fake = (jnp.asarray(drawn.video(f"{name} {kind}", 4, 64), jnp.float32) / 127.5 - 1 for kind in ("r", "f"))
    shapes = shapes_of(model, real)
    flat = drawn.weights(shapes)
    # ours has no bias where the shortcut is, so theirs is nought
    flat = {k: np.zeros_like(v) if k.endswith("downsample2/conv/bias") else v for k, v in flat.items()}
    params = drawn.nested(flat)
    losses, _ = model.loss_D(params, {}, real, fake)
    save(name, {"frames": 4}, shapes, logits=model.apply({"params": params}, real)[:, 0],
         generator=model.loss_G(params, {}, fake)["g_loss"], discriminator=losses["d_loss"],
         penalty=losses["d_grad_penalty"])  # fmt: skip


def beginnings(name: str) -> None:
    """Deviation and greatest size of every new weight of each network, by flax path."""
    VideoGPT = importlib.import_module("viper_rl.videogpt.models.videogpt").VideoGPT
    VQGAN = importlib.import_module("viper_rl.videogpt.models.vqgan").VQGAN
    StyleGANDisc = importlib.import_module("viper_rl.videogpt.models.stylegan_disc").StyleGANDisc
    transformer = {"embed_dim": 256, "mlp_dim": 512, "num_heads": 8, "num_layers": 2}
    transformer |= {"dropout": 0.0, "attention_dropout": 0.0}
    config = settings(seq_len=8, image_size=64, class_cond=True, n_classes=16, transformer=transformer)
    gpt = VideoGPT(config, settings(latent_shape=lambda size: (8, 8), n_embed=512))
    tokenizer = VQGAN(**autoencoder({"ch": 32, "ch_mult": [1, 2, 2], "num_res_blocks": 1, "n_embed": 256}))
    picture, key = jnp.zeros((4, 64, 64, 3)), jax.random.PRNGKey(0)
    found = {}
    for kind, tree in {
        "videogpt": gpt.init(key, jnp.zeros((1, 8, 8, 8, 64)), label=np.array([0])),
        "vqgan": tokenizer.init(key, picture),
        "discriminator": StyleGANDisc(32, 512, 4, 1, 1e8).init(key, picture),
    }.items():
        for path, value in drawn.flattened(tree["params"]).items():
            found[f"{kind}/{path}"] = [float(jnp.std(value)), float(jnp.abs(value).max()), value.size]
    (OUT / f"{name}.json").write_text(json.dumps(found, indent=0) + "\n")


def released(name: str) -> None:
    """A release in small: folders as their training programs write them, and what their reward makes of a video."""
    import flax

    flax.config.update("flax_use_orbax_checkpointing", False)
    from flax.training import checkpoints

    utils = importlib.import_module("viper_rl.videogpt.train_utils")
    models = importlib.import_module("viper_rl.videogpt.models")
    reward = importlib.import_module("viper_rl.videogpt.reward_models.videogpt_reward_model")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tokenizer, gpt = root / "dmc_vqgan", root / "dmc_videogpt_l4_s2"
        ae = autoencoder({"ch": 32, "ch_mult": [1, 1, 1], "num_res_blocks": 1, "n_embed": 64}, latent=8)
        common = {"lr": 1e-4, "warmup_steps": 10, "image_size": 32, "seed": 1234, "batch_size": 4}
        mask = np.ones((32, 32, 3), np.uint8)
        mask[:5] = 0
        mask[20:24, 3:9] = 0
        write(tokenizer, argparse.Namespace(output_dir="x", model="vqgan", ae=ae, run_id="x", **common))
        (tokenizer / "mask_map.pkl").write_bytes(pickle.dumps({t: mask for t in ("cup_catch", "walker_walk")}))
        vqgan = models.VQGAN(**ae)
        shapes = shapes_of(vqgan, jnp.zeros((1, 32, 32, 3)))
        tx, _ = utils.get_optimizer(settings(**common))
        state = utils.TrainStateVQ.create(
            vqgan_params=drawn.nested(drawn.weights(shapes)),
            disc_params={"Dense_0": {"bias": np.zeros(3, np.float32)}},
            disc_model_state={},
            lpips_variables={},
            tx=tx,
        )
        checkpoints.save_checkpoint(str(tokenizer / "checkpoints"), state, 30, keep=1, overwrite=True)

        transformer = {"embed_dim": 32, "num_heads": 4, "num_layers": 2, "mlp_dim": 64}
        config = argparse.Namespace(
            output_dir="x", model="videogpt", ae_ckpt="viper_rl_data/checkpoints/dmc_vqgan", run_id="x", ema=0.9999,
            seq_len=4, frame_skip=2, class_cond=True, n_classes=2, open_loop_ctx=1,
            transformer=transformer | {"dropout": 0.1, "attention_dropout": 0.1}, **common,
        )  # fmt: skip
        write(gpt, config)
        # three names for two classes: the third is one that their one-hot code cannot say
        (gpt / "class_map.pkl").write_bytes(pickle.dumps({"cup_catch": 0, "pointmass_easy": 1, "walker_walk": 2}))
        model = models.VideoGPT(config, models.AE(str(tokenizer), mode="jit"))
        shapes = shapes_of(model, jnp.zeros((1, 4, 8, 8, 8)), label=np.array([0]))
        params = drawn.nested(drawn.weights(shapes))
        state = utils.TrainStateEMA.create(
            apply_fn=model.apply, params=jax.tree_util.tree_map(jnp.zeros_like, params), ema_params=params, tx=tx
        )
        checkpoints.save_checkpoint(str(gpt / "checkpoints"), state, 7, keep=1, overwrite=True)

        frames = drawn.video(name, 20, 32)
        scores = {}
        for task in ("cup_catch", "walker_walk"):
            for joint in (True, False):
                judge = reward.VideoGPTRewardModel(f"dmc_{task}", str(tokenizer), str(gpt), compute_joint=joint)
                steps = [{"image": frame, "is_first": i == 0} for i, frame in enumerate(frames)]
                found = [float(step["density"]) for step in judge(steps)]
                scores[f"{task} {'joint' if joint else 'conditional'}"] = np.array(found, np.float32)
        print({k: v[:4] for k, v in scores.items()})
        np.savez_compressed(OUT / f"{name}_scores.npz", **scores)
        with tarfile.open(fileobj=(packed := io.BytesIO()), mode="w") as tar:
            for path in sorted(p for p in root.rglob("*") if p.is_file()):
                entry = tarfile.TarInfo(path.relative_to(root).as_posix())
                entry.size = path.stat().st_size
                tar.addfile(entry, io.BytesIO(path.read_bytes()))
        (OUT / f"{name}.tar.xz").write_bytes(lzma.compress(packed.getvalue(), preset=9))


def write(folder: Path, config: argparse.Namespace) -> None:
    """The file `args` of a new folder."""
    folder.mkdir(parents=True)
    (folder / "args").write_bytes(pickle.dumps(config))


if __name__ == "__main__":
    main(sys.argv[1])
