"""MaskGIT over space, autoregressive over time (paper 4.4, Fig 9): the codes of a frame are filled in group by group.

A frame's likelihood is that of one fixed order in which its codes are revealed in up to 8 groups: within a group codes
are independent given the earlier frames and groups. When scoring, the true codes of earlier groups are known, so all
groups are scored in one pass and the context is processed once instead of eight times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from viper_pipeline.training.initialization import without_decay
from viper_pipeline.video_models.base import CodeModel
from viper_pipeline.video_models.transformer import ConditionalNorm, MaskedBlock, masked_blocks
from viper_pipeline.video_models.videogpt import VideoGPTConfig

Keys = list[tuple[Tensor, Tensor]]


class MaskGITConfig(VideoGPTConfig):
    """VideoGPT's sizes (Table 2 holds for both)."""

    passes: int = Field(8, ge=1, description="groups in which the codes of a frame are revealed (paper: up to 8)")


class MaskGIT(CodeModel):
    """Two kinds of tokens: whole frames, visible to all later frames, and partly masked copies to be filled in."""

    Config: ClassVar[type[MaskGITConfig]] = MaskGITConfig
    config: MaskGITConfig
    KIND = "maskgit"
    group: Tensor

    def __init__(self, config: MaskGITConfig, codebook: Tensor, grid: tuple[int, int], tasks: Sequence[str]) -> None:
        """codebook (K, E): the tokenizer's vectors; grid: (h, w) codes per frame; tasks: names, by task id."""
        super().__init__(config, codebook, grid, tasks)
        D, n, Z = config.width, len(self.tasks), self.codes_per_frame
        self.embed = nn.Linear(codebook.shape[1], D)
        self.masked = nn.Parameter(0.02 * torch.randn(D))
        self.time = nn.Parameter(0.02 * torch.randn(config.window, D))
        self.place = nn.Parameter(0.02 * torch.randn(Z, D))
        without_decay(self.time, self.place)
        self.blocks = nn.ModuleList(
            MaskedBlock(D, config.heads, config.feedforward, n, config.dropout) for _ in range(config.layers)
        )
        self.norm, self.head = ConditionalNorm(D, n), nn.Linear(D, codebook.shape[0])
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("group", groups(Z, config.passes), persistent=False)

    def loss(self, batch: tuple[Tensor, Tensor], part: str = "model") -> tuple[Tensor, dict[str, Tensor]]:
        """Mean nats per masked code of clips (B, window, h, w); a random share of each frame's codes is masked."""
        flat, condition = batch[0].long().flatten(2), batch[1].long()
        noise = torch.rand(flat.shape, device=flat.device)
        share = torch.cos(math.pi / 2 * torch.rand(flat.shape[:2], device=flat.device))
        masked = noise.argsort(-1).argsort(-1) < (share * flat.shape[2]).ceil()[..., None]
        frames = torch.arange(flat.shape[1], device=flat.device)
        logits = self._fill(flat, masked, frames, self._known(flat, condition), condition)
        nll = F.cross_entropy(logits.float().flatten(0, 2), flat.flatten(), reduction="none").view_as(flat)
        loss = (nll * masked).sum() / masked.sum()
        return loss, {"nats_per_masked_code": loss.detach()}

    def log_prob(self, codes: Tensor, condition: Tensor, per_code: bool = False) -> Tensor:
        """codes (B, T <= window, h, w) -> nats (B, T) or (B, T, h, w)."""
        flat = codes.long().flatten(2)
        known = self._known(flat, condition)
        nats = torch.stack([self._frame(flat, t, known, condition) for t in range(codes.shape[1])], 1).view(codes.shape)
        return nats if per_code else nats.sum((2, 3))

    def log_prob_last(self, codes: Tensor, condition: Tensor, per_code: bool = False) -> Tensor:
        """codes (B, T <= window, h, w) -> nats (B,) or (B, h, w) of the last frame."""
        flat = codes.long().flatten(2)
        nats = self._frame(flat, codes.shape[1] - 1, self._known(flat[:, :-1], condition), condition).view(
            -1, *self.grid
        )
        return nats if per_code else nats.sum((1, 2))

    def _frame(self, flat: Tensor, t: int, known: Keys, condition: Tensor) -> Tensor:
        """Nats (B, Z) of frame t: one copy per group, in which this group and later ones are masked."""
        number = torch.arange(int(self.group.max()) + 1, device=flat.device)
        masked = (self.group >= number[:, None]).expand(len(flat), -1, -1)
        copies = flat[:, t : t + 1].expand(-1, len(number), -1)
        seen = [(k[:, :, : t * flat.shape[2]], v[:, :, : t * flat.shape[2]]) for k, v in known]
        logits = self._fill(copies, masked, torch.full((len(number),), t, device=flat.device), seen, condition)
        own = self.group[None, :, None, None].expand(len(flat), -1, 1, logits.shape[-1])
        logits = logits.transpose(1, 2).gather(2, own).squeeze(2).float()
        return -F.cross_entropy(logits.flatten(0, 1), flat[:, t].flatten(), reduction="none").view(len(flat), -1)

    def _known(self, flat: Tensor, condition: Tensor) -> Keys:
        """Keys and values of whole frames (B, T, Z), per block; a frame attends to itself and earlier ones."""
        B, T, Z = flat.shape
        if not T:
            heads = self.config.heads
            empty = self.embed.weight.new_zeros(B, heads, 0, self.config.width // heads)
            return [(empty, empty) for _ in self.blocks]
        x = (self.embed(self.codebook[flat]) + self.time[:T, None] + self.place).flatten(1, 2)
        time = torch.arange(T * Z, device=flat.device) // Z
        keys = []
        for block in masked_blocks(self.blocks):
            q, k, v = block.project(x, condition)
            keys.append((k, v))
            x = block.attend(x, condition, q, k, v, time[:, None] >= time)
        return keys

    def _fill(self, flat: Tensor, masked: Tensor, frames: Tensor, known: Keys, condition: Tensor) -> Tensor:
        """Copies (B, M, Z) of frames (M,) with masked codes -> logits (B, M, Z, K), given the known earlier frames."""
        M, Z = flat.shape[1:]
        x = torch.where(masked[..., None], self.masked, self.embed(self.codebook[flat]))
        x = (x + self.time[frames][:, None] + self.place).flatten(1, 2)
        copy = torch.arange(M * Z, device=flat.device) // Z
        earlier = torch.arange(known[0][0].shape[2], device=flat.device) // Z < frames[copy][:, None]
        mask = torch.cat([earlier, copy[:, None] == copy], 1)
        for block, (keys, values) in zip(masked_blocks(self.blocks), known, strict=True):
            q, k, v = block.project(x, condition)
            k, v = torch.cat([keys.to(k), k], 2), torch.cat([values.to(v), v], 2)
            x = block.attend(x, condition, q, k, v, mask)
        return self.head(self.norm(x, condition)).unflatten(1, (M, Z))

    @torch.no_grad()
    def sample(self, context: Tensor, condition: Tensor, frames: int, temperature: float = 1.0) -> Tensor:
        """Continue (B, t >= 1, h, w) by `frames` frames, each drawn group by group from the scored distribution."""
        video = context.long().flatten(2)
        for _ in range(frames):
            seen = video[:, -(self.window - 1) :] if self.window > 1 else video[:, :0]
            known, new = self._known(seen, condition), torch.zeros_like(video[:, :1])
            time = torch.tensor([seen.shape[1]], device=video.device)
            for number in range(int(self.group.max()) + 1):
                masked = (self.group >= number).expand_as(new)
                logits = self._fill(new, masked, time, known, condition).float() / temperature
                drawn = torch.distributions.Categorical(logits=logits).sample()
                new = torch.where((self.group == number).expand_as(new), drawn, new)
            video = torch.cat([video, new], 1)
        return video.unflatten(2, self.grid)


def groups(codes: int, passes: int) -> Tensor:
    """(codes,): the group in which each code is revealed, 0 first; cosine schedule: few codes first, many last."""
    order = torch.randperm(codes, generator=torch.Generator().manual_seed(0))
    passes = min(passes, codes)
    ends = codes * (1 - torch.cos(math.pi / 2 * torch.arange(1, passes + 1) / passes))
    ends = torch.maximum(ends.round().long(), torch.arange(1, passes + 1))
    ends[-1] = codes
    rank = torch.empty(codes, dtype=torch.long)
    rank[order] = torch.arange(codes)
    return torch.searchsorted(ends, rank, right=True)
