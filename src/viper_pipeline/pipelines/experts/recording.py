"""What the two recording stages share: several kinds of episodes of one task in one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from viper_pipeline.oracles.behaviour import Behaviour, Kind
from viper_pipeline.oracles.record import record
from viper_pipeline.oracles.sb3 import load_policy
from viper_pipeline.pipelines.values import Recording
from viper_pipeline.suites import SUITES
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.progress import Report
from viper_pipeline.training.seeding import derive
from viper_pipeline.videos.episode import Episode


def record_kinds(
    counts: Mapping[Kind, int],
    frames: Mapping[str, Any],
    seed: int,
    workers: int,
    scratch: Path | None,
    suite: str,
    task: str,
    oracle: Directory | None = None,
    behaviour: Behaviour | None = None,
) -> Recording:
    """counts: episodes of each kind -> a stream of them, recorded as it is read."""
    simulator = SUITES.get(suite)()
    spec = simulator.frame_spec(task, frames)
    make_env = partial(simulator.make, task, spec=spec)
    policy = load_policy(oracle) if oracle else None

    def episodes() -> Iterator[Episode]:
        for kind, n in counts.items():
            yield from record(
                make_env,
                policy,
                n,
                kind,
                derive(seed, "record", suite, task),
                workers=workers,
                idle=simulator.idle_action(task),
                behaviour=behaviour,
                scratch=scratch,
                progress=Report(f"{kind} {task}"),
            )

    return Recording({"episodes": episodes()}, suite, task, spec)
