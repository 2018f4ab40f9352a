"""From windows to log-likelihoods of whole videos (paper Eqs 2 and 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from viper_pipeline.video_models.base import VideoModel

Boundary = Literal["growing", "repeat"]


@torch.no_grad()
def score_videos(
    model: VideoModel,
    codes: Tensor,
    task: Tensor,
    *,
    boundary: Boundary = "growing",
    per_code: bool = False,
    batch: int = 64,
) -> Tensor:
    """ln p(x_t | x_{t-k..t-1}) in nats for every frame of videos; k = window - 1 context frames.

    codes (N, T, h, w), task (N,) -> (N, T), or (N, T, h, w) per code.
    boundary: what the first k frames are given. `growing`: all frames that there are. `repeat`: k copies of the
    first frame before it.
    Every later frame is scored given exactly its k predecessors, one window each.
    """
    T, k = codes.shape[1], model.window - 1
    if boundary == "repeat":
        codes = torch.cat([codes[:, :1].expand(-1, k, -1, -1), codes], 1)
    parts = []
    if boundary == "growing" and k:
        parts.append(_batched(lambda c, t: model.log_prob(c, t, per_code), codes[:, :k], task, batch))
    if codes.shape[1] > k:
        windows = codes.unfold(1, k + 1, 1).permute(0, 1, 4, 2, 3)
        count = windows.shape[1]
        scores = _batched(
            lambda c, t: model.log_prob_last(c, t, per_code),
            windows.flatten(0, 1),
            task.repeat_interleave(count),
            batch,
        )
        parts.append(scores.unflatten(0, (len(codes), count)))
    return torch.cat(parts, 1)[:, :T]


def _batched(score: Callable[[Tensor, Tensor], Tensor], codes: Tensor, task: Tensor, batch: int) -> Tensor:
    return torch.cat([score(codes[i : i + batch], task[i : i + batch]) for i in range(0, len(codes), batch)])


@torch.no_grad()
def score_joint(model: VideoModel, codes: Tensor, task: Tensor, *, batch: int = 64) -> Tensor:
    """ln p of each frame's whole window, (N, T): the sum of conditionals inside the window that ends in the frame."""
    columns = []
    for t in range(codes.shape[1]):
        window = codes[:, max(0, t + 1 - model.window) : t + 1]
        columns.append(_batched(lambda c, i: model.log_prob(c, i).sum(1), window, task, batch))
    return torch.stack(columns, 1)
