"""Options of Dreamer for small machines: contrast to a background, imagination from fewer states."""

from __future__ import annotations

import numpy as np
import torch

from tests.agents.dreamer.small import SMALL
from viper_pipeline.agents.dreamer.agent import Dreamer
from viper_pipeline.agents.replay import Replay

SHAPE = (16, 16, 3)


def frames(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


def agent(**settings):
    torch.manual_seed(0)
    return Dreamer(SMALL.model_copy(update=settings), SHAPE, 1)


def filled(learner, episodes=3, length=6):
    replay = Replay(1, 100, learner.frame_shape, 1)
    for e in range(episodes):
        first, *rest = learner.preprocess(frames(length, e))
        replay.start(0, first)
        for frame in rest:
            replay.add(0, np.zeros(1, np.float32), 0.0, frame, False)
    return replay


def test_contrast_takes_the_background_out_of_replay_and_play():
    learner = agent(contrast=2.0)
    replay = filled(learner)
    before = replay.frames[0, :18].astype(float)
    learner.prepare(replay)
    wanted = np.clip(128 + 2 * (before - np.median(before, 0)), 0, 255).astype(np.uint8)
    assert (replay.frames[0, :18] == wanted).all()
    assert (learner.preprocess(frames(6, 0)) == wanted[:6]).all()
    assert "background" in learner.weights()
    again = agent(contrast=2.0)
    again.load_state_dict(learner.state_dict())
    assert (again.preprocess(frames(6, 0)) == wanted[:6]).all()


def test_without_the_options_nothing_is_kept_or_changed():
    learner = agent()
    replay = filled(learner)
    before = replay.frames.copy()
    learner.prepare(replay)
    assert (replay.frames == before).all()
    assert "background" not in learner.weights() | learner.state_dict()
    batch = learner.sample(replay, np.random.default_rng(0))
    assert (learner.experience(batch).frames.numpy() == batch.frames).all()


def test_imagination_from_one_in_so_many_states():
    """The later rows of a sequence, whose states have seen more; at least from the last."""
    starts = []
    for every in (1, 3, 100):
        learner = agent(imagine_every=every, batch_size=5, batch_length=6)
        rewards = learner._reward_models
        learner._reward_models = lambda rewards=rewards: {
            "reward": lambda f, a: (starts.append(f.shape[1]), rewards()["reward"](f, a))[1]
        }
        metrics = learner.update(learner.sample(filled(learner), np.random.default_rng(0)))
        assert all(torch.isfinite(value) for value in metrics.values())
    assert starts == [30, 10, 5]
