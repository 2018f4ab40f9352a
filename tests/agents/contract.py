"""`check_agent`: whether a class keeps the contract of `agents.base.AgentClass`; used on every registered agent."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from viper_pipeline.agents.acting import one_hot_actions
from viper_pipeline.agents.base import Agent, AgentClass, AgentConfig
from viper_pipeline.agents.replay import Replay
from viper_pipeline.core.errors import BadParams

ENVS, ACTIONS, SIDE = 2, 3, 16


def check_agent(kind: AgentClass, config: AgentConfig) -> None:
    """Raise AssertionError where an agent breaks the contract. config: a small one, for frames of 16 x 16 x 3."""
    assert isinstance(config, kind.Config) and issubclass(kind.Config, AgentConfig), "Config is an AgentConfig"
    for ability in ("discrete", "curious"):
        assert isinstance(getattr(kind, ability), bool), f"the class declares whether it is {ability}"
        if not getattr(kind, ability):
            with pytest.raises(BadParams):
                _built(kind, config, **{ability: True})
    for discrete in (False, True)[: 1 + kind.discrete]:
        for curious in (False, True)[: 1 + kind.curious]:
            check_acting(_built(kind, config, discrete=discrete, curious=curious), discrete)
            check_learning(kind, config, discrete=discrete, curious=curious)


def check_acting(agent: Agent, discrete: bool) -> None:
    """Frames are preprocessed to `frame_shape`, actions are in range, and without noise there is no chance."""
    frames = np.random.default_rng(0).integers(0, 256, (ENVS, SIDE, SIDE, 3), dtype=np.uint8)
    small = agent.preprocess(frames)
    assert small.dtype == np.uint8 and small.shape == (ENVS, *agent.frame_shape)
    noise = np.random.default_rng(1).standard_normal((ENVS, ACTIONS), np.float32)
    first = [_episode(agent, small, None), _episode(agent, small, None), _episode(agent, small, noise)]
    for actions in first:
        assert actions.shape == (ENVS, ACTIONS) and actions.dtype == np.float32 and (np.abs(actions) <= 1).all()
        if discrete:
            assert set(np.unique(actions)) <= {-1, 1} and (actions.sum(1) == 2 - ACTIONS).all(), "one-hot"
    assert np.array_equal(first[0], first[1]), "without noise the policy is deterministic"


def check_learning(kind: AgentClass, config: AgentConfig, **abilities: bool) -> None:
    """Batches can be relabeled, updates return detached numbers, and a restored agent continues exactly."""
    agent, rng = _built(kind, config, **abilities), np.random.default_rng(2)
    replay = _filled(agent, **abilities)
    agent.prepare(replay)
    batch = agent.sample(replay, rng, window=2)
    assert len(batch.places) == len(batch.reward) == len(batch.windows)
    assert batch.windows.shape[2:] == (2, *agent.frame_shape)
    ends = replay.frames_at(batch.places)
    assert np.array_equal(batch.windows[:, :, -1], ends), "windows end in the frames of the rewards"
    assert batch.add_rewards(np.ones(batch.places.shape, np.float32)).reward.shape == batch.reward.shape
    assert batch.with_reward(batch.reward + 1).reward.shape == batch.reward.shape
    zero = batch.relabel(lambda windows: np.zeros(len(windows), np.float32))
    assert zero.reward.shape == batch.reward.shape and not zero.reward.any()
    for progress in (0.25, 0.5):
        agent.schedule(progress)
        metrics = agent.update(agent.sample(replay, rng))
    assert metrics and all(v.numel() == 1 and torch.isfinite(v) and not v.requires_grad for v in metrics.values())
    buffer = io.BytesIO()
    torch.save(agent.state_dict(), buffer)
    restored = _built(kind, config, **abilities)
    restored.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    batch, ends = agent.sample(replay, rng), []
    for one in (agent, restored):
        torch.manual_seed(5)
        one.schedule(0.75)
        one.update(batch)
        ends.append(one.weights())
    assert ends[0].keys() == ends[1].keys() and ends[0], "weights have the same names"
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0]), "a restored agent continues exactly"


def _built(kind: AgentClass, config: AgentConfig, **abilities: bool) -> Agent:
    torch.manual_seed(0)
    given: dict[str, Any] = {"discrete": False, "curious": False} | abilities
    return kind(config, (SIDE, SIDE, 3), ACTIONS, **given).to("cpu")


def _episode(agent: Agent, frames: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
    policy = agent.policy(ENVS)
    for i, frame in enumerate(frames):
        policy.start(i, frame)
    policy.act(noise)
    policy.push(frames[::-1])
    return policy.act(noise).copy()


def _filled(agent: Agent, *, discrete: bool, curious: bool) -> Replay:
    rng, replay = np.random.default_rng(3), Replay(ENVS, 80, agent.frame_shape, ACTIONS)
    for i in range(ENVS):
        for step in range(40):
            frame = agent.preprocess(rng.integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8))[0]
            actions = rng.uniform(-1, 1, (1, ACTIONS)).astype(np.float32)
            action = (one_hot_actions(actions) if discrete else actions)[0]
            if step % 10:
                replay.add(i, action, float(rng.random()), frame, step % 20 == 19)
            else:
                replay.start(i, frame)
    return replay
