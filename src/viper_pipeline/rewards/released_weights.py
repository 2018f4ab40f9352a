"""The authors' checkpoints as our models: flax parameters in, the same VQ-GAN and VideoGPT of PyTorch out.

Checkpoints are read without flax, as msgpack with NumPy arrays in it. Only data can stand in such a file; what is not
an array of plain numbers is refused all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import torch
from torch import Tensor, nn

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.tokenizers.autoencoder import Attention, Down, Residual, Up
from viper_pipeline.tokenizers.vqgan import VQGAN, VQGANArchitecture
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig

ARRAY, SCALAR = 1, 3
"""Codes of flax's own msgpack types; 2 is a complex number, which no model of ours has."""
TYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool")


def read_flax(path: Path) -> Json:
    """The tree that `flax.serialization.msgpack_serialize` wrote to a file. Raises BadData naming the file."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({error.strerror})") from error
    try:
        tree = msgpack.unpackb(content, ext_hook=_extension, raw=False, strict_map_key=True)
    except Exception as error:  # a damaged file fails in every way there is
        raise BadData(f"{path}: no checkpoint of flax ({error or type(error).__name__})") from error
    if not isinstance(tree, dict):
        raise BadData(f"{path}: no checkpoint of flax (it holds a {type(tree).__name__}, not a tree)")
    return tree


def latest_checkpoint(folder: Path) -> Path:
    """`checkpoints/checkpoint_<step>` of the most steps in a model's folder. Raises BadData if there is none."""
    root = Path(folder) / "checkpoints"
    steps = {
        int(number): path
        for path in (root.iterdir() if root.is_dir() else ())
        if (number := path.name.removeprefix("checkpoint_")) != path.name and number.isdecimal()
    }
    if not steps:
        raise BadData(f"{root}: holds no file checkpoint_<step>; give a folder that the authors' training wrote")
    path = steps[max(steps)]
    if path.is_dir():
        raise BadData(
            f"{path}: is a folder of orbax, and only flax's older single files are read; write it again after "
            "flax.config.update('flax_use_orbax_checkpointing', False)"
        )
    return path


def _extension(code: int, content: bytes) -> Any:
    if code not in (ARRAY, SCALAR):
        raise ValueError(f"it holds a value of type {code}, which no model needs")
    shape, name, numbers = msgpack.unpackb(content, raw=False)
    if name not in TYPES:
        raise ValueError(f"it holds numbers of type {name!r}; known: {', '.join(TYPES)}")
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"it holds an array of shape {shape}")
    array = np.frombuffer(numbers, np.dtype(name).newbyteorder("<"))
    if array.size != math.prod(shape):
        raise ValueError(f"it holds {array.size} numbers where shape {shape} asks for {math.prod(shape)}")
    return array.reshape(shape) if code == ARRAY else array.reshape(())[()]


class Parameters:
    """Arrays of a flax model by path, each to be taken once with the shape that is expected."""

    def __init__(self, tree: JsonView, where: str) -> None:
        """where: the file and what of it this is, for messages."""
        self.where = where
        self._left = dict(_flat(tree))

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, *shape: int) -> Tensor:
        """The array `name` as float32. Raises BadData if it is missing or has another shape."""
        if name not in self._left:
            raise BadData(f"{self.where}: {name} is missing; is this a model of the kind that was asked for?")
        value = np.asarray(self._left.pop(name))
        if value.shape != shape:
            raise BadData(f"{self.where}: {name} has shape {value.shape}, and the file `args` asks for {shape}")
        return torch.from_numpy(value.astype(np.float32))

    def finish(self) -> None:
        """Raises BadData if anything was not taken: the model would not be the one in the file."""
        if self._left:
            some = ", ".join(sorted(self._left)[:3])
            raise BadData(f"{self.where}: {len(self._left)} arrays have no place in this model, such as {some}")


