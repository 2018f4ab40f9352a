"""Which episodes films show, and how an agent plays one of its own again.

Of the expert videos that the models were trained on, of an agent's final evaluation, and of the recorded episodes of
random actions, it is the one with the median return: so none is chosen by how it looks. An agent's folder holds no
frames of it. The agent plays it again, from its weights. On the machine that trained it the return is the one that was
noted then; on another one the last bits of actions may differ, and with them the episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from viper_pipeline.agents.base import AGENTS, Agent, RunConfig
from viper_pipeline.agents.vector_env import MakeEnv, VectorEnv
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.rewards.base import REWARDS
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.training.checkpoints import derive


class Choice(NamedTuple):
    """Some episodes of a file."""

    group: str
    kinds: tuple[str, ...]


EXPERTS, RANDOM = Choice("train", ("expert", "noisy")), Choice("episodes", ("random",))
"""Of a file of experts, and of one of baseline episodes."""


def median_episode(file: EpisodeFile, choice: Choice) -> Episode:
    """Of the chosen episodes of a file the one with the median return. Raises BadData if there is none."""
    episodes = file.group(choice.group)
    which = [i for i, kind in enumerate(episodes.kinds) if kind in choice.kinds]
    if not which:
        raise BadData(f"{file.path}: {choice.group}: no episode of kind {' or '.join(choice.kinds)}")
    return episodes[which[median_of(episodes.returns[which])]]


def median_of(returns: Sequence[float] | np.ndarray) -> int:
    """Where the median return stands, the lower one of two."""
    return int(np.argsort(returns, kind="stable")[(len(returns) - 1) // 2])


def replay(artifact: ModelArtifact, make_env: MakeEnv, discrete: bool) -> Episode:
    """The episode of the agent's final evaluation with the median return, played again."""
    about = artifact.config
    run, chosen = RunConfig.model_validate(about["run"]), median_of(about["final_returns"])
    label = REWARDS.get(about["method"]).seed_label
    begin = derive(about["seed"], "agent", about["suite"], about["task"], label, about["kind"])
    # as many side by side as then: the batch's size changes the last bits of actions, and they a whole episode
    group = chosen - chosen % run.envs
    seeds = [derive(begin, "final", i) for i in range(group, min(group + run.envs, run.final_episodes))]
    shown, over = chosen - group, False
    envs = VectorEnv(make_env, len(seeds), begin)
    try:
        learner = load_agent(artifact, envs.frame_shape, envs.actions, discrete)
        policy = learner.policy(len(envs))
        first = np.stack([envs.reset(i, seed) for i, seed in enumerate(seeds)])
        for i, frame in enumerate(learner.preprocess(first)):
            policy.start(i, frame, seeds[i])
        frames, rewards = [first[shown].copy()], [0.0]
        while not over:
            result = envs.step(policy.act())
            frames.append(result.frames[shown].copy())
            rewards.append(float(result.rewards[shown]))
            policy.push(learner.preprocess(result.frames))
            over = bool(result.over[shown])
    finally:
        envs.close()
    return Episode(np.stack(frames), np.array(rewards, np.float32), seeds[shown], "agent")


def load_agent(artifact: ModelArtifact, frame_shape: tuple[int, int, int], actions: int, discrete: bool) -> Agent:
    """A trained agent that acts as it was evaluated. frame_shape: (H, W, C) of the environment's frames.

    Raises BadData if the weights are not those of such an agent.
    """
    about = artifact.config
    kind = AGENTS.get(about["kind"])
    learner = kind(kind.Config.model_validate(about["agent"]), frame_shape, actions, discrete=discrete, curious=False)
    places, state = learner.state_dict(), {}
    for name, tensor in artifact.tensors.items():
        for place in (name, f"mean_{name}", f"behaviour.{name}"):
            if place in places:
                state[place] = tensor
    if isinstance(learner, torch.nn.Module):
        torch.nn.Module.load_state_dict(learner, state, strict=False)
    now = learner.weights()
    if set(now) != set(artifact.tensors) or any(not torch.equal(now[k], v) for k, v in artifact.tensors.items()):
        raise BadData(
            f"agent {about['kind']} of {about['task']}: its weights do not fit today's code or settings; train it again"
        )
    return learner
