"""From windows to log-likelihoods of whole videos (paper Eqs 2 and 7)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from viper_pipeline.core.errors import BadParams
from viper_pipeline.video_models.base import VideoModel
from viper_pipeline.video_models.videogpt_streaming import Session

Boundary = Literal["growing", "repeat"]
Scoring = Literal["full_window", "half_overlap", "kv_cache"]


@torch.no_grad()
def score_videos(
    model: VideoModel,
    codes: Tensor,
    task: Tensor,
    *,
    boundary: Boundary = "growing",
    scoring: Scoring = "full_window",
    per_code: bool = False,
    batch: int = 64,
) -> Tensor:
    """ln p(x_t | x_{t-k..t-1}) in nats for every frame of videos; k = window - 1 context frames.

    codes (N, T, h, w), task (N,) -> (N, T), or (N, T, h, w) per code.
    boundary: what the first k frames are given. `growing`: all frames that there are. `repeat`: k copies of the
    first frame before it.
    scoring: `full_window`: every later frame is scored given exactly its k predecessors, one forward pass over a window
    per frame. `half_overlap`: windows overlap by half, and each scores its second half, so contexts have between k / 2
    and k frames. `kv_cache`: one frame of compute per frame, for models that keep a session.
    """
    if scoring == "kv_cache":
        return _streamed(model, codes, task, per_code, batch)
    T, k = codes.shape[1], model.window - 1
    if boundary == "repeat":
        codes = torch.cat([codes[:, :1].expand(-1, k, -1, -1), codes], 1)
    parts = []
    if boundary == "growing" and k:
        parts.append(_batched(lambda c, t: model.log_prob(c, t, per_code), codes[:, :k], task, batch))
    if codes.shape[1] > k and scoring == "half_overlap" and model.window > 1:
        parts.append(_strided(model, codes, task, per_code, batch))
    elif codes.shape[1] > k:
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


def _strided(model: VideoModel, codes: Tensor, task: Tensor, per_code: bool, batch: int) -> Tensor:
    """Scores of the frames from k on: windows whose last halves lie end to end; the last one may overlap."""
    T, window = codes.shape[1], model.window
    step = window // 2
    ends = [*range(window, T, step), T]
    starts = torch.as_tensor(ends) - window
    windows = codes[:, starts[:, None] + torch.arange(window)]
    scores = _batched(
        lambda c, t: model.log_prob(c, t, per_code), windows.flatten(0, 1), task.repeat_interleave(len(ends)), batch
    ).unflatten(0, (len(codes), len(ends)))
    # a window scores what the one before it has left; the first one its last frame alone
    news = [1, *(b - a for a, b in pairwise(ends))]
    return torch.cat([scores[:, i, window - new :] for i, new in enumerate(news)], 1)


def _streamed(model: VideoModel, codes: Tensor, task: Tensor, per_code: bool, batch: int) -> Tensor:
    sessions = require_session(model)
    parts = []
    for i in range(0, len(codes), batch):
        session = sessions(task[i : i + batch])
        scores = torch.stack([session.step(frame) for frame in codes[i : i + batch].unbind(1)], 1)
        parts.append(scores if per_code else scores.sum((2, 3)))
    return torch.cat(parts)


def require_session(model: VideoModel) -> Callable[[Tensor], Session]:
    """What opens a session of the model. Raises BadParams if it has none."""
    opened = getattr(model, "session", None)
    if opened is None:
        name = type(model).__name__
        raise BadParams(
            f"reward.scoring: kv_cache needs a model with a rolling cache (banded), not {name}; or scoring: full_window"
        )
    return opened


@torch.no_grad()
def score_joint(model: VideoModel, codes: Tensor, task: Tensor, *, batch: int = 64) -> Tensor:
    """ln p of each frame's whole window, (N, T): the sum of conditionals inside the window that ends in the frame."""
    columns = []
    for t in range(codes.shape[1]):
        window = codes[:, max(0, t + 1 - model.window) : t + 1]
        columns.append(_batched(lambda c, i: score_window(model, c, i), window, task, batch))
    return torch.stack(columns, 1)


def score_window(model: VideoModel, codes: Tensor, task: Tensor) -> Tensor:
    """codes (N, t <= window, h, w) -> the sum (N,) of their conditionals, as if there were `window` frames.

    At a beginning there are fewer. A sum of fewer nats would be the best pay there is, and to begin anew would pay.
    """
    return model.log_prob(codes, task).sum(1) * (model.window / codes.shape[1])
