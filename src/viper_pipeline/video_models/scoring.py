"""Log-likelihoods of whole videos from a model of windows (paper Eqs 2 and 7)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor

from viper_pipeline.core.errors import BadParams
from viper_pipeline.video_models.base import Scoring, Session, StreamingVideoModel, VideoModel

Boundary = Literal["growing", "repeat"]


@torch.no_grad()
def score_videos(
    model: VideoModel,
    codes: Tensor,
    condition: Tensor,
    *,
    boundary: Boundary = "growing",
    scoring: Scoring = "full_window",
    per_code: bool = False,
    batch: int = 64,
) -> Tensor:
    """ln p(x_t | x_{t-k..t-1}) in nats for every frame of videos; k = window - 1 context frames.

    codes (N, T, h, w), condition (N, ...) -> (N, T), or (N, T, h, w) per code. batch: windows per forward pass.
    boundary: the context of the first k frames. `growing`: all earlier frames. `repeat`: k copies of the first frame
    are put before it.
    scoring: `full_window`: one forward pass per frame, given exactly its k predecessors. `half_overlap`: windows
    overlap by half and each scores its second half; contexts have between k / 2 and k frames. `kv_cache`: one frame of
    compute per frame, for models with a cache of keys and values; their receptive field grows with every layer.
    Raises BadParams for a scoring that the model does not offer.
    """
    if scoring == "kv_cache":
        return _kv_cache(model, codes, condition, per_code, batch)
    T, k = codes.shape[1], model.window - 1
    if boundary == "repeat":
        codes = torch.cat([codes[:, :1].expand(-1, k, *codes.shape[2:]), codes], 1)
    parts = []
    if boundary == "growing" and k:
        parts.append(_batched(lambda c, t: model.log_prob(c, t, per_code), codes[:, :k], condition, batch))
    if codes.shape[1] > k and scoring == "half_overlap" and model.window > 1:
        parts.append(_half_overlap(model, codes, condition, per_code, batch))
    elif codes.shape[1] > k:
        windows = codes.unfold(1, k + 1, 1).movedim(-1, 2)
        count = windows.shape[1]
        scores = _batched(
            lambda c, t: model.log_prob_last(c, t, per_code),
            windows.flatten(0, 1),
            condition.repeat_interleave(count, 0),
            batch,
        )
        parts.append(scores.unflatten(0, (len(codes), count)))
    return torch.cat(parts, 1)[:, :T]


def _batched(score: Callable[[Tensor, Tensor], Tensor], codes: Tensor, condition: Tensor, batch: int) -> Tensor:
    return torch.cat([score(codes[i : i + batch], condition[i : i + batch]) for i in range(0, len(codes), batch)])


def _half_overlap(model: VideoModel, codes: Tensor, condition: Tensor, per_code: bool, batch: int) -> Tensor:
    """Scores of the frames from k on: windows whose second halves lie end to end; the last one may overlap more."""
    T, window = codes.shape[1], model.window
    step = window // 2
    ends = [*range(window, T, step), T]
    starts = torch.as_tensor(ends) - window
    windows = codes[:, starts[:, None] + torch.arange(window)]
    scores = _batched(
        lambda c, t: model.log_prob(c, t, per_code),
        windows.flatten(0, 1),
        condition.repeat_interleave(len(ends), 0),
        batch,
    ).unflatten(0, (len(codes), len(ends)))
    # each window scores what the one before it left; the first one only its last frame
    news = [1, *(b - a for a, b in pairwise(ends))]
    return torch.cat([scores[:, i, window - new :] for i, new in enumerate(news)], 1)


def _kv_cache(model: VideoModel, codes: Tensor, condition: Tensor, per_code: bool, batch: int) -> Tensor:
    session_of = require_session(model)
    parts = []
    for i in range(0, len(codes), batch):
        session = session_of(condition[i : i + batch])
        scores = torch.stack([session.step(frame) for frame in codes[i : i + batch].unbind(1)], 1)
        parts.append(scores if per_code else scores.sum((2, 3)))
    return torch.cat(parts)


def require_session(model: VideoModel) -> Callable[[Tensor], Session]:
    """Conditions (B, ...) -> a session of the model. Raises BadParams if it has no cache."""
    if "kv_cache" not in model.scorings:
        name = type(model).__name__
        raise BadParams(
            f"reward.scoring: kv_cache needs a model with a cache (videogpt_streaming), not {name}; or take full_window"
        )
    return cast(StreamingVideoModel, model).session


@torch.no_grad()
def score_joint(model: VideoModel, codes: Tensor, condition: Tensor, *, batch: int = 64) -> Tensor:
    """ln p of each frame's whole window, (N, T): the sum of conditionals inside the window that ends in the frame."""
    columns = []
    for t in range(codes.shape[1]):
        window = codes[:, max(0, t + 1 - model.window) : t + 1]
        columns.append(_batched(lambda c, i: score_window(model, c, i), window, condition, batch))
    return torch.stack(columns, 1)


def score_window(model: VideoModel, codes: Tensor, condition: Tensor) -> Tensor:
    """codes (N, t <= window, h, w) -> the sum (N,) of their conditionals, rescaled to `window` frames.

    Without rescaling, the short windows at the start of an episode would get the highest reward, so that resetting
    would be rewarded.
    """
    return model.log_prob(codes, condition).sum(1) * (model.window / codes.shape[1])
