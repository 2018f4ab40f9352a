"""Options of Dreamer for small machines: stacks, blur, contrast to a background, imagination from fewer states."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from tests.agents.dreamer.small import SMALL
from viper_pipeline.agents.dreamer.agent import Dreamer
from viper_pipeline.agents.networks import downscale
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


def test_play_shows_the_same_stacks_as_replay():
    learner, shown = agent(stack=3, batch_size=60, batch_length=2), []
    encoder, episodes = learner.model.encoder, [learner.preprocess(frames(4, e)) for e in range(2)]
    assert encoder.convs[0].in_channels == 9
    encoder.register_forward_pre_hook(lambda module, given: shown.append(given[0].numpy().copy()))
    policy, replay = learner.policy(1), Replay(1, 100, learner.frame_shape, 1)
    for first, *rest in episodes:
        policy.start(0, first)
        replay.start(0, first)
        policy.act()
        for frame in rest:
            policy.push(frame[None])
            replay.add(0, np.zeros(1, np.float32), 0.0, frame, False)
            policy.act()
    batch = learner.sample(replay, np.random.default_rng(0)).frames
    played = {image.tobytes() for images in shown for image in images}
    assert len(played) == 8 and {image.tobytes() for image in batch.reshape(-1, 9, 16, 16)} == played
    assert (shown[0][0, :3] == shown[0][0, 6:]).all(), "the first frame of an episode is repeated"
    assert torch.isfinite(learner.update(learner.sample(replay, np.random.default_rng(0)))["model_loss"])


def line(place, width=2, size=64):
    """A frame with a line, white on black."""
    picture = np.zeros((1, size, size, 3), np.uint8)
    picture[:, :, place : place + width] = 255
    return picture


def test_a_move_within_a_pixel_shows_once_frames_are_blurred():
    sharp, blurred = ([downscale(line(32 + k), 16, blur)[0, 0, 8] for k in range(5)] for blur in (0, 2))
    assert (sharp[0] == sharp[1]).all() and (sharp[1] == sharp[2]).all(), "the line stays within a block of 4"
    moves = [np.abs(np.subtract(b, a, dtype=int)).sum() for a, b in pairwise(blurred)]
    assert min(moves) > 20
    centers = [(row * np.arange(16.0)).sum() / row.sum() for row in blurred]
    assert np.allclose(np.diff(centers), 0.25, atol=0.02), "evenly, a quarter of a pixel each time"
    assert (downscale(np.full((1, 64, 64, 3), 77, np.uint8), 16, 2) == 77).all(), "edges are not darker"


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
