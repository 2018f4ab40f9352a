"""VQ-GAN: frames <-> grids of codes; L1, perceptual and adversarial losses (paper 4.1, Table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.tokenizers.autoencoder import light_decoder, light_encoder, paper_decoder, paper_encoder
from viper_pipeline.tokenizers.base import to_float, to_uint8
from viper_pipeline.tokenizers.discriminator import (
    Discriminator,
    DiscriminatorConfig,
    discriminator_loss,
    generator_loss,
    r1,
)
from viper_pipeline.tokenizers.perceptual import VGG, PerceptualConfig
from viper_pipeline.tokenizers.quantizer import Quantiser, QuantiserConfig
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.config import LoopConfig

THRESHOLD = 20
"""Grey levels (0-255, in any channel) by which a foreground pixel differs from the background."""


def median_background(frames: np.ndarray | Tensor, most: int = 2000) -> np.ndarray:
    """frames uint8 (N, H, W, C) of one task -> uint8 (H, W, C), the median of `most` of them, evenly spaced.

    Frames of varied behaviour give a better background: what an expert never moves is background too.
    """
    frames = np.asarray(frames)
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int))]
    middle = np.partition(chosen, (len(chosen) - 1) // 2, axis=0)[(len(chosen) - 1) // 2]
    return np.ascontiguousarray(middle)


def median_backgrounds(frames_by_task: Sequence[np.ndarray | Tensor]) -> Tensor:
    """Frames of each task, in the order of task ids -> uint8 (tasks, H, W, C)."""
    return torch.as_tensor(np.stack([median_background(frames) for frames in frames_by_task]))


class Foreground(nn.Module):
    """Knows every task's background."""

    backgrounds: Tensor

    def __init__(self, backgrounds: Tensor) -> None:
        """backgrounds: uint8 (tasks, H, W, C)."""
        super().__init__()
        self.register_buffer("backgrounds", backgrounds.clone())

    def mask(self, frames: Tensor, task: Tensor) -> Tensor:
        """uint8 (B, H, W, C), task ids (B,) -> bool (B, 1, H, W)."""
        difference = (frames.short() - self.backgrounds[task.long()].short()).abs()
        return (difference.amax(3) > THRESHOLD)[:, None]


class VQGANConfig(Config):
    """Sizes (defaults: the paper's for DMC, Table 1), losses and training of the tokenizer."""

    architecture: Literal["paper", "light"] = Field(
        "paper", description="light: for a CPU; all strided, no attention, nothing at full resolution"
    )
    channels: int = Field(128, gt=0, description="base width")
    multipliers: tuple[int, ...] = Field(
        (1, 1, 2, 2),
        min_length=1,
        description="width of each level over the base: 1 1 2 2 DMC, 1 2 2 Atari and RLBench (Table 1). "
        "Frames of S pixels have S / 2^(levels - 1) codes a side; `light` halves at the last level too",
    )
    blocks: int = Field(
        1, ge=0, description="residual blocks a level: 1, RLBench 2 (Table 1); `light`: at the codes only"
    )
    latent: int = Field(64, gt=0, description="channels before the projection to the codebook (z_channels)")
    quantiser: QuantiserConfig = QuantiserConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    perceptual: PerceptualConfig = PerceptualConfig()
    foreground_weight: float = Field(
        0.0,
        ge=0,
        description="pixels unlike their task's median background weigh 1 + this; 0: all alike (paper)",
    )
    foreground_mean: Literal["batch", "frame"] = Field(
        "batch",
        description="what the weighted error is a mean of. batch: of all pixels, so that tasks in which everything "
        "moves leave others little; frame: of the pixels of each frame, then of the frames",
    )
    baseline_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of a batch that shows random and idle behaviour instead of experts (paper 0): a "
        "tokenizer that has seen experts only may decode a strange frame as a familiar one",
    )
    training: LoopConfig

    @model_validator(mode="after")
    def _averaged_once(self) -> VQGANConfig:
        if self.quantiser.kind == "ema" and self.training.ema:
            raise ValueError("quantiser kind ema fits the raw encoder, not its average: set training.ema to null")
        if self.quantiser.kind == "ema" and self.training.accumulate > 1:
            raise ValueError("quantiser kind ema moves with every forward pass: set training.accumulate to 1")
        return self

    @property
    def factor(self) -> int:
        """Pixels a code, in height and in width."""
        return 2 ** (len(self.multipliers) - (self.architecture == "paper"))


__all__ = ["VQGAN", "VQGANConfig"]

