"""What videos score, as numbers: which kinds there are, and how they are kept. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from viper_pipeline.core.config import Config

if TYPE_CHECKING:
    from torch import Tensor

Scores = dict[str, list[np.ndarray]]
"""kind of video -> for each video the nats (T,) of its frames."""


class EvaluationConfig(Config):
    """Which videos are scored besides those of held-out experts."""

    freeze_at: tuple[int, ...] = Field(
        (0, 20, 120),
        description="frames of the model after which a perturbed expert video shows the same frame to its end",
    )
    episodes: int = Field(
        40,
        gt=0,
        description="largest number of training, noisy and perturbed videos scored per kind (Fig 5: 40); held-out "
        "experts and baselines, to which the scale is fitted, are all scored",
    )


def perturbed(length: int, freeze_at: tuple[int, ...], seed: int) -> dict[str, np.ndarray]:
    """For videos of `length` frames: name -> the index (length,) of the frame shown at each step.

    `frozen_S` plays the expert up to step S and then stands still; `frozen_0` never moves at all.
    """
    steps = np.arange(length)
    indices = {f"frozen_{s}": np.minimum(steps, s) for s in freeze_at if s < length - 1}
    indices["shuffled"] = np.random.default_rng(seed).permutation(length)
    indices["reversed"] = steps[::-1].copy()
    return indices


def transition_scores(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Scores of all transitions of some videos, (sum of T - 1,): all frames but the first of each video."""
    return np.concatenate([s[1:] for s in scores]) if scores else np.zeros(0)


def experts_of(scores: Mapping[str, Sequence[np.ndarray]]) -> str:
    """The kind of videos that stands for experts in a report: `test`, which nothing was fitted to, if there are any."""
    return "test" if scores.get("test") else "held_out"


def unpack(task: str, tensors: Mapping[str, Tensor]) -> tuple[Scores, dict[str, np.ndarray]]:
    """Undo `evaluation.pack`: the scores, and the true returns of the kinds that have any."""
    scores = _unpacked(task, tensors, "nats")
    returns = {k: tensors[name].numpy() for k in scores if (name := f"{task}/{k}/returns") in tensors}
    return scores, returns


def unpack_frames(task: str, tensors: Mapping[str, Tensor]) -> Scores | None:
    """The scores of single frames that `pack` was given beside those of windows; None if there were none."""
    return _unpacked(task, tensors, "frame_nats") or None


def _unpacked(task: str, tensors: Mapping[str, Tensor], which: str) -> Scores:
    kinds = sorted(name.split("/")[1] for name in tensors if name.startswith(f"{task}/") and name.endswith(f"/{which}"))
    found = {}
    for kind in kinds:
        lengths = tensors[f"{task}/{kind}/lengths"].tolist()
        found[kind] = [part.numpy() for part in tensors[f"{task}/{kind}/{which}"].split(lengths)]
    return found
