"""A VideoGPT that can be streamed: each frame attends to a band of earlier ones, with times relative to each other.

The original scores every frame by a full pass over its window. Here keys and values of the last frames are kept, and
a frame costs one frame of compute. That is sound only because the model is trained as it is used: on clips longer than
the band, with the same band. Its reach grows by one band a layer, so `streaming` scores are given a little more than
`exact` ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from viper_pipeline.core.errors import BadData
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.video_models.transformer import Cache, OpenBlock, Rotation
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig


class Session:
    """Running videos, one a row. All go on together; any may begin anew.

    The keys of the last context + 1 frames lie in a ring whose slot is the clock's remainder. Order within the ring
    does not matter: time is in the keys.
    """

    def __init__(self, model: BandedGPT, task: Tensor) -> None:
        """task (B,): task ids of the rows."""
        self.model, self.task, self.clock = model, task, -1
        self.seen = torch.zeros(len(task), dtype=torch.long)
        self.last = torch.zeros(len(task), dtype=torch.long)
        self._rings: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def step(self, codes: Tensor) -> Tensor:
        """The next frame (B, h, w) of every video -> nats of each code (B, h, w)."""
        self.clock += 1
        return self._score(codes, torch.arange(len(self.task)))

    @torch.no_grad()
    def restart(self, rows: Sequence[int], codes: Tensor) -> Tensor:
        """Rows begin anew: codes (len(rows), h, w) replace the last frame, and are first frames. Nats as `step`."""
        index = torch.as_tensor(rows)
        self.seen[index] = 0
        return self._score(codes, index)

    def forget(self, rows: Sequence[int]) -> None:
        """What comes next in these rows is a first frame."""
        self.seen[torch.as_tensor(rows)] = 0

    def _score(self, codes: Tensor, rows: Tensor) -> Tensor:
        model, Z = self.model, self.model.codes_per_frame
        flat, task = codes.long().flatten(1), self.task[rows]
        first = torch.where(
            (self.seen[rows] > 0)[:, None],
            model.embed(model.codebook[self.last[rows]]),
            model.start.expand(len(rows), -1),
        )
        x = torch.cat([first[:, None], model.embed(model.codebook[flat[:, :-1]])], 1) + model._position(Z)
        turn = Rotation(torch.full((Z,), self.clock, device=x.device), model.config.width // model.config.heads)
        slot, mask = self.clock % model.window, self._mask(rows).to(x.device)
        for i, block in enumerate(model.blocks):
            q, k, v = block.project(x, task)  # type: ignore[operator]
            keys, values = self._ring(i, k)
            keys[rows, :, slot], values[rows, :, slot] = turn(k), v
            if len(rows) < len(self.task):
                keys, values = keys[rows], values[rows]
            x = block.attend(x, task, turn(q), keys.flatten(2, 3), values.flatten(2, 3), mask)  # type: ignore[operator]
        logits = model.head(model.norm(x, task)).float()
        self.seen[rows] += 1
        self.last[rows] = flat[:, -1]
        return -F.cross_entropy(logits.flatten(0, 1), flat.flatten(), reduction="none").view_as(codes)

    def _mask(self, rows: Tensor) -> Tensor:
        """Which keys of the ring each code may see: (rows, 1, Z, window * Z); one row where all are alike."""
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
            shape = (len(self.task), heads, self.model.window, Z, size)
            self._rings.append((like.new_zeros(shape), like.new_zeros(shape)))
        return self._rings[layer]

    def state_dict(self) -> dict[str, object]:
        """Everything that later scores depend on."""
        rings = [(k.clone(), v.clone()) for k, v in self._rings]
        return {"clock": self.clock, "seen": self.seen.clone(), "last": self.last.clone(), "rings": rings}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from `state_dict`."""
        self.clock, self.seen, self.last = state["clock"], state["seen"].clone(), state["last"].clone()  # type: ignore
        self._rings = [(k.clone(), v.clone()) for k, v in state["rings"]]  # type: ignore[attr-defined]


