"""Stage `train_oracle` of suites that have scripts or buttons: a script, or PPO on a console's memory (paper 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.oracles.buttons import train_player as train
from viper_pipeline.oracles.config import OracleConfig
from viper_pipeline.oracles.scripts import ScriptConfig
from viper_pipeline.suites import SUITES
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.progress import Report
from viper_pipeline.training.seeding import derive


def train_player(
    recipe: Mapping[str, Any], frames: Mapping[str, Any], seed: int, scratch: Path, *, suite: str, task: str
) -> Directory:
    """recipe: a ScriptConfig or an OracleConfig -> the player. It learns with the buttons that its game uses."""
    simulator = SUITES.get(suite)()
    spec = simulator.frame_spec(task, {**frames, "action_set": "minimal"} if simulator.discrete else frames)
    kind = ScriptConfig if recipe["algorithm"] == "script" else OracleConfig
    return train(
        lambda seed: simulator.make(task, seed, spec, pixels=False),
        kind.model_validate(recipe),
        task,
        seed=derive(seed, "oracle", suite, task),
        scratch=scratch,
        progress=Report(f"oracle {task}"),
    )
