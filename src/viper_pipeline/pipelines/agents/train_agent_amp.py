"""Stages `train_agent_amp` and `train_agent_amp_multi`: adversarial motion priors, VIPER's rival (paper 4).

`amp` is shown the expert videos of its own task, `amp_multi` those of every task of the suite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.errors import BadParams
from viper_pipeline.pipelines.agents.train_agent import train_agent
from viper_pipeline.pipelines.values import by_task
from viper_pipeline.rewards.amp import AMP, AMPConfig
from viper_pipeline.suites import SUITES
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.videos.store import EpisodeFile


def train_agent_amp(
    frames: Mapping[str, Any],
    amp: Mapping[str, Any],
    *,
    suite: str,
    task: str,
    **rest: Any,
) -> Directory:
    """As `train_agent`, with experts__<task>: files of expert videos. Refuses videos unlike what the agent sees."""
    experts: dict[str, EpisodeFile] = by_task("experts", rest)
    rest = {name: value for name, value in rest.items() if not name.startswith("experts__")}
    simulator = SUITES.get(suite)()
    for name, file in experts.items():
        if found := file.spec.differences(simulator.frame_spec(name, frames)):
            raise BadParams(
                f"{file.path}: AMP compares these videos with what the agent sees, and they were made otherwise: "
                f"{'; '.join(found)}; give suites.{suite}.datasets.{name} videos made as suites.{suite}.frames says, "
                "unmasked and at stride 1"
            )
    videos = [episode.frames for file in experts.values() for episode in file.group("train")]
    config = AMPConfig.model_validate(amp)
    return train_agent(
        frames=frames,
        prior=lambda shape: AMP(config, shape),
        videos=videos,
        suite=suite,
        task=task,
        **rest,
    )
