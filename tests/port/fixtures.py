"""What the originals gave, and our models with the originals' weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tests.port import drawn
from viper_pipeline.rewards.released_weights import Parameters, videogpt, videogpt_config, vqgan, vqgan_config
from viper_pipeline.tokenizers.vqgan import VQGAN
from viper_pipeline.video_models.videogpt import VideoGPT

FOLDER = Path(__file__).parents[1] / "fixtures" / "port"
TRAINING = {"steps": 1, "batch_size": 1, "learning_rate": 1e-4}


class Scored(NamedTuple):
    """A video model of ours, what it is to score, and what the original said."""

    model: VideoGPT
    codes: Tensor
    task: Tensor
    nats: np.ndarray
    per_code: np.ndarray


def stored_videogpt(name: str) -> Scored:
    """A fixture that holds weights."""
    kept = np.load(FOLDER / f"{name}.npz")
    D, heads, mlp, layers, T, h, w, _, _, classes, conditioned = (int(n) for n in kept["meta"])
    flat = {k.removeprefix("P:params/"): kept[k] for k in kept.files if k.startswith("P:")}
    about = {"seq_len": T, "transformer": {"embed_dim": D, "num_heads": heads, "mlp_dim": mlp, "num_layers": layers}}
    rows = {f"t{i}": i if conditioned else None for i in range(classes)}
    model = videogpt(
        videogpt_config(about, TRAINING), Parameters(drawn.nested(flat), name), torch.from_numpy(kept["codebook"]),
        (h, w), rows, classes if conditioned else 0,
    )  # fmt: skip
    return Scored(model, torch.from_numpy(kept["codes"]), torch.from_numpy(kept["label"]), kept["ll"], kept["llc"])


def drawn_videogpt(name: str) -> Scored:
    """A fixture whose weights are drawn anew."""
    kept, s, flat = drawn_weights(name)
    about = {
        "seq_len": s["T"],
        "transformer": {
            "embed_dim": s["D"], "num_heads": s["heads"], "mlp_dim": s["mlp"], "num_layers": s["layers"]
        },
    }  # fmt: skip
    codebook = torch.from_numpy(drawn.weight(f"{name}/embeddings", (s["K"], s["E"])))
    rows = {f"t{i}": i for i in range(s["n"])}
    grid = (s["grid"], s["grid"])
    model = videogpt(
        videogpt_config(about, TRAINING), Parameters(drawn.nested(flat), name), codebook, grid, rows, s["n"]
    )
    codes = torch.from_numpy(drawn.whole(f"{name} codes", (2, s["T"], *grid), 0, s["K"] - 1))
    return Scored(model, codes, torch.from_numpy(kept["label"]), kept["nats"], kept["per_code"])


def drawn_vqgan(name: str) -> tuple[VQGAN, np.ndarray, np.lib.npyio.NpzFile]:
    """The tokenizer, its frames, and what the original made of them."""
    kept, s, flat = drawn_weights(name)
    about = {k: s[k] for k in ("ch", "ch_mult", "num_res_blocks", "n_embed")} | {"z_channels": 64, "embed_dim": 64}
    model = vqgan(vqgan_config(about), Parameters(drawn.nested(flat), name), (), 64)
    return model, drawn.video(name, s["frames"], 64), kept


def drawn_weights(name: str) -> tuple[np.lib.npyio.NpzFile, dict, dict[str, np.ndarray]]:
    """A fixture, its sizes, and its weights by flax path."""
    kept = np.load(FOLDER / f"{name}.npz")
    about = json.loads(str(kept["about"]))
    return kept, about["sizes"], drawn.weights(about["shapes"])
