"""Stage `train_oracle`: an RL agent on true state and true reward (paper 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.envs import SUITES
from viper_pipeline.experts.policies import FORMAT, PlannerConfig
from viper_pipeline.experts.sb3 import OracleConfig
from viper_pipeline.experts.sb3 import train_oracle as train
from viper_pipeline.experts.sb3_discrete import train_player as train_discrete
from viper_pipeline.experts.scripts_atari import ScriptConfig
from viper_pipeline.experts.search import SearchConfig
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.checkpoints import derive
from viper_pipeline.training.progress import Report


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


def train_planner(recipe: Mapping[str, Any], *, suite: str, task: str) -> Directory:
    """recipe: a PlannerConfig, which is all there is of this oracle."""
    config = PlannerConfig.model_validate(recipe)
    return Directory({"format": FORMAT, "suite": suite, "task": task, "recipe": config.model_dump()})


def train_player(
    recipe: Mapping[str, Any], frames: Mapping[str, Any], seed: int, scratch: Path, *, suite: str, task: str
) -> Directory:
    """recipe: a ScriptConfig, SearchConfig or OracleConfig -> the player. It uses the buttons that its game does."""
    simulator = SUITES.get(suite)()
    spec = simulator.frame_spec(task, {**frames, "action_set": "minimal"} if simulator.discrete else frames)
    kinds: dict[str, type[ScriptConfig | SearchConfig]] = {"script": ScriptConfig, "search": SearchConfig}
    return train_discrete(
        lambda seed: simulator.make(task, seed, spec, pixels=False),
        kinds.get(recipe["algorithm"], OracleConfig).model_validate(recipe),
        task,
        seed=derive(seed, "oracle", suite, task),
        scratch=scratch,
        progress=Report(f"oracle {task}"),
    )
