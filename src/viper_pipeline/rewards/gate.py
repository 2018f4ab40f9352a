"""Whether a reward may train an agent: it must rank experts above doing nothing, and above play under noise.

A reward that finds a baseline as likely as the experts is paid upside down by its own scale: standing still is then
worth more than what the videos show. This is known before any agent is trained, from the scores of `evaluate_reward`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy
from pydantic import Field

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import JsonView

BASELINES = ("random", "idle")
HARD = {"idle": "idle play", "contrast": "noisy play"}
"""Kinds of videos that experts must be told from, frame by frame."""
SMALLEST_AUROC = 0.7
DEVIATIONS = 2.0
"""Standard errors over episodes by which experts must lie above the better baseline."""


class Gate(Config):
    """What was found of the reward of one task."""

    usable: bool
    reasons: tuple[str, ...] = Field(description="why not; empty if it is usable")
    gap: float = Field(description="nats by which the mean frame of held-out experts lies above the better baseline's")
    gap_error: float | None = Field(description="its standard error over episodes; null: of one episode there is none")
    auroc: dict[str, float] = Field(description="kind of video -> chance that a frame of the experts scores higher")


def judge(scores: Mapping[str, Sequence[np.ndarray]]) -> Gate:
    """scores: kind of video -> nats (T,) of the frames of each; the first frame of a video belongs to no transition."""
    baseline = max((kind for kind in BASELINES if scores.get(kind)), key=lambda kind: _mean(scores[kind])[0])
    (expert, expert_error), (best, best_error) = _mean(scores["held_out"]), _mean(scores[baseline])
    gap, error = expert - best, float(np.hypot(expert_error, best_error))
    reasons = []
    if not gap > DEVIATIONS * error:  # an error of one episode is not a number
        known = (
            "of one episode, whose error is not known" if np.isnan(error) else f"with a standard error of {error:.1f}"
        )
        shown = f"{abs(gap):.1f} nats {'above' if gap > 0 else 'below'} {baseline} play, {known}"
        reasons.append(f"held-out experts score {shown}; {DEVIATIONS:.0f} standard errors above are needed")
    frames = {kind: np.concatenate([v[1:] for v in scores[kind]]) for kind in ("held_out", *HARD) if scores.get(kind)}
    aurocs = {kind: _auroc(frames["held_out"], frames[kind]) for kind in HARD if kind in frames}
    for kind, value in aurocs.items():
        if value < SMALLEST_AUROC:
            reasons.append(f"AUROC of held-out experts against {HARD[kind]} is {value:.2f}, below {SMALLEST_AUROC}")
    return Gate(
        usable=not reasons,
        reasons=tuple(reasons),
        gap=gap,
        gap_error=None if np.isnan(error) else error,
        auroc=aurocs,
    )


def require_usable(saved: JsonView, suite: str, task: str) -> None:
    """Raise BadData if `evaluate_reward` found the reward of `task` unusable, unless its parameters force it.

    saved: the config.json that it wrote.
    """
    found = saved.get("gates", {}).get(task)
    if found and not found["usable"] and not saved["reward"].get("force"):
        path = f"data/rewards/{suite}/{saved['model']}/config.json"
        raise BadData(
            f"{path}: gates.{task}: usable is false, for {'; '.join(found['reasons'])}. An agent would be paid for the "
            f"wrong thing: improve the models, or set suites.{suite}.reward.force: true to train it all the same"
        )


def _mean(videos: Sequence[np.ndarray]) -> tuple[float, float]:
    """The mean over videos of their mean frame, and its standard error; that of one video is not a number."""
    means = np.array([video[1:].mean() for video in videos])
    error = means.std(ddof=1) / len(means) ** 0.5 if len(means) > 1 else np.nan
    return float(means.mean()), float(error)


def _auroc(better: np.ndarray, worse: np.ndarray) -> float:
    return float(scipy.stats.mannwhitneyu(better, worse).statistic / (len(better) * len(worse)))
