"""How a VQ-GAN learns: L1, perceptual and adversarial losses (paper 4.1, Table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.tokenizers.base import TokenizerConfig, to_float
from viper_pipeline.tokenizers.losses import (
    VGG,
    Discriminator,
    DiscriminatorConfig,
    PerceptualConfig,
    discriminator_loss,
    generator_loss,
    r1,
)
from viper_pipeline.tokenizers.quality import Foreground
from viper_pipeline.tokenizers.vqgan import VQGAN, VQGANArchitecture
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.training.initialization import initialize_as_flax


class VQGANConfig(VQGANArchitecture, TokenizerConfig):
    """Sizes (defaults: the paper's for DMC, Table 1), losses and training of the tokenizer."""

    kind: Literal["vqgan"] = "vqgan"
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    perceptual: PerceptualConfig = PerceptualConfig()
    init: Literal["torch", "reference"] = Field(
        "torch",
        description="weights before training: PyTorch's, or as the reference code's, of variance 1 / inputs "
        "(architecture paper)",
    )
    foreground_weight: float = Field(
        0.0,
        ge=0,
        description="pixels unlike their task's median background weigh 1 + this; 0: all alike (paper)",
    )
    foreground_mean: Literal["batch", "frame"] = Field(
        "batch",
        description="what the weighted error is a mean of. batch: of all pixels, so that tasks in which everything "
        "moves leave little weight to others; frame: of the pixels of each frame, then of the frames",
    )

    @model_validator(mode="after")
    def _reference_has_one_architecture(self) -> VQGANConfig:
        if self.init == "reference" and self.architecture != "paper":
            raise ValueError(f"init reference is that of architecture paper: architecture {self.architecture} has none")
        return self

    @model_validator(mode="after")
    def _averaged_once(self) -> VQGANConfig:
        if self.quantizer.kind == "ema" and self.training.ema:
            raise ValueError("quantizer kind ema fits the raw encoder, not its average: set training.ema to null")
        if self.quantizer.kind == "ema" and self.training.accumulate > 1:
            raise ValueError("quantizer kind ema moves with every forward pass: set training.accumulate to 1")
        return self


class VQGANTraining(VQGAN):
    """A VQ-GAN with its losses. Parts, in the order of their updates: generator (encoder, codebook, decoder),
    discriminator.
    """

    Config: ClassVar[type[VQGANConfig]] = VQGANConfig
    config: VQGANConfig
    discriminator_updates: Tensor

    def __init__(
        self,
        config: VQGANConfig,
        tasks: Sequence[str] = (),
        size: int = 64,
        backgrounds: Tensor | np.ndarray | None = None,
    ) -> None:
        """tasks: names, by task id; size: height and width of frames; backgrounds: uint8 (tasks, H, W, 3).

        Raises BadParams where sizes do not fit, BadData for wrong backgrounds or perceptual weights.
        """
        super().__init__(config, tasks, size)
        if config.init == "reference":
            initialize_as_flax(self.encoder)
            initialize_as_flax(self.decoder)
        self.foreground = Foreground(self._checked(backgrounds)) if backgrounds is not None else None
        self.discriminator = self.perceptual = None
        self._fake: tuple[Tensor, Tensor] | None = None
        if config.foreground_weight and self.foreground is None:
            raise BadParams("tokenizer: foreground_weight needs a background for every task")
        if config.discriminator.weight:
            if size < 8 or size & (size - 1):
                raise BadParams(f"tokenizer: the discriminator wants frames of 8, 16, 32, ... pixels, not {size}")
            self.discriminator = Discriminator(config.discriminator, size)
            if config.init == "reference":
                self.discriminator.initialize_as_reference()
            self.register_buffer("discriminator_updates", torch.zeros((), dtype=torch.int64))
        self._discriminate = self._discriminator_loss
        if config.training.compile:  # R1 differentiates a gradient, which compiled code does not support
            self._discriminate = torch.compiler.disable(self._discriminator_loss)
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
        generator = [p for m in (self.encoder, self.quantizer, self.decoder) for p in m.parameters()]
        parts = {"generator": generator}
        if self.discriminator is not None:
            parts["discriminator"] = list(self.discriminator.parameters())
        return parts

    def loss(self, batch: tuple[Tensor, Tensor], part: str) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of `part` on (frames uint8 (B, H, W, 3), task ids (B,)), and detached metrics.

        The discriminator's update uses the reconstruction that the generator's update of the same batch made, which
        saves a second pass through the autoencoder.
        """
        frames, task = batch
        if part == "generator":
            return self._generator_loss(frames, task)
        if part == "discriminator" and self.discriminator is not None:
            return self._discriminate(frames)
        raise ValueError(f"VQGAN has no part '{part}' (parts: {', '.join(self.parts)})")

    def _generator_loss(self, frames: Tensor, task: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        config, x = self.config, to_float(frames)
        quantized, _, codebook_loss, metrics = self.quantizer(self.encoder(x))
        y = self.decoder(quantized).float()
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
            # gradients flow through the discriminator; none is computed for its weights
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
                fake = self.decoder(self.quantizer(self.encoder(x), update=False)[0]).float()
        self._fake = None
        penalized = config.r1_gamma > 0 and int(self.discriminator_updates) % config.r1_every == 0
        if self.training:
            self.discriminator_updates += 1
        x.requires_grad_(penalized)
        real_logits, fake_logits = self.discriminator(x).float(), self.discriminator(fake).float()
        loss = discriminator_loss(real_logits, fake_logits)
        metrics = {
            "discriminator": loss.detach(),
            "logits_real": real_logits.detach().mean(),
            "logits_fake": fake_logits.detach().mean(),
        }
        if penalized:
            penalty = r1(real_logits, x)
            loss = loss + config.r1_gamma * config.r1_every * penalty
            metrics["r1"] = penalty.detach() * config.r1_every  # so that its mean over all steps is the penalty's
        return loss, metrics

    def to_artifact(self) -> ModelArtifact:
        """What encoding and decoding need, and the backgrounds; the discriminator is left out."""
        artifact = super().to_artifact()
        if self.foreground is not None:
            artifact.tensors["foreground.backgrounds"] = self.foreground.backgrounds.detach()
        return artifact