CHUNK = 64  # frames a forward pass outside of training: small enough for a CPU's cache


class VQGAN(nn.Module):
    """Parts, in the order of their updates: generator (encoder, codebook, decoder), discriminator."""

    Config = VQGANConfig
    discriminator_updates: Tensor

    def __init__(
        self,
        config: VQGANConfig,
        tasks: Sequence[str] = (),
        size: int = 64,
        backgrounds: Tensor | np.ndarray | None = None,
        *,
        trainable: bool = True,
    ) -> None:
        """tasks: names, by task id; size: height and width of frames; backgrounds: uint8 (tasks, H, W, 3).

        With `trainable` false there is no discriminator and no perceptual network: enough to encode.
        Raises BadParams where sizes do not fit, BadData for wrong perceptual weights.
        """
        super().__init__()
        self.config, self.tasks, self.size = config, tuple(tasks), size
        if size % config.factor:
            raise BadParams(f"tokenizer: frames of {size} pixels do not divide into codes of {config.factor} pixels")
        sizes = (config.channels, config.multipliers, config.blocks)
        if config.architecture == "paper":
            self.encoder = paper_encoder(*sizes, config.latent, config.quantiser.dim)
            self.decoder = paper_decoder(*sizes, config.latent, config.quantiser.dim)
        else:
            self.encoder = light_encoder(*sizes, config.quantiser.dim)
            self.decoder = light_decoder(*sizes, config.quantiser.dim)
        self.quantiser = Quantiser(config.quantiser)
        self.foreground = Foreground(self._checked(backgrounds)) if backgrounds is not None else None
        self.discriminator = self.perceptual = None
        self._fake: tuple[Tensor, Tensor] | None = None
        if not trainable:
            return
        if config.foreground_weight and self.foreground is None:
            raise BadParams("tokenizer: foreground_weight needs a background for every task")
        if config.discriminator.weight:
            if size < 8 or size & (size - 1):
                raise BadParams(f"tokenizer: the discriminator wants frames of 8, 16, 32, ... pixels, not {size}")
            self.discriminator = Discriminator(config.discriminator, size)
            self.register_buffer("discriminator_updates", torch.zeros((), dtype=torch.int64))
        if config.perceptual.kind == "vgg" and config.perceptual.weight:
            assert config.perceptual.weights is not None
            self.perceptual = VGG(config.perceptual.weights, config.perceptual.inputs)

    def _checked(self, backgrounds: Tensor | np.ndarray) -> Tensor:
        backgrounds = torch.as_tensor(backgrounds)
        expected = (len(self.tasks), self.size, self.size, 3)
        if tuple(backgrounds.shape) != expected or backgrounds.dtype != torch.uint8:
            raise BadData(f"backgrounds: {backgrounds.dtype} {tuple(backgrounds.shape)}, not uint8 {expected}")
        return backgrounds

    @property
    def parts(self) -> dict[str, list[nn.Parameter]]:
        """What the training loop updates, in this order."""
        generator = [p for m in (self.encoder, self.quantiser, self.decoder) for p in m.parameters()]
        parts = {"generator": generator}
        if self.discriminator is not None:
            parts["discriminator"] = list(self.discriminator.parameters())
        return parts

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w): codes of a frame."""
        return self.size // self.config.factor, self.size // self.config.factor

    @property
    def codebook(self) -> Tensor:
        """(K, D), without gradient."""
        return self.quantiser.codebook.detach()

    def loss(self, batch: tuple[Tensor, Tensor], part: str) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of `part` on (frames uint8 (B, H, W, 3), task ids (B,)), and detached metrics.

        The discriminator's update judges the reconstruction that the generator's update of the same batch
        made, which saves a second pass through the autoencoder.
        """
        frames, task = batch
        if part == "generator":
            return self._generator_loss(frames, task)
        if part == "discriminator" and self.discriminator is not None:
            return self._discriminator_loss(frames)
        raise ValueError(f"VQGAN has no part '{part}' (parts: {', '.join(self.parts)})")

    def _generator_loss(self, frames: Tensor, task: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        config, x = self.config, to_float(frames)
        quantised, _, codebook_loss, metrics = self.quantiser(self.encoder(x))
        y = self.decoder(quantised).float()
        error = (y - x).abs()
        if config.foreground_weight and self.foreground is not None:
            mask = self.foreground.mask(frames, task)
            weight = 1 + config.foreground_weight * mask
            pixel = error.mean(1, keepdim=True)
            over = (1, 2, 3) if config.foreground_mean == "frame" else None
            reconstruction = ((weight * pixel).sum(over) / weight.sum(over)).mean()
            metrics["foreground_l1"] = (mask * pixel.detach()).sum() / mask.sum().clamp(min=1) * 127.5
        else:
            reconstruction = error.mean()
        loss = reconstruction + codebook_loss
        metrics |= {"reconstruction": reconstruction.detach(), "codebook": codebook_loss.detach()}
        if self.perceptual is not None:
            distance = self.perceptual(x, y).mean()
            loss = loss + config.perceptual.weight * distance
            metrics["perceptual"] = distance.detach()
        if self.discriminator is not None:
            # gradients flow through the discriminator, none is spent on its weights
            self.discriminator.requires_grad_(False)
            fooled = generator_loss(self.discriminator(y).float())
            self.discriminator.requires_grad_(True)
            loss = loss + config.discriminator.weight * fooled
            metrics["adversarial"] = fooled.detach()
            self._fake = (frames, y.detach())
        return loss, metrics | {"loss": loss.detach()}

    def _discriminator_loss(self, frames: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        assert self.discriminator is not None
        config, x = self.config.discriminator, to_float(frames)
        if self._fake is not None and self._fake[0] is frames:
            fake = self._fake[1]
        else:
            with torch.no_grad():
                fake = self.decoder(self.quantiser(self.encoder(x), update=False)[0]).float()
        self._fake = None
        penalised = config.r1_gamma > 0 and int(self.discriminator_updates) % config.r1_every == 0
        if self.training:
            self.discriminator_updates += 1
        x.requires_grad_(penalised)
        real_logits, fake_logits = self.discriminator(x).float(), self.discriminator(fake).float()
        loss = discriminator_loss(real_logits, fake_logits)
        metrics = {
            "discriminator": loss.detach(),
            "logits_real": real_logits.detach().mean(),
            "logits_fake": fake_logits.detach().mean(),
        }
        if penalised:
            penalty = r1(real_logits, x)
            loss = loss + config.r1_gamma * config.r1_every * penalty
            metrics["r1"] = penalty.detach() * config.r1_every  # its mean over steps is that of the penalty
        return loss, metrics

    @torch.no_grad()
    def encode(self, frames: Tensor | np.ndarray) -> Tensor:
        """uint8 (N, H, W, 3) -> int64 (N, h, w), on the model's device.

        A frame's codes do not depend on its neighbours in the batch, although a convolution's last bits do: a
        frame with a code so nearly tied that rounding could decide it is encoded once more, alone.
        """
        frames = self._frames(frames)
        if not len(frames):
            return torch.zeros((0, *self.grid), dtype=torch.int64, device=self.codebook.device)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return torch.cat([self._encode(chunk) for chunk in frames.split(CHUNK)])

    def _encode(self, frames: Tensor) -> Tensor:
        x = to_float(frames)
        codes, doubtful = self.quantiser.nearest(self.encoder(x))
        if len(frames) > 1:
            for i in doubtful.nonzero().flatten().tolist():
                codes[i] = self.quantiser.nearest(self.encoder(x[i : i + 1]))[0][0]
        return codes

    def _frames(self, frames: Tensor | np.ndarray) -> Tensor:
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
        return torch.cat([to_uint8(self.decoder(self.quantiser.lookup(part))) for part in codes.split(CHUNK)])

    def to_directory(self) -> Directory:
        """What encoding and decoding need; the discriminator is left behind."""
        config = {
            "kind": "vqgan",
            "model": self.config.model_dump(mode="json"),
            "tasks": list(self.tasks),
            "size": self.size,
            "grid": list(self.grid),
        }
        kept = ("encoder.", "decoder.", "quantiser.", "foreground.")
        return Directory(config, {k: v.detach() for k, v in self.state_dict().items() if k.startswith(kept)})

    @classmethod
    def from_directory(cls, directory: Directory) -> VQGAN:
        """The tokenizer in evaluation mode. Raises BadData if the folder holds something else."""
        try:
            c = directory.config
            if c["kind"] != "vqgan":
                raise ValueError(f"kind is '{c['kind']}'")
            model = cls(
                VQGANConfig.model_validate(c["model"]),
                c["tasks"],
                c["size"],
                directory.tensors.get("foreground.backgrounds"),
                trainable=False,
            )
            model.load_state_dict(directory.tensors)
        except (KeyError, ValueError, RuntimeError, BadParams) as error:
            raise BadData(f"this folder holds no VQ-GAN: {error}") from error
        return model.eval().requires_grad_(False)
