"""Numbers that say whether a reward knows an expert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from viper_pipeline.results.statistics import auroc, spearman, value_order_correlation

BEGINNING = 50  # frames: where frozen and moving experts still look alike


def _steps(videos: Sequence[np.ndarray], end: int | None = None) -> np.ndarray:
    return np.concatenate([v[1:end] for v in videos])


def _means(videos: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([v[1:].mean() for v in videos])


def reward_metrics(scores: Mapping[str, Sequence[np.ndarray]], returns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """scores: kind -> nats (T,) of each video; returns: kind -> true returns (N,), where there are any.

    auroc_step and auroc_episode: held-out experts against random. spearman_return: episode mean of nats against true
    return, over every kind that has returns but the training videos. kinds: mean nats of a frame, and the AUROC of
    held-out experts against that kind (below 0.5: it looks better than the expert).
    """
    expert = scores["held_out"]
    judged = [k for k in returns if k != "train"]
    nats = np.concatenate([_means(scores[k]) for k in judged])
    true = np.concatenate([returns[k] for k in judged])
    known = ~np.isnan(true)
    return {
        "auroc_step": auroc(_steps(expert), _steps(scores["random"])),
        "auroc_episode": auroc(_means(expert), _means(scores["random"])),
        "spearman_return": spearman(nats[known], true[known]),
        "value_order_correlation": value_order_correlation([v[1:] for v in expert]),
        "kinds": {
            kind: {
                "nats": float(_steps(videos).mean()),
                "videos": len(videos),
                "auroc_step": auroc(_steps(expert), _steps(videos)),
                "auroc_beginning": auroc(_steps(expert, BEGINNING), _steps(videos, BEGINNING)),
            }
            for kind, videos in scores.items()
        },
    }
