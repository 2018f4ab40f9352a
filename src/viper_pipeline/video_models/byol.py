"""BYOL: an implicit density, minus the distance between predicted features and those of the frame (paper A.1).

An action-free BYOL-Explore: a closed-loop RNN reads the frames, an open-loop RNN predicts up to K steps ahead, targets
come from a moving average of the encoder. Scores are negative distances in place of nats: comparable within one model,
but not likelihoods.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from viper_pipeline.video_models.base import CodeModel, VideoModelConfig


class BYOLConfig(VideoModelConfig):
    """Sizes are this project's: the paper states none."""

    window: int = Field(16, ge=2, description="frames of a training clip, and of the window that is scored")
    width: int = Field(256, gt=0, description="width of features and of both RNNs")
    horizon: int = Field(8, ge=1, description="K: open-loop steps")
    decay: float = Field(0.99, ge=0, lt=1, description="of the target encoder's moving average, per update")


class BYOL(CodeModel):
    """Encoder f, closed-loop cell h_c, open-loop cell h_o, predictor g, and the target encoder."""

    Config: ClassVar[type[BYOLConfig]] = BYOLConfig
    config: BYOLConfig
    KIND = "byol"

    def __init__(self, config: BYOLConfig, codebook: Tensor, grid: tuple[int, int], tasks: Sequence[str]) -> None:
        """codebook (K, E): the tokenizer's vectors; grid: (h, w) codes per frame; tasks: names, by task id."""
        super().__init__(config, codebook, grid, tasks)
        D = config.width
        self.encoder = nn.Sequential(
            nn.Conv2d(codebook.shape[1], D // 2, 3, padding=1), nn.SiLU(), nn.Flatten(),
            nn.Linear(D // 2 * grid[0] * grid[1], D), nn.LayerNorm(D),
        )  # fmt: skip
        self.target = copy.deepcopy(self.encoder).requires_grad_(False)
        self.carry = nn.Embedding(len(self.tasks), D)
        self.closed = nn.GRUCell(D, D)
        self.opened = nn.GRUCell(1, D)  # no actions: its input is always 0
        self.predict = nn.Sequential(nn.Linear(D, D), nn.SiLU(), nn.Linear(D, D))

    def loss(self, batch: tuple[Tensor, Tensor], part: str = "model") -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared distance of unit features over steps ahead, then over frames, of clips (B, window, h, w)."""
        if self.training:
            self._update_target()
        codes, condition = batch
        losses = self._losses(codes.long(), condition.long())
        horizons = (losses.shape[1] - 1 - torch.arange(losses.shape[1] - 1)).clamp(max=self.config.horizon)
        valid = torch.arange(losses.shape[2]) < horizons[:, None]
        weights = (valid / horizons[:, None]).to(losses)
        loss = (losses[:, :-1] * weights).sum((1, 2)).mean() / len(horizons)
        return loss, {"distance": loss.detach(), "distance_next": losses[:, :-1, 0].detach().mean()}

    @torch.no_grad()
    def _update_target(self) -> None:
        """Move the target encoder toward the encoder, before the encoder's update."""
        for slow, fast in zip(self.target.parameters(), self.encoder.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.config.decay)

    def _losses(self, codes: Tensor, condition: Tensor) -> Tensor:
        """(B, T, h, w) -> (B, T, K): L(t, k), distance of frame t + k from its prediction at t; 0 beyond the end."""
        B, T = codes.shape[:2]
        vectors = self.codebook[codes].flatten(0, 1).permute(0, 3, 1, 2)
        features = self.encoder(vectors).unflatten(0, (B, T))
        with torch.no_grad():
            targets = F.normalize(self.target(vectors).float().unflatten(0, (B, T)), dim=-1)
        state, states = self.carry(condition), []
        for t in range(T):
            state = self.closed(features[:, t], state)
            states.append(state)
        ahead, columns = torch.stack(states, 1), []
        for k in range(1, self.config.horizon + 1):
            flat = ahead.flatten(0, 1)
            ahead = self.opened(flat.new_zeros(len(flat), 1), flat).unflatten(0, (B, T))
            expected = F.normalize(self.predict(ahead[:, : max(T - k, 0)]).float(), dim=-1)
            distance = (expected - targets[:, k:]).square().sum(-1)
            columns.append(F.pad(distance, (0, T - distance.shape[1])))
        return torch.stack(columns, 2)

    def log_prob(self, codes: Tensor, condition: Tensor, per_code: bool = False) -> Tensor:
        """codes (B, T <= window, h, w) -> minus the sum of all distances to each frame, (B, T).

        Nothing predicts the first frame: it gets 0. per_code: equal shares (B, T, h, w), since features have no places.
        """
        losses = self._losses(codes.long(), condition)
        score = torch.zeros_like(losses[:, :, 0])
        for k in range(1, min(self.config.horizon, codes.shape[1] - 1) + 1):
            score[:, k:] -= losses[:, :-k, k - 1]
        return (score[..., None, None] / codes[0, 0].numel()).expand(codes.shape) if per_code else score

    def log_prob_last(self, codes: Tensor, condition: Tensor, per_code: bool = False) -> Tensor:
        """The last frame's score, (B,) or (B, h, w)."""
        return self.log_prob(codes, condition, per_code)[:, -1]

    def sample(self, context: Tensor, condition: Tensor, frames: int, temperature: float = 1.0) -> Tensor:
        """Repeats the last frame: there is no decoder, so features cannot be turned into codes."""
        return torch.cat([context.long(), context[:, -1:].long().expand(-1, frames, -1, -1)], 1)
