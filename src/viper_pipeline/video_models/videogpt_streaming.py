"""Streaming VideoGPT: sliding-window attention over a fixed number of earlier frames, with rotary time embeddings.

VideoGPT scores every frame by a full pass over its window. Here the keys and values of the last frames are cached, so
that a frame costs one frame of compute. That is sound because the model is trained the same way: on clips longer than
the attention span, with the same span. Its receptive field grows by one span per layer, so `kv_cache` scores are
conditioned on slightly more than `full_window` scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from viper_pipeline.training.checkpoints import StateDict
from viper_pipeline.training.initialization import without_decay
from viper_pipeline.video_models.base import Scoring
from viper_pipeline.video_models.transformer import (
    Cache,
    MaskedBlock,
    Rotation,
    initialize_as_reference,
    masked_blocks,
)
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig


class RingSession:
    """Scores running videos, one per row (`base.Session`). Rows advance together; any row can be restarted.

    The keys and values of the last context + 1 frames lie in a ring buffer, frame t in slot t mod (context + 1). Their
    order in the ring does not matter: the keys carry their time.
    """

    def __init__(self, model: StreamingVideoGPT, condition: Tensor) -> None:
        """condition (B, ...): one per row."""
        self.model, self.condition, self.clock = model, condition, -1
        self.seen = torch.zeros(len(condition), dtype=torch.long)
        self.last = torch.zeros(len(condition), dtype=torch.long, device=condition.device)
        self._rings: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def step(self, codes: Tensor) -> Tensor:
        """The next frame (B, h, w) of every video -> nats of each code (B, h, w)."""
        self.clock += 1
        return self._score(codes, torch.arange(len(self.condition)))

    @torch.no_grad()
    def restart(self, rows: Sequence[int], codes: Tensor) -> Tensor:
        """These rows start a new video: codes (len(rows), h, w), its first frames, replace their last step. Nats."""
        index = torch.as_tensor(rows)
        self.seen[index] = 0
        return self._score(codes, index)

    def forget(self, rows: Sequence[int]) -> None:
        """The next frame of these rows is the first of a new video."""
        self.seen[torch.as_tensor(rows)] = 0

    def _score(self, codes: Tensor, rows: Tensor) -> Tensor:
        model, Z = self.model, self.model.codes_per_frame
        flat, condition = codes.long().flatten(1), self.condition[rows]
        first = torch.where(
            (self.seen[rows] > 0)[:, None].to(flat.device),
            model.embed(model.codebook[self.last[rows]]),
            model.start.expand(len(rows), -1),
        )
        x = torch.cat([first[:, None], model.embed(model.codebook[flat[:, :-1]])], 1) + model._position(Z)
        turn = Rotation(torch.full((Z,), self.clock, device=x.device), model.config.width // model.config.heads)
        slot, mask = self.clock % model.window, self._mask(rows).to(x.device)
        for i, block in enumerate(masked_blocks(model.blocks)):
            q, k, v = block.project(x, condition)
            keys, values = self._ring(i, k)
            keys[rows, :, slot], values[rows, :, slot] = turn(k), v
            if len(rows) < len(self.condition):
                keys, values = keys[rows], values[rows]
            x = block.attend(x, condition, turn(q), keys.flatten(2, 3), values.flatten(2, 3), mask)
        logits = model.head(model.norm(x, condition)).float()
        self.seen[rows] += 1
        self.last[rows] = flat[:, -1]
        return -F.cross_entropy(logits.flatten(0, 1), flat.flatten(), reduction="none").view_as(codes)

    def _mask(self, rows: Tensor) -> Tensor:
        """Which keys of the ring each code attends to: (rows, 1, Z, window * Z); one row if it is the same for all."""
        window, Z = self.model.window, self.model.codes_per_frame
        seen = self.seen[rows].clamp(max=window - 1).unique()
        seen = seen if len(seen) == 1 else self.seen[rows]
        age = (self.clock - torch.arange(window)) % window
        mask = (age <= seen[:, None])[:, None, None, :, None].expand(-1, 1, Z, window, Z).clone()
        mask[:, :, :, self.clock % window] = torch.ones(Z, Z, dtype=torch.bool).tril()
        return mask.flatten(3)

    def _ring(self, layer: int, like: Tensor) -> tuple[Tensor, Tensor]:
        if layer == len(self._rings):
            heads, Z, size = like.shape[1:]
            shape = (len(self.condition), heads, self.model.window, Z, size)
            self._rings.append((like.new_zeros(shape), like.new_zeros(shape)))
        return self._rings[layer]

    def state_dict(self) -> StateDict:
        """Everything that later scores depend on."""
        rings = [(k.clone(), v.clone()) for k, v in self._rings]
        return {"clock": self.clock, "seen": self.seen.clone(), "last": self.last.clone(), "rings": rings}

    def load_state_dict(self, state: StateDict) -> None:
        """Continue from `state_dict`."""
        device = self.condition.device
        self.clock, self.seen, self.last = state["clock"], state["seen"].clone(), state["last"].to(device, copy=True)
        self._rings = [(k.to(device, copy=True), v.to(device, copy=True)) for k, v in state["rings"]]


class StreamingVideoGPTConfig(VideoGPTConfig):
    """VideoGPT's sizes; `window` is the length of a training clip."""

    window: int = Field(48, ge=2, description="frames of a training clip; two or three times context + 1")
    context: int = Field(15, ge=1, description="earlier frames that a code attends to in each layer")

    @model_validator(mode="after")
    def _clips_are_longer_than_the_context(self) -> StreamingVideoGPTConfig:
        if self.window <= self.context + 1:
            raise ValueError(f"window {self.window} must exceed context + 1, {self.context + 1}: it is a clip's length")
        if self.width // self.heads % 4:
            raise ValueError(f"width / heads, {self.width // self.heads}, is not a multiple of 4")
        return self


