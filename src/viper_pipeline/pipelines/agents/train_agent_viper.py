"""Stage `train_agent_viper`: an agent that is paid by the video model (paper 3.2, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.pipelines.agents.train_agent import train_agent
from viper_pipeline.rewards.load import load_reward
from viper_pipeline.suites import SUITES
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.compute import ComputeConfig


def train_agent_viper(
    frames: Mapping[str, Any],
    compute: Mapping[str, Any],
    tokenizer: Directory,
    video_model: Directory,
    reward: Directory,
    *,
    suite: str,
    task: str,
    model: str,
    **rest: Any,
) -> Directory:
    """As `train_agent`. Refuses an environment whose frames are unlike those that the model was trained on."""
    viper = load_reward(tokenizer, video_model, reward, task).to(ComputeConfig.model_validate(compute).begin())
    viper.check(SUITES.get(suite)().frame_spec(task, frames))
    return train_agent(frames=frames, compute=compute, reward=viper.stream(), suite=suite, task=task, **rest)
