"""What the two recording stages share: several kinds of episodes of one task in one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode
from viper_pipeline.envs import SUITES
from viper_pipeline.experts.behaviour import Behaviour, Kind
from viper_pipeline.experts.policies import FORMAT, Planned
from viper_pipeline.experts.record import record
from viper_pipeline.experts.record import record as recorded
from viper_pipeline.experts.sb3 import load_policy
from viper_pipeline.experts.sb3_discrete import load_player
from viper_pipeline.experts.search import Searcher, searching
from viper_pipeline.pipelines.datasets import Recording
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.checkpoints import derive
from viper_pipeline.training.progress import Report


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
