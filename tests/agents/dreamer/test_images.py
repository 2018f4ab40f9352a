"""What Dreamer sees with `contrast` and `difference`: in training and at play the same."""

from __future__ import annotations

import numpy as np
import torch

from tests.agents.dreamer.small import SMALL
from viper_pipeline.agents.dreamer.agent import Dreamer
from viper_pipeline.agents.dreamer.world_model import images
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


def test_difference_by_hand():
    two = torch.tensor([[100], [130]], dtype=torch.uint8).view(2, 1, 1, 1, 1)
    before = torch.tensor([90], dtype=torch.uint8).view(1, 1, 1, 1)
    middle, begin = torch.zeros(2, 1, dtype=torch.bool), torch.tensor([[True], [False]])
    assert images(two, before, middle, 2.0)[:, 0, :, 0, 0].tolist() == [[100, 148], [130, 188]]
    assert images(two, before, begin, 2.0)[:, 0, :, 0, 0].tolist() == [[100, 128], [130, 188]]
    assert images(two, before, middle, 9.0)[1, 0, 1, 0, 0] == 255  # clipped, not wrapped
    assert images(two, before, middle, 0.0) is two


def test_sequences_know_the_frame_before_them_but_not_of_another_episode():
    learner = agent(difference=2.0)
    replay = filled(learner)
    batch = replay.sample_sequences(np.random.default_rng(0), 200, 3)
    held = [frame.tobytes() for frame in replay.frames[0, : len(replay)]]
    for b in range(200):
        row = held.index(batch.frames[0, b].tobytes())
        assert batch.before[b].tobytes() == held[row if batch.is_first[0, b] else row - 1]


def test_play_sees_what_training_sees():
    learner = agent(difference=2.0, batch_size=1, batch_length=18)
    batch = learner.sample(filled(learner), np.random.default_rng(0))
    trained = learner.experience(batch).frames[:, 0]
    policy, seen = learner.policy(1), []
    policy.model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0].clone()))
    for frame, first in zip(batch.frames[:, 0], batch.is_first[:, 0], strict=True):
        policy.start(0, frame) if first else policy.push(frame[None])
        policy.act()
    assert torch.equal(torch.stack(seen), trained)


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


def test_an_update_with_both():
    learner = agent(contrast=2.0, difference=2.0)
    replay = filled(learner)
    learner.prepare(replay)
    metrics = learner.update(learner.sample(replay, np.random.default_rng(0)))
    assert all(torch.isfinite(value) for value in metrics.values())