class BandedGPTConfig(VideoGPTConfig):
    """VideoGPT's sizes; `window` is the length of a training clip."""

    window: int = Field(48, ge=2, description="frames of a training clip; two or three times the band")
    context: int = Field(15, ge=1, description="frames before its own that a code attends to in each layer")

    @model_validator(mode="after")
    def _clips_are_longer_than_the_band(self) -> BandedGPTConfig:
        if self.window <= self.context + 1:
            raise ValueError(f"window {self.window} must exceed context + 1, {self.context + 1}: it is a clip's length")
        if self.width // self.heads % 4:
            raise ValueError(f"width / heads, {self.width // self.heads}, is not a multiple of 4")
        return self


class BandedGPT(VideoGPT):
    """VideoGPT with rotary times and a band. It scores clips of any length; `window` is context + 1."""

    Config = BandedGPTConfig
    config: BandedGPTConfig

    def __init__(self, config: BandedGPTConfig, codebook: Tensor, grid: tuple[int, int], tasks: Sequence[str]) -> None:
        """As VideoGPT."""
        super().__init__(config, codebook, grid, tasks)
        self.window = config.context + 1
        D, n = config.width, len(self.tasks)
        sizes = (D - D // 2, D // 2)
        self.positions = nn.ParameterList(
            [nn.Parameter(0.02 * torch.randn(length, size)) for length, size in zip(grid, sizes, strict=True)]
        )
        for table in self.positions:
            table.no_decay = True
        self.blocks = nn.ModuleList(
            OpenBlock(D, config.heads, config.feedforward, n, config.dropout) for _ in range(config.layers)
        )

    def _position(self, length: int, begin: int = 0) -> Tensor:
        index = torch.arange(begin, begin + length, device=self.start.device)
        y, x = list(self.positions)
        return torch.cat([y[index // self.grid[1] % self.grid[0]], x[index % self.grid[1]]], -1)

    def _logits(self, x: Tensor, task: Tensor, last: int | None = None, caches: list[Cache] | None = None) -> Tensor:
        begin = caches[0].keys.shape[2] if caches and caches[0].keys is not None else 0
        place = torch.arange(begin + x.shape[1], device=x.device)
        time = place // self.codes_per_frame
        mask = (place[:, None] >= place) & (time[:, None] - time <= self.config.context)
        turn = Rotation(time[begin:], self.config.width // self.config.heads)
        x = F.dropout(x, self.config.dropout, self.training)
        for i, block in enumerate(self.blocks):
            q, k, v = block.project(x, task)  # type: ignore[operator]
            q, k = turn(q), turn(k)
            if caches:
                k, v = caches[i].extend(k, v)
            rows = last if last is not None and i == len(self.blocks) - 1 else x.shape[1]
            x = block.attend(x[:, -rows:], task, q[:, :, -rows:], k, v, mask[-rows:])  # type: ignore[operator]
        return self.head(self.norm(x, task))

    def session(self, task: Tensor) -> Session:
        """Score videos frame by frame, one a row of `task` (B,)."""
        return Session(self, task)

    def to_directory(self) -> Directory:
        """As VideoGPT's."""
        directory = super().to_directory()
        return Directory(directory.config | {"kind": "banded"}, directory.tensors)

    @classmethod
    def from_directory(cls, directory: Directory) -> BandedGPT:
        """Rebuild a model in evaluation mode. Raises BadData if the folder holds something else."""
        try:
            c = directory.config
            config = BandedGPTConfig.model_validate(c["model"])
            model = cls(config, directory.tensors["codebook"], tuple(c["grid"]), c["tasks"])
            model.load_state_dict(directory.tensors)
        except (KeyError, ValueError, RuntimeError) as error:
            raise BadData(f"this folder holds no banded VideoGPT: {error}") from error
        return model.eval()
