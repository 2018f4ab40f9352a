"""Stage `train_oracle`: an RL agent on true state and true reward (paper 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.oracles.sb3 import OracleConfig
from viper_pipeline.oracles.sb3 import train_oracle as train
from viper_pipeline.suites import SUITES
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.progress import Report
from viper_pipeline.training.seeding import derive


def train_oracle(
    recipe: Mapping[str, Any], action_repeat: int, seed: int, scratch: Path, *, suite: str, task: str
) -> Directory:
    """recipe: an OracleConfig -> the oracle's weights and learning curve."""
    simulator = SUITES.get(suite)()
    spec = simulator.frame_spec(task, {"action_repeat": action_repeat})
    return train(
        lambda seed: simulator.make(task, seed, spec, pixels=False),
        OracleConfig.model_validate(recipe),
        seed=derive(seed, "oracle", suite, task),
        scratch=scratch,
        progress=Report(f"oracle {task}"),
    )
