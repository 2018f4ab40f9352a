"""Stage `record_episodes`: every rollout of the oracle, with true rewards (paper 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.oracles.behaviour import Behaviour, Kind
from viper_pipeline.pipelines.experts.recording import record_kinds
from viper_pipeline.pipelines.values import Recording
from viper_pipeline.training.artifacts import Directory


def record_episodes(
    oracle: Directory,
    frames: Mapping[str, Any],
    record: Mapping[str, Any],
    seed: int,
    workers: int,
    scratch: Path,
    *,
    suite: str,
    task: str,
) -> Recording:
    """The oracle's expert episodes, and noisy ones that only test the reward."""
    behaviour = Behaviour.model_validate(record.get("behaviour", {}))
    counts: dict[Kind, int] = {"expert": record["expert"], "noisy": record["noisy"]}
    return record_kinds(counts, frames, seed, workers, scratch, suite, task, oracle, behaviour)
