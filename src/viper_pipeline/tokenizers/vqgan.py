"""VQ-GAN: frames <-> grids of codes (paper 4.1, Table 1). What encodes and decodes; `vqgan_training` has the losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.tokenizers.autoencoder import light_decoder, light_encoder, paper_decoder, paper_encoder
from viper_pipeline.tokenizers.base import to_float, to_uint8
from viper_pipeline.tokenizers.quantizer import Quantizer, QuantizerConfig
from viper_pipeline.training.artifacts import ModelArtifact

CHUNK = 64
"""Frames per forward pass outside of training: small enough for a CPU's cache."""
SAVED_QUANTIZER = "quantiser."
"""How the quantizer's weights are called in weights.safetensors, kept so that existing files can be read."""


class VQGANArchitecture(Config):
    """Sizes of encoder, codebook and decoder; defaults are the paper's for DMC (Table 1)."""

    architecture: Literal["paper", "light"] = Field(
        "paper", description="light: for a CPU; only strided convolutions, no attention, nothing at full resolution"
    )
    channels: int = Field(128, gt=0, description="base width")
    multipliers: tuple[int, ...] = Field(
        (1, 1, 2, 2),
        min_length=1,
        description="width of each level over the base: 1 1 2 2 DMC, 1 2 2 Atari and RLBench (Table 1). "
        "Frames of S pixels have S / 2^(levels - 1) codes per side; `light` halves at the last level too",
    )
    blocks: int = Field(
        1, ge=0, description="residual blocks per level: 1, RLBench 2 (Table 1); `light`: at the codes only"
    )
    latent: int = Field(64, gt=0, description="channels before the projection to the codebook (z_channels)")
    quantizer: QuantizerConfig = QuantizerConfig()

    @property
    def factor(self) -> int:
        """Pixels per code, in height and in width."""
        return 2 ** (len(self.multipliers) - (self.architecture == "paper"))

    def grid(self, size: int) -> tuple[int, int]:
        """(h, w): codes per frame of `size` x `size` pixels."""
        return size // self.factor, size // self.factor


class VQGAN(nn.Module):
    """Encoder, codebook and decoder."""

    continuous: ClassVar[bool] = False

    def __init__(self, config: VQGANArchitecture, tasks: Sequence[str] = (), size: int = 64) -> None:
        """tasks: names, by task id; size: height and width of frames. Raises BadParams where sizes do not fit."""
        super().__init__()
        self.config, self.tasks, self.size = config, tuple(tasks), size
        if size % config.factor:
            raise BadParams(f"tokenizer: frames of {size} pixels do not divide into codes of {config.factor} pixels")
        sizes = (config.channels, config.multipliers, config.blocks)
        if config.architecture == "paper":
            self.encoder = paper_encoder(*sizes, config.latent, config.quantizer.dim)
            self.decoder = paper_decoder(*sizes, config.latent, config.quantizer.dim)
        else:
            self.encoder = light_encoder(*sizes, config.quantizer.dim)
            self.decoder = light_decoder(*sizes, config.quantizer.dim)
        self.quantizer = Quantizer(config.quantizer)

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w): codes per frame."""
        return self.config.grid(self.size)

    @property
    def codebook(self) -> Tensor:
        """(K, D), without gradient."""
        return self.quantizer.codebook.detach()

    @torch.no_grad()
    def encode(self, frames: Tensor | np.ndarray) -> Tensor:
        """uint8 (N, H, W, 3) -> int64 (N, h, w), on the model's device.

        A frame's codes do not depend on the other frames in the batch, although the last bits of a convolution do: a
        frame with a code so nearly tied that rounding could decide it is encoded again, alone.
        Raises BadData for frames of another type or size.
        """
        frames = self._checked_frames(frames)
        if not len(frames):
            return torch.zeros((0, *self.grid), dtype=torch.int64, device=self.codebook.device)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return torch.cat([self._encode(chunk) for chunk in frames.split(CHUNK)])

    def _encode(self, frames: Tensor) -> Tensor:
        x = to_float(frames)
        codes, doubtful = self.quantizer.nearest(self.encoder(x))
        if len(frames) > 1:
            for i in doubtful.nonzero().flatten().tolist():
                codes[i] = self.quantizer.nearest(self.encoder(x[i : i + 1]))[0][0]
        return codes

    def _checked_frames(self, frames: Tensor | np.ndarray) -> Tensor:
        frames = torch.as_tensor(frames)
        if frames.dtype != torch.uint8 or tuple(frames.shape[1:]) != (self.size, self.size, 3):
            raise BadData(
                f"frames are {frames.dtype} {tuple(frames.shape)}; "
                f"this tokenizer takes uint8 (N, {self.size}, {self.size}, 3)"
            )
        return frames.to(self.codebook.device)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Integers (N, h, w) -> uint8 (N, H, W, 3), on the model's device."""
        codes = torch.as_tensor(codes).to(self.codebook.device)
        return torch.cat([to_uint8(self.decoder(self.quantizer.lookup(part))) for part in codes.split(CHUNK)])

    def to_artifact(self) -> ModelArtifact:
        """What encoding and decoding need."""
        config = {
            "kind": "vqgan",
            "model": self.config.model_dump(mode="json"),
            "tasks": list(self.tasks),
            "size": self.size,
            "grid": list(self.grid),
        }
        kept = ("encoder.", "decoder.", "quantizer.")
        tensors = {name: value.detach() for name, value in self.state_dict().items() if name.startswith(kept)}
        return ModelArtifact(config, {name.replace("quantizer.", SAVED_QUANTIZER, 1): v for name, v in tensors.items()})

    @staticmethod
    def from_artifact(artifact: ModelArtifact) -> VQGAN:
        """The tokenizer in evaluation mode. Raises BadData if the folder holds something else."""
        try:
            c = artifact.config
            if c["kind"] != "vqgan":
                raise ValueError(f"kind is '{c['kind']}'")
            sizes = {name: value for name, value in c["model"].items() if name in VQGANArchitecture.model_fields}
            model = VQGAN(VQGANArchitecture.model_validate(sizes), c["tasks"], c["size"])
            model.load_state_dict(
                {
                    name.replace(SAVED_QUANTIZER, "quantizer.", 1): value
                    for name, value in artifact.tensors.items()
                    if not name.startswith("foreground.")  # for the training alone
                }
            )
        except (KeyError, ValueError, RuntimeError, BadParams) as error:
            raise BadData(f"this folder holds no VQ-GAN: {error}") from error
        return model.eval().requires_grad_(False)