def _flat(tree: JsonView, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def vqgan_config(about: JsonView) -> VQGANArchitecture:
    """Our settings for a block `ae` of the authors' configuration. Raises BadData for what ours cannot be."""
    multipliers = tuple(about["ch_mult"])
    factor = 2 ** (len(multipliers) - 1)
    wanted = {"attn_resolutions": [], "double_z": False, "patch_size": [factor, factor], "channels": None}
    for name, only in wanted.items():
        found = about.get(name, only)
        found = list(found) if isinstance(found, tuple) else found
        if found != only and not (name == "channels" and found == 3):
            raise BadData(f"args: ae.{name} is {found}, and this VQ-GAN has {only}")
    return VQGANArchitecture.model_validate(
        {
            "architecture": "paper",
            "channels": about["ch"],
            "multipliers": multipliers,
            "blocks": about["num_res_blocks"],
            "latent": about["z_channels"],
            "quantizer": {"size": about["n_embed"], "dim": about["embed_dim"], "kind": "learned"},
        }
    )


def vqgan(config: VQGANArchitecture, found: Parameters, tasks: Sequence[str], size: int) -> VQGAN:
    """The tokenizer with the authors' weights, in evaluation mode. Raises BadData where they do not fit."""
    model = VQGAN(config, tasks, size)
    *encoder, to_code = model.encoder
    from_code, *decoder = model.decoder
    _Filler(found, "encoder").fill(encoder)
    _Filler(found, "decoder").fill(decoder)
    _Filler(found, "").convolution(to_code, "quant_conv")
    _Filler(found, "").convolution(from_code, "post_quant_conv")
    codebook = found.take("quantize/embeddings", *model.codebook.shape)
    with torch.no_grad():
        model.quantizer.codebook.copy_(codebook)
        model.quantizer.sums.copy_(codebook)
    found.finish()
    return model.eval().requires_grad_(False)


class _Filler:
    """Fills layers in the order in which flax named theirs: Conv_0, ResnetBlock_0, Downsample_0, ResnetBlock_1, ..."""

    def __init__(self, found: Parameters, root: str) -> None:
        self.found, self.root = found, f"{root}/" if root else ""
        self.counts: dict[str, int] = {}

    def fill(self, layers: Sequence[nn.Module]) -> None:
        for layer in layers:
            if isinstance(layer, Residual):
                self.residual(layer, self._next("ResnetBlock"))
            elif isinstance(layer, Attention):
                self.attention(layer, self._next("AttnBlock"))
            elif isinstance(layer, Down | Up):
                self.convolution(layer.conv, self._next(f"{type(layer).__name__}sample") + "/Conv_0")
            elif isinstance(layer, nn.GroupNorm):
                self.norm(layer, self._next("GroupNorm"))
            elif isinstance(layer, nn.Conv2d):
                self.convolution(layer, self._next("Conv"))

    def residual(self, block: Residual, name: str) -> None:
        norm1, _, conv1, norm2, _, conv2 = block.body
        for i, (norm, conv) in enumerate(((norm1, conv1), (norm2, conv2))):
            self.norm(norm, f"{name}/GroupNorm_{i}")
            self.convolution(conv, f"{name}/Conv_{i}")
        if isinstance(block.shortcut, nn.Conv2d):
            self.convolution(block.shortcut, f"{name}/Conv_2")

    def attention(self, block: Attention, name: str) -> None:
        """Queries, keys and values are three convolutions there and one here."""
        self.norm(block.norm, f"{name}/GroupNorm_0")
        width = block.out.weight.shape[0]
        parts = [
            (
                self._take(f"{name}/Conv_{i}/kernel", 1, 1, width, width).permute(3, 2, 0, 1),
                self._take(f"{name}/Conv_{i}/bias", width),
            )
            for i in range(3)
        ]
        _copy(block.qkv.weight, torch.cat([kernel for kernel, _ in parts]))
        _copy(block.qkv.bias, torch.cat([bias for _, bias in parts]))
        self.convolution(block.out, f"{name}/Conv_3")

    def convolution(self, layer: nn.Module, name: str) -> None:
        """flax: (height, width, inputs, outputs)."""
        assert isinstance(layer, nn.Conv2d)
        outputs, inputs, height, width = layer.weight.shape
        _copy(layer.weight, self._take(f"{name}/kernel", height, width, inputs, outputs).permute(3, 2, 0, 1))
        _copy(layer.bias, self._take(f"{name}/bias", outputs))

    def norm(self, layer: nn.Module, name: str) -> None:
        assert isinstance(layer, nn.GroupNorm)
        _copy(layer.weight, self._take(f"{name}/scale", layer.num_channels))
        _copy(layer.bias, self._take(f"{name}/bias", layer.num_channels))

    def _next(self, kind: str) -> str:
        number = self.counts.get(kind, 0)
        self.counts[kind] = number + 1
        return f"{kind}_{number}"

    def _take(self, name: str, *shape: int) -> Tensor:
        return self.found.take(self.root + name, *shape)


def _copy(target: Tensor | None, value: Tensor) -> None:
    assert target is not None
    with torch.no_grad():
        target.copy_(value)


def videogpt_config(about: JsonView, training: JsonView) -> VideoGPTConfig:
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
