"""The authors' VQ-GAN as ours: flax parameters in, the same network of PyTorch out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from viper_pipeline.core.errors import BadData
from viper_pipeline.tokenizers.autoencoder import Attention, Down, Residual, Up
from viper_pipeline.tokenizers.vqgan import VQGAN, VQGANArchitecture
from viper_pipeline.training.flax_files import Parameters


def vqgan_config(about: Mapping[str, Any]) -> VQGANArchitecture:
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
