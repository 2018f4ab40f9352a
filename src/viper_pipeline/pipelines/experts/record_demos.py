"""Stage `record_episodes` of suites with a motion planner: demonstrations, all of which succeed (paper 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from viper_pipeline.errors import BadData
from viper_pipeline.oracles.planner import FORMAT, Planned
from viper_pipeline.oracles.record import record as recorded
from viper_pipeline.pipelines.values import Recording
from viper_pipeline.suites import SUITES
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.progress import Report
from viper_pipeline.training.seeding import derive


def record_demos(
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
    """`record.expert` demonstrations; a planner makes no noisy ones."""
    if oracle.config.get("format") != FORMAT:
        raise BadData(f"config.json: format {oracle.config.get('format')!r} is not '{FORMAT}'; make the oracle anew")
    simulator = SUITES.get(suite)()
    spec = simulator.frame_spec(task, frames)
    episodes = recorded(
        partial(simulator.make_demos, task, spec=spec),
        Planned(len(simulator.idle_action(task))),
        record["expert"],
        "expert",
        derive(seed, "record", suite, task),
        workers=workers,
        scratch=scratch,
        progress=Report(f"demonstrations {task}"),
    )
    return Recording({"episodes": episodes}, suite, task, spec)
