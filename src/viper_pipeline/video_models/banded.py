"""A VideoGPT that can be streamed: each frame attends to a band of earlier ones, with times relative to each other.

The original scores every frame by a full pass over its window. Here keys and values of the last frames are kept, and
a frame costs one frame of compute. That is sound only because the model is trained as it is used: on clips longer than
the band, with the same band. Its reach grows by one band a layer, so `streaming` scores are given a little more than
`exact` ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from viper_pipeline.errors import BadData
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.video_models.attention import OpenBlock, Rotation
from viper_pipeline.video_models.session import Session
from viper_pipeline.video_models.transformer import Cache
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig


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
