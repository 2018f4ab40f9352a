"""Stage `record_episodes` of suites that have scripts or buttons: every episode of the player, with true scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium

from viper_pipeline.oracles.behaviour import Behaviour, Kind
from viper_pipeline.oracles.buttons import load_player
from viper_pipeline.oracles.record import record
from viper_pipeline.oracles.search import Searcher, searching
from viper_pipeline.pipelines.values import Recording
from viper_pipeline.suites import SUITES
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.progress import Report
from viper_pipeline.training.seeding import derive
from viper_pipeline.videos.episode import Episode


def record_player(
    oracle: Directory,
    frames: Mapping[str, Any],
    record_settings: Mapping[str, Any],
    seed: int,
    workers: int,
    scratch: Path,
    *,
    suite: str,
    task: str,
) -> Recording:
    """The player's expert episodes, and noisy ones that only test the reward."""
    simulator, player = SUITES.get(suite)(), load_player(oracle)
    spec = simulator.frame_spec(task, frames)
    make_env: Callable[[int], gymnasium.Env] = partial(simulator.make, task, spec=spec)
    if isinstance(player, Searcher):
        few = simulator.frame_spec(task, {**frames, "action_set": "minimal"})
        make_env = partial(searching, partial(simulator.make, task, spec=few), player.config)
    kinds: dict[Kind, int] = {"expert": record_settings["expert"], "noisy": record_settings["noisy"]}

    def episodes() -> Iterator[Episode]:
        for kind, n in kinds.items():
            yield from record(
                make_env,
                player,
                n,
                kind,
                derive(seed, "record", suite, task),
                workers=workers,
                behaviour=Behaviour.model_validate(record_settings.get("behaviour", {})),
                scratch=scratch,
                progress=Report(f"{kind} {task}"),
            )

    return Recording({"episodes": episodes()}, suite, task, spec)
