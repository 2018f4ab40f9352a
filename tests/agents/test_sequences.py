"""Sequences: whole runs of rows, marked where episodes begin, however the ring has turned."""

from __future__ import annotations

import numpy as np
import pytest

from tests.agents.test_replay import filled, numbers
from viper_pipeline.agents.replay import Replay


@pytest.mark.parametrize("capacity", [1000, 24])
def test_rows_follow_each_other_and_episodes_begin_where_they_began(capacity):
    """Every frame, its action and its reward say the frame's number; beginnings have neither."""
    replay, first_of, _ = filled(envs=2, capacity=capacity, lengths=(5, 9, 4, 3))
    batch = replay.sample_sequences(np.random.default_rng(0), 300, 6)
    shown = numbers(batch.frames)
    begins = np.vectorize(first_of.get)(shown) == shown
    assert shown.shape == (6, 300) and (batch.is_first == begins).all() and begins.any()
    rewards = np.where(begins, 0, shown)
    assert (batch.actions[..., 0] == rewards).all() and (batch.reward.reshape(6, 300) == rewards).all()
    goes_on = ~begins[1:]
    assert (shown[1:][goes_on] == shown[:-1][goes_on] + 1).all()
    held = {int(n) for env in range(2) for n in numbers(replay.frames[env, : replay.count[env]])}
    assert set(shown.ravel()) == held, "every row is drawn, the newest and the first of episodes too"


def test_starts_are_uniform_over_environments_of_unlike_length():
    replay = Replay(2, 200, (1, 2, 2), 1)
    for i, length in enumerate((9, 39)):
        replay.start(i, np.full((1, 2, 2), 100 * i, np.uint8))
        for step in range(length):
            replay.add(i, np.zeros(1), 0.0, np.full((1, 2, 2), 100 * i + step + 1, np.uint8), False)
    starts = numbers(replay.sample_sequences(np.random.default_rng(0), 8000, 5).frames)[0]
    counts = np.unique(starts, return_counts=True)[1]
    assert len(counts) == 6 + 36 and counts.min() > 0.7 * counts.mean() and counts.max() < 1.3 * counts.mean()
    assert len(replay.sample_sequences(np.random.default_rng(0), 2, 50).frames) == 10, "no longer than there is"


def test_windows_end_in_their_row_and_never_cross_episodes():
    replay, first_of, _ = filled()
    batch = replay.sample_sequences(np.random.default_rng(0), 50, 6, window=4)
    shown, windows = numbers(batch.frames).ravel(), numbers(batch.windows)[:, 0]
    for number, window in zip(shown, windows, strict=True):
        assert list(window) == [max(number - k, first_of[number]) for k in (3, 2, 1, 0)]
    again = batch.relabel(lambda given: numbers(given)[:, -1].astype(np.float32))
    assert (again.reward == batch.reward).all(), "in the filled replay the reward of each frame is its number"
    assert (numbers(replay.frames_at(batch.places[:, 0])) == shown).all()


@pytest.mark.parametrize("capacity", [1000, 24])
def test_rows_show_the_frames_before_them_and_none_of_another_episode(capacity):
    replay, first_of, _ = filled(envs=2, capacity=capacity, lengths=(5, 9, 4, 3))
    batch = replay.sample_sequences(np.random.default_rng(0), 300, 6, stack=3)
    shown = numbers(batch.frames.reshape(6, 300, 3, *replay.frames.shape[2:]))
    alone = numbers(replay.sample_sequences(np.random.default_rng(0), 300, 6).frames)
    assert (shown[..., -1] == alone).all()
    held = {int(n) for env in range(2) for n in numbers(replay.frames[env, : replay.count[env]])}
    whole = 0
    for stack in shown.reshape(-1, 3):
        wanted = [max(stack[-1] - k, first_of[stack[-1]]) for k in (2, 1, 0)]
        if set(wanted) <= held:
            assert list(stack) == wanted
            whole += 1
        else:
            assert set(stack.tolist()) <= held and stack[-1] == wanted[-1], "what is overwritten is not shown"
    assert whole > 1000


def test_a_million_frames_cost_little_more_than_themselves():
    replay = Replay(1, 1000, (3, 64, 64), 18)
    arrays = (replay.frames, replay.actions, replay.rewards, replay.terminal, replay.begin)
    assert sum(a.nbytes for a in arrays) / 1000 < 12288 + 1024
