"""The authors' VideoGPT as ours: flax parameters in, the same transformer of PyTorch out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from viper_pipeline.training.flax_files import Parameters
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig


def videogpt_config(about: Mapping[str, Any], training: Mapping[str, Any]) -> VideoGPTConfig:
    """Our settings for the authors' configuration of a VideoGPT."""
    sizes = about["transformer"]
    return VideoGPTConfig.model_validate(
        {
            "window": about["seq_len"],
            "width": sizes["embed_dim"],
            "feedforward": sizes["mlp_dim"],
            "heads": sizes["num_heads"],
            "layers": sizes["num_layers"],
            "dropout": sizes.get("dropout", 0.0),
            "training": training,
        }
    )


def videogpt(
    config: VideoGPTConfig,
    found: Parameters,
    codebook: Tensor,
    grid: tuple[int, int],
    classes: Mapping[str, int | None],
    known: int = 0,
) -> VideoGPT:
    """The video model with the authors' weights, in evaluation mode. Raises BadData where they do not fit.

    codebook (K, E), grid (h, w): of the tokenizer. classes: task -> its class, in the order of our task ids; None
    where the model knows no classes. known: classes that the model was made for. The code of a class beyond them is
    all noughts there, so that its gains are 1 and its biases 0; here too.
    """
    model = VideoGPT(config, codebook, grid, tuple(classes)).eval()
    D, heads, F = config.width, config.heads, config.feedforward
    K, E = codebook.shape
    rows = list(classes.values())
    tensors = {"codebook": model.codebook}

    def linear(ours: str, theirs: str, inputs: int, outputs: int) -> None:
        tensors[f"{ours}.weight"] = found.take(f"{theirs}/kernel", inputs, outputs).T
        tensors[f"{ours}.bias"] = found.take(f"{theirs}/bias", outputs)

    def norm(ours: str, theirs: str) -> None:
        if known:
            for name, dense in (("gain", "Dense_0"), ("bias", "Dense_1")):
                table = found.take(f"{theirs}/{dense}/kernel", known, D)
                table = torch.cat([table, torch.zeros(1, D)])
                tensors[f"{ours}.{name}"] = table[[known if row is None or row >= known else row for row in rows]]
            return
        tensors[f"{ours}.gain"] = (found.take(f"{theirs}/scale", D) - 1).expand(len(rows), -1)
        tensors[f"{ours}.bias"] = found.take(f"{theirs}/bias", D).expand(len(rows), -1)

    linear("embed", "model/Dense_0", E, D)
    tensors["start"] = found.take("model/RightShift_0/sos", D)
    for axis, table in enumerate(model.positions):
        tensors[f"positions.{axis}"] = found.take(f"model/BroadcastPositionBiases_0/d_{axis}", *table.shape)
    for i in range(config.layers):
        ours, theirs = f"blocks.{i}", f"model/TransformerLayer_{i}"
        norm(f"{ours}.norm1", f"{theirs}/LayerNorm_0")
        norm(f"{ours}.norm2", f"{theirs}/LayerNorm_1")
        # theirs: queries, keys and values of a head beside each other; ours: all queries, all keys, all values
        attention, size = f"{theirs}/MultiHeadAttention_0", D // heads
        kernel = found.take(f"{attention}/DenseGeneral_0/kernel", D, heads, 3 * size).view(D, heads, 3, size)
        bias = found.take(f"{attention}/DenseGeneral_0/bias", heads, 3 * size).view(heads, 3, size)
        tensors[f"{ours}.qkv.weight"] = kernel.permute(2, 1, 3, 0).reshape(3 * D, D)
        tensors[f"{ours}.qkv.bias"] = bias.transpose(0, 1).reshape(3 * D)
        tensors[f"{ours}.out.weight"] = found.take(f"{attention}/DenseGeneral_1/kernel", heads, size, D).view(D, D).T
        tensors[f"{ours}.out.bias"] = found.take(f"{attention}/DenseGeneral_1/bias", D)
        linear(f"{ours}.up", f"{theirs}/Dense_0", D, F)
        linear(f"{ours}.down", f"{theirs}/Dense_1", F, D)
    norm("norm", "model/LayerNorm_0")
    linear("head", "model/Dense_1", D, K)
    found.finish()
    model.load_state_dict(tensors)
    return model.requires_grad_(False)
