"""Stages `train_agent_<method>`: one run of suite x task x method x agent x seed (paper 4.2).

The stage of method `viper` is in a file of its own, so that no other method depends on the reward's code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from viper_pipeline.agents.base import AGENTS, Prior, RewardStream, RunConfig
from viper_pipeline.agents.train import train_agent as train
from viper_pipeline.core.errors import BadParams
from viper_pipeline.data.episode import gif
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.envs import SUITES
from viper_pipeline.pipelines.datasets import by_task
from viper_pipeline.rewards.amp import AMP, AMPConfig
from viper_pipeline.rewards.rnd import RND, RNDConfig
from viper_pipeline.rewards.viper import load_reward
from viper_pipeline.training.artifacts import Directory, history_csv
from viper_pipeline.training.checkpoints import derive
from viper_pipeline.training.config import ComputeConfig
from viper_pipeline.training.progress import Report


def train_agent(
    config: Mapping[str, Any],
    run: Mapping[str, Any],
    frames: Mapping[str, Any],
    compute: Mapping[str, Any],
    scratch: Path,
    exploration: Mapping[str, Any] | None = None,
    reward: RewardStream | None = None,
    prior: Callable[[tuple[int, int, int]], Prior] | None = None,
    videos: Sequence[np.ndarray] = (),
    *,
    suite: str,
    task: str,
    method: str,
    agent: str,
    seed: int,
) -> Directory:
    """Train one agent. Only method `oracle` is paid the true reward; without any payer the bonus is all there is.

    exploration: RND's settings; an agent that is curious by itself leaves them and explores by its own.
    prior, videos: AMP's discriminator, of the agent's frame shape, and the experts' frames it is shown.

    Returns weights, curve.csv (returns of evaluation episodes against steps), and a GIF of one episode at the end.
    """
    device = ComputeConfig.model_validate(compute).begin()
    simulator = SUITES.get(suite)()
    spec = simulator.frame_spec(task, frames)
    kind = AGENTS.get(agent)
    settings = kind.Config.model_validate(config)
    limits = getattr(settings, "runs", None) or RunConfig.model_validate(run)
    bonus = RNDConfig.model_validate(exploration) if exploration and not kind.curious else None
    result = train(
        agent,
        settings,
        limits,
        lambda seed: simulator.make(task, seed, spec),
        seed=derive(seed, "agent", suite, task, method, agent),
        reward=reward,
        oracle_scale=1 / spec.action_repeat if method == "oracle" else None,
        discrete=getattr(simulator, "discrete", False),
        curious=bool(exploration) and kind.curious,
        exploration=(lambda shape: RND(bonus, shape)) if bonus else None,
        prior=prior,
        videos=videos,
        scratch=scratch,
        progress=Report(f"{method} {agent} {task} seed {seed}"),
        device=device,
    )
    kept = {
        "kind": agent,
        "suite": suite,
        "task": task,
        "method": method,
        "seed": seed,
        "agent": dict(config),
        "run": limits.model_dump(mode="json"),
        "action_repeat": spec.action_repeat,
        "final_returns": result.final_returns,
    }
    episode = gif(result.frames[::2], milliseconds=60)
    return Directory(kept, result.weights, {"curve.csv": history_csv(result.curve), "episode.gif": episode})


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
