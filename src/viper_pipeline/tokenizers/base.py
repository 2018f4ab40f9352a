"""What a tokenizer offers: codes or latents for video models, frames for people, a loss for the training loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from viper_pipeline.core.config import Config
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.training.config import LoopConfig


class TokenizerConfig(Config):
    """What the block of every tokenizer holds; each kind adds its own fields."""

    kind: str = Field(description="name of a tokenizer in tokenizers/__init__.py")
    baseline_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of each batch that shows random and idle behavior instead of experts (paper 0): a "
        "tokenizer that has seen only experts may decode an unusual frame as a familiar one",
    )
    training: LoopConfig

    def grid(self, size: int) -> tuple[int, int]:
        """(h, w): codes per frame of `size` x `size` pixels."""
        raise NotImplementedError


class Tokenizer(Protocol):
    """A frozen tokenizer: frames (N, H, W, C) uint8 <-> codes or latents, for all tasks of a suite.

    Discrete (`continuous` False): codes (N, h, w) int64 in 0..K-1, and a codebook (K, D).
    Continuous (`continuous` True): latents (N, h, w, D) float32, and an empty codebook (0, D). A video model learns
    from the codebook's shape which of the two it is given, and how wide a vector is; models that predict codes accept
    no continuous tokenizer (`VideoModel.continuous`), which is checked before anything is trained.
    """

    continuous: ClassVar[bool]
    tasks: tuple[str, ...]
    """Names of the tasks it was trained on."""

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w): codes per frame."""
        ...

    @property
    def codebook(self) -> Tensor:
        """(K, D): the vector of each code; (0, D) if continuous. On the tokenizer's device."""
        ...

    def encode(self, frames: Tensor | np.ndarray) -> Tensor:
        """uint8 (N, H, W, C) -> int64 (N, h, w) or float32 (N, h, w, D); each frame's by itself, whatever the batch."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """What `encode` returns, of any integer or float type -> uint8 (N, H, W, C)."""
        ...

    def to(self, device: str) -> Self:
        """Move to a device."""
        ...

    def to_artifact(self) -> ModelArtifact:
        """Weights and configuration, for the disk. `config["kind"]` is the name in the registry."""
        ...

    @classmethod
    def from_artifact(cls, artifact: ModelArtifact) -> Tokenizer:
        """The tokenizer that `to_artifact` described, in evaluation mode. Raises BadData for anything else."""
        ...


class TrainableTokenizer(Tokenizer, Protocol):
    """A tokenizer that the training loop can train (an `nn.Module`)."""

    Config: ClassVar[type[TokenizerConfig]]
    """The schema of the block `tokenizer` in params.yaml."""

    def __init__(self, config: TokenizerConfig, tasks: Sequence[str], size: int, backgrounds: Tensor) -> None:
        """tasks: names, by task id; size: height and width of frames; backgrounds: uint8 (tasks, H, W, 3)."""

    @property
    def parts(self) -> Mapping[str, list[nn.Parameter]]:
        """The parameters of each part, in the order of their updates."""
        ...

    def loss(self, batch: tuple[Tensor, Tensor], part: str) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one part on (frames uint8 (B, H, W, C), task ids (B,)), and detached metrics."""
        ...


def to_float(frames: Tensor) -> Tensor:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in [-1, 1]."""
    return torch.as_tensor(frames).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """float (N, C, H, W), clipped to [-1, 1] -> uint8 (N, H, W, C), rounded."""
    return ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
