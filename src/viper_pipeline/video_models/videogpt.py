"""VideoGPT: an autoregressive transformer over the codes of a few frames in raster order (paper 4.1, Table 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.config import LoopConfig
from viper_pipeline.video_models.transformer import Block, Cache, TaskNorm


class VideoGPTConfig(Config):
    """Sizes of the transformer (Table 2) and its training."""

    window: int = Field(16, ge=1, description="frames: context frames and the scored one (sequence length)")
    width: int = Field(256, gt=0, description="hidden dim D")
    feedforward: int = Field(1024, gt=0, description="feed-forward dim")
    heads: int = Field(8, gt=0, description="attention heads")
    layers: int = Field(8, gt=0, description="blocks")
    dropout: float = Field(0.0, ge=0, lt=1, description="paper 0; the reference's DMC configuration 0.1")
    training: LoopConfig

    @model_validator(mode="after")
    def _heads_divide_width(self) -> VideoGPTConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class VideoGPT(nn.Module):
    """Codebook vectors in, shifted by one code; one distribution over the codebook out, per position."""

    Config = VideoGPTConfig
    codebook: Tensor

    def __init__(self, config: VideoGPTConfig, codebook: Tensor, grid: tuple[int, int], tasks: Sequence[str]) -> None:
        """codebook (K, E): the tokenizer's vectors; grid: (h, w) codes of a frame; tasks: names, by task id."""
        super().__init__()
        self.config, self.grid, self.tasks, self.window = config, tuple(grid), tuple(tasks), config.window
        D, n = config.width, len(self.tasks)
        K, E = codebook.shape
        self.register_buffer("codebook", codebook.detach().clone().float())
        self.embed = nn.Linear(E, D)
        self.start = nn.Parameter(0.02 * torch.randn(D))
        # one table an axis, side by side: time takes what is left over when D is not a multiple of 3
        sizes = (D - 2 * (D // 3), D // 3, D // 3)
        self.positions = nn.ParameterList(
            [
                nn.Parameter(0.02 * torch.randn(length, size))
                for length, size in zip((config.window, *grid), sizes, strict=True)
            ]
        )
        for table in self.positions:
            table.no_decay = True
        self.blocks = nn.ModuleList(
            Block(D, config.heads, config.feedforward, n, config.dropout) for _ in range(config.layers)
        )
        self.norm = TaskNorm(D, n)
        self.head = nn.Linear(D, K)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @property
    def parts(self) -> dict[str, list[nn.Parameter]]:
        """One part: everything."""
        return {"model": list(self.parameters())}

    @property
    def codes_per_frame(self) -> int:
        """Z of the paper."""
        return self.grid[0] * self.grid[1]

    def loss(self, batch: tuple[Tensor, Tensor], part: str = "model") -> tuple[Tensor, dict[str, Tensor]]:
        """Mean nats a code of clips (B, window, h, w)."""
        codes, task = batch
        nll = -self._code_log_prob(codes.long(), task.long())
        last = nll[:, -self.codes_per_frame :].detach().mean()
        return nll.mean(), {"nats_per_code": nll.detach().mean(), "nats_per_code_last_frame": last}

    def log_prob(self, codes: Tensor, task: Tensor, per_code: bool = False) -> Tensor:
        """codes (B, T <= window, h, w) -> nats (B, T) or (B, T, h, w)."""
        return self._framed(self._code_log_prob(codes.long(), task), codes.shape[1], per_code)

    def log_prob_last(self, codes: Tensor, task: Tensor, per_code: bool = False) -> Tensor:
        """codes (B, T <= window, h, w) -> nats (B,) or (B, h, w) of the last frame.

        The last block and the vocabulary head see only the scored frame's positions.
        """
        return self._framed(self._code_log_prob(codes.long(), task, last=self.codes_per_frame), 1, per_code)[:, 0]

    def _framed(self, per_code: Tensor, frames: int, keep: bool) -> Tensor:
        per_code = per_code.view(len(per_code), frames, *self.grid)
        return per_code if keep else per_code.sum((2, 3))

    def _code_log_prob(self, codes: Tensor, task: Tensor, last: int | None = None) -> Tensor:
        """codes (B, T, h, w) -> (B, L) nats of each code, or of the `last` ones."""
        flat = codes.flatten(1)
        logits = self._logits(self._inputs(flat), task, last)
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

    def _logits(self, x: Tensor, task: Tensor, last: int | None = None, caches: list[Cache] | None = None) -> Tensor:
        x = F.dropout(x, self.config.dropout, self.training)
        for i, block in enumerate(self.blocks):
            only = last if i == len(self.blocks) - 1 else None
            x = block(x, task, only, caches[i] if caches else None)
        return self.head(self.norm(x, task))

    @torch.no_grad()
    def sample(self, context: Tensor, task: Tensor, frames: int, temperature: float = 1.0) -> Tensor:
        """Continue (B, t >= 1, h, w) by `frames` frames, each drawn code by code given the last window - 1 frames."""
        video = context.long()
        for _ in range(frames):
            seen = video[:, -(self.window - 1) :] if self.window > 1 else video[:, :0]
            video = torch.cat([video, self._sample_frame(seen, task, temperature)[:, None]], 1)
        return video

    def _sample_frame(self, seen: Tensor, task: Tensor, temperature: float) -> Tensor:
        caches = [Cache() for _ in self.blocks]
        begin = seen.flatten(1).shape[1]
        # a dummy last code is shifted out: the prefix ends in the position that predicts the new frame's first code
        x = self._inputs(F.pad(seen.flatten(1), (0, 1)))
        drawn: list[Tensor] = []
        for i in range(self.codes_per_frame):
            logits = self._logits(x, task, 1, caches)[:, -1].float() / temperature
            drawn.append(torch.multinomial(logits.softmax(-1), 1))
            x = (
                self.embed(self.codebook[drawn[-1]]) + self._position(1, begin + i + 1)
                if i + 1 < self.codes_per_frame
                else x
            )
        return torch.cat(drawn, 1).view(-1, *self.grid)

    def to_directory(self) -> Directory:
        """config.json holds sizes, grid and task names; weights include the codebook."""
        config = {
            "kind": "videogpt",
            "model": self.config.model_dump(mode="json"),
            "grid": list(self.grid),
            "tasks": list(self.tasks),
        }
        return Directory(config, dict(self.state_dict()))

    @classmethod
    def from_directory(cls, directory: Directory) -> VideoGPT:
        """Rebuild a model in evaluation mode. Raises BadData if the folder holds something else."""
        try:
            c = directory.config
            model = cls(
                VideoGPTConfig.model_validate(c["model"]),
                directory.tensors["codebook"],
                tuple(c["grid"]),
                c["tasks"],
            )
            model.load_state_dict(directory.tensors)
        except (KeyError, ValueError, RuntimeError) as error:
            raise BadData(f"this folder holds no VideoGPT: {error}") from error
        return model.eval()
