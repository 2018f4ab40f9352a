"""Stage `record_baselines`: random and idle episodes, the floors of every table and the zero of the reward's scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.oracles.behaviour import Kind
from viper_pipeline.pipelines.experts.recording import record_kinds
from viper_pipeline.pipelines.values import Recording


def record_baselines(
    frames: Mapping[str, Any],
    baselines: Mapping[str, Any],
    seed: int,
    workers: int,
    scratch: Path,
    *,
    suite: str,
    task: str,
) -> Recording:
    """Episodes of uniformly random actions, and of zero action."""
    counts: dict[Kind, int] = {"random": baselines["random"], "idle": baselines["idle"]}
    return record_kinds(counts, frames, seed, workers, scratch, suite, task)