class StreamingVideoGPT(VideoGPT):
    """VideoGPT with rotary times and sliding-window attention. `window` is context + 1; clips may have any length."""

    Config: ClassVar[type[StreamingVideoGPTConfig]] = StreamingVideoGPTConfig
    config: StreamingVideoGPTConfig
    KIND = "videogpt_streaming"
    scorings: ClassVar[frozenset[Scoring]] = frozenset({"full_window", "half_overlap", "kv_cache"})

    def __init__(
        self, config: StreamingVideoGPTConfig, codebook: Tensor, grid: tuple[int, int], tasks: Sequence[str]
    ) -> None:
        """As VideoGPT."""
        super().__init__(config, codebook, grid, tasks)
        self.window = config.context + 1
        D, n = config.width, len(self.tasks)
        sizes = (D - D // 2, D // 2)
        self.positions = nn.ParameterList(
            [nn.Parameter(0.02 * torch.randn(length, size)) for length, size in zip(grid, sizes, strict=True)]
        )
        without_decay(*self.positions)
        self.blocks = nn.ModuleList(
            MaskedBlock(D, config.heads, config.feedforward, n, config.dropout) for _ in range(config.layers)
        )
        if config.init == "reference":
            initialize_as_reference(self)

    def _position(self, length: int, begin: int = 0) -> Tensor:
        index = torch.arange(begin, begin + length, device=self.start.device)
        y, x = list(self.positions)
        return torch.cat([y[index // self.grid[1] % self.grid[0]], x[index % self.grid[1]]], -1)

    def _logits(
        self, x: Tensor, condition: Tensor, last: int | None = None, caches: list[Cache] | None = None
    ) -> Tensor:
        begin = caches[0].keys.shape[2] if caches and caches[0].keys is not None else 0
        place = torch.arange(begin + x.shape[1], device=x.device)
        time = place // self.codes_per_frame
        mask = (place[:, None] >= place) & (time[:, None] - time <= self.config.context)
        turn = Rotation(time[begin:], self.config.width // self.config.heads)
        x = F.dropout(x, self.config.dropout, self.training)
        for i, block in enumerate(masked_blocks(self.blocks)):
            q, k, v = block.project(x, condition)
            q, k = turn(q), turn(k)
            if caches:
                k, v = caches[i].extend(k, v)
            rows = last if last is not None and i == len(self.blocks) - 1 else x.shape[1]
            x = block.attend(x[:, -rows:], condition, q[:, :, -rows:], k, v, mask[-rows:])
        return self.head(self.norm(x, condition))

    def session(self, condition: Tensor) -> RingSession:
        """Scores videos frame by frame, one per row of `condition` (B, ...)."""
        return RingSession(self, condition)
