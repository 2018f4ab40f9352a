"""Stage `train_oracle` of suites that have scripts or buttons: a script, a search, or PPO on a console's memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.oracles.buttons import train_player as train
from viper_pipeline.oracles.config import OracleConfig
from viper_pipeline.oracles.scripts import ScriptConfig
from viper_pipeline.oracles.search import SearchConfig
from viper_pipeline.suites import SUITES
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.progress import Report
from viper_pipeline.training.seeding import derive


def train_player(
    recipe: Mapping[str, Any], frames: Mapping[str, Any], seed: int, scratch: Path, *, suite: str, task: str
) -> Directory:
    """recipe: a ScriptConfig, SearchConfig or OracleConfig -> the player. It uses the buttons that its game does."""
    simulator = SUITES.get(suite)()
    spec = simulator.frame_spec(task, {**frames, "action_set": "minimal"} if simulator.discrete else frames)
    kinds: dict[str, type[ScriptConfig | SearchConfig]] = {"script": ScriptConfig, "search": SearchConfig}
    return train(
        lambda seed: simulator.make(task, seed, spec, pixels=False),
        kinds.get(recipe["algorithm"], OracleConfig).model_validate(recipe),
        task,
        seed=derive(seed, "oracle", suite, task),
        scratch=scratch,
        progress=Report(f"oracle {task}"),
    )
