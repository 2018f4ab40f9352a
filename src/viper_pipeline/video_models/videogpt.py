"""VideoGPT: an autoregressive transformer over the codes of a few frames in raster order (paper 4.1, Table 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from viper_pipeline.training.checkpoints import StateDict
from viper_pipeline.training.initialization import without_decay
from viper_pipeline.video_models.base import CodeModel, VideoModelConfig
from viper_pipeline.video_models.transformer import Block, Cache, ConditionalNorm, initialize_as_reference


class VideoGPTConfig(VideoModelConfig):
    """Sizes of the transformer (Table 2) and its training."""

    window: int = Field(16, ge=1, description="frames: context frames and the scored one (sequence length)")
    width: int = Field(256, gt=0, description="hidden dim D")
    feedforward: int = Field(1024, gt=0, description="feed-forward dim")
    heads: int = Field(8, gt=0, description="attention heads")
    layers: int = Field(8, gt=0, description="blocks")
    dropout: float = Field(0.0, ge=0, lt=1, description="paper 0; the reference's DMC configuration 0.1")
    init: Literal["torch", "reference"] = Field(
        "torch",
        description="weights before training. torch: PyTorch's, zeros in the head and no difference between tasks; "
        "reference: the reference code's, of variance 1 / inputs, so that tasks differ from the first step",
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> VideoGPTConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class VideoGPT(CodeModel):
    """Codebook vectors in, shifted by one code; one distribution over the codebook per position out."""

    Config: ClassVar[type[VideoGPTConfig]] = VideoGPTConfig
    config: VideoGPTConfig
    KIND = "videogpt"

    def __init__(self, config: VideoGPTConfig, codebook: Tensor, grid: tuple[int, int], tasks: Sequence[str]) -> None:
        """codebook (K, E): the tokenizer's vectors; grid: (h, w) codes per frame; tasks: names, by task id."""
        super().__init__(config, codebook, grid, tasks)
        D, n = config.width, len(self.tasks)
        K, E = codebook.shape
        self.embed = nn.Linear(E, D)
        self.start = nn.Parameter(0.02 * torch.randn(D))
        # one table per axis, concatenated; where D is not a multiple of 3, the first ones are one wider
        sizes = [D // 3 + (axis < D % 3) for axis in range(3)]
        self.positions = nn.ParameterList(
            [
                nn.Parameter(0.02 * torch.randn(length, size))
                for length, size in zip((config.window, *grid), sizes, strict=True)
            ]
        )
        without_decay(*self.positions)
        self.blocks = nn.ModuleList(
            Block(D, config.heads, config.feedforward, n, config.dropout) for _ in range(config.layers)
        )
        self.norm = ConditionalNorm(D, n)
        self.head = nn.Linear(D, K)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if config.init == "reference":
            initialize_as_reference(self)
        self.register_load_state_dict_pre_hook(_fit_positions)

    def loss(self, batch: tuple[Tensor, Tensor], part: str = "model") -> tuple[Tensor, dict[str, Tensor]]:
        """Mean nats per code of clips (B, window, h, w)."""
        codes, condition = batch
        nll = -self._code_log_prob(codes.long(), condition.long())
        last = nll[:, -self.codes_per_frame :].detach().mean()
        return nll.mean(), {"nats_per_code": nll.detach().mean(), "nats_per_code_last_frame": last}

    def log_prob(self, codes: Tensor, condition: Tensor, per_code: bool = False) -> Tensor:
        """codes (B, T <= window, h, w) -> nats (B, T) or (B, T, h, w)."""
        return self._framed(self._code_log_prob(codes.long(), condition), codes.shape[1], per_code)

    def log_prob_last(self, codes: Tensor, condition: Tensor, per_code: bool = False) -> Tensor:
        """codes (B, T <= window, h, w) -> nats (B,) or (B, h, w) of the last frame.

        The last block and the vocabulary head see only the scored frame's positions.
        """
        return self._framed(self._code_log_prob(codes.long(), condition, last=self.codes_per_frame), 1, per_code)[:, 0]

    def _framed(self, per_code: Tensor, frames: int, keep: bool) -> Tensor:
        per_code = per_code.view(len(per_code), frames, *self.grid)
        return per_code if keep else per_code.sum((2, 3))

    def _code_log_prob(self, codes: Tensor, condition: Tensor, last: int | None = None) -> Tensor:
        """codes (B, T, h, w) -> (B, L) nats of each code, or of the `last` ones."""
        flat = codes.flatten(1)
        logits = self._logits(self._inputs(flat), condition, last)
        target = flat if last is None else flat[:, -last:]
        return -F.cross_entropy(logits.float().flatten(0, 1), target.flatten(), reduction="none").view_as(target)

    def _inputs(self, flat: Tensor) -> Tensor:
        """Embedded codes, shifted right by one: position i holds code i - 1."""
        start = self.start.expand(len(flat), 1, -1)
        return torch.cat([start, self.embed(self.codebook[flat[:, :-1]])], 1) + self._position(flat.shape[1])

    def _position(self, length: int, begin: int = 0) -> Tensor:
        index = torch.arange(begin, begin + length, device=self.start.device)
        h, w = self.grid
        t, y, x = list(self.positions)
        return torch.cat([t[index // (h * w)], y[index // w % h], x[index % w]], -1)

    def _logits(
        self, x: Tensor, condition: Tensor, last: int | None = None, caches: list[Cache] | None = None
    ) -> Tensor:
        x = F.dropout(x, self.config.dropout, self.training)
        for i, block in enumerate(self.blocks):
            only = last if i == len(self.blocks) - 1 else None
            x = block(x, condition, only, caches[i] if caches else None)
        return self.head(self.norm(x, condition))

    @torch.no_grad()
    def sample(self, context: Tensor, condition: Tensor, frames: int, temperature: float = 1.0) -> Tensor:
        """Continue (B, t >= 1, h, w) by `frames` frames, each drawn code by code given the last window - 1 frames."""
        video = context.long()
        for _ in range(frames):
            seen = video[:, -(self.window - 1) :] if self.window > 1 else video[:, :0]
            video = torch.cat([video, self._sample_frame(seen, condition, temperature)[:, None]], 1)
        return video

    def _sample_frame(self, seen: Tensor, condition: Tensor, temperature: float) -> Tensor:
        caches = [Cache() for _ in self.blocks]
        begin = seen.flatten(1).shape[1]
        # the shift drops the dummy last code: the prefix ends in the position that predicts the new frame's first code
        x = self._inputs(F.pad(seen.flatten(1), (0, 1)))
        drawn: list[Tensor] = []
        for i in range(self.codes_per_frame):
            logits = self._logits(x, condition, 1, caches)[:, -1].float() / temperature
            drawn.append(torch.multinomial(logits.softmax(-1), 1))
            x = (
                self.embed(self.codebook[drawn[-1]]) + self._position(1, begin + i + 1)
                if i + 1 < self.codes_per_frame
                else x
            )
        return torch.cat(drawn, 1).view(-1, *self.grid)


def _fit_positions(model: VideoGPT, state: StateDict, prefix: str, *_: object) -> None:
    """Before weights are loaded: take over the widths of their position tables, if these add up.

    Earlier versions gave the table of times all that D // 3 leaves over; for D = 3 n + 2 that is another split.
    """
    saved = [state.get(f"{prefix}positions.{axis}") for axis in range(len(model.positions))]
    widths = [table.shape[1] for table in saved if table is not None and table.ndim == 2]
    if len(widths) == len(saved) and sum(widths) == model.config.width:
        for table, width in zip(model.positions, widths, strict=True):
            table.data = table.new_empty(len(table), width)
