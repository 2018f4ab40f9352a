"""The replay: what a transition is, where an episode ends, what the ring forgets, exact resuming."""

from __future__ import annotations

import numpy as np
import pytest

from viper_pipeline.agents.replay import Replay
from viper_pipeline.training.checkpoints import restore_rng, rng_state


def filled(envs=2, capacity=1000, lengths=(5, 9, 4), terminal=False):
    """Every frame shows its own number; action and reward say the number of the frame they led to."""
    replay, number = Replay(envs, capacity, (1, 2, 2), 1), 0
    first_of, last_of = {}, {}
    for length in lengths:
        for i in range(envs):
            first = number
            replay.start(i, np.full((1, 2, 2), number, np.uint8))
            for step in range(length):
                number += 1
                end = terminal and step == length - 1
                replay.add(i, np.array([number]), float(number), np.full((1, 2, 2), number, np.uint8), end)
            for n in range(first, number + 1):
                first_of[n], last_of[n] = first, number
            number += 1
    return replay, first_of, last_of


def numbers(frames):
    return frames[..., 0, 0, 0].astype(int)


def test_reward_and_action_belong_to_the_transition_that_arrives():
    replay, first_of, _ = filled()
    batch = replay.sample(np.random.default_rng(0), 400, stack=1, n_step=1)
    here, there = numbers(batch.obs)[:, 0], numbers(replay.frames_at(batch.places[:, 0]))
    assert (there == here + 1).all()
    assert (batch.reward == there).all() and (batch.action[:, 0] == there).all()
    assert (numbers(batch.next_obs)[:, 0] == there).all()
    assert all(first_of[a] == first_of[b] for a, b in zip(here, there, strict=True))
    assert len(set(here)) == 2 * (5 + 9 + 4), "every transition can be drawn, and no last frame begins one"


def test_stacks_repeat_the_first_frame_and_never_cross_episodes():
    replay, first_of, _ = filled()
    batch = replay.sample(np.random.default_rng(0), 400, stack=3)
    for stack in numbers(batch.obs):
        newest = stack[-1]
        assert list(stack) == [max(newest - k, first_of[newest]) for k in (2, 1, 0)]


def test_windows_end_in_the_frames_that_rewards_belong_to_and_never_cross_episodes():
    replay, first_of, last_of = filled()
    batch = replay.sample(np.random.default_rng(0), 400, n_step=3, gamma=0.5, window=4)
    assert batch.windows.shape == (400, 3, 4, 1, 2, 2)
    for here, windows in zip(numbers(batch.obs)[:, 0], numbers(batch.windows), strict=True):
        for step, window in enumerate(windows, 1):
            end = min(here + step, last_of[here])
            assert list(window) == [max(end - k, first_of[end]) for k in (3, 2, 1, 0)]


def test_relabeling_with_the_stored_rewards_changes_nothing():
    """In the filled replay the reward of each frame is its number, and so it is here."""
    replay, _, _ = filled()
    batch = replay.sample(np.random.default_rng(0), 400, n_step=3, gamma=0.5, window=2)
    again = batch.relabel(lambda windows: numbers(windows)[:, -1].astype(np.float32))
    assert np.allclose(again.reward, batch.reward) and again.obs is batch.obs


@pytest.mark.parametrize("terminal", [False, True])
def test_n_step_returns_stop_at_the_end_of_the_episode(terminal):
    replay, _, last_of = filled(terminal=terminal)
    gamma = 0.5
    batch = replay.sample(np.random.default_rng(0), 400, n_step=3, gamma=gamma)
    for here, reward, discount, there in zip(
        numbers(batch.obs)[:, 0], batch.reward, batch.discount, numbers(batch.next_obs)[:, 0], strict=True
    ):
        steps = min(3, last_of[here] - here)
        assert there == here + steps
        assert reward == pytest.approx(sum(gamma**k * (here + 1 + k) for k in range(steps)))
        ended = terminal and there == last_of[here]
        assert discount == pytest.approx(0 if ended else gamma**steps)


def test_the_ring_forgets_the_oldest_and_never_mixes_old_with_new():
    replay, first_of, _ = filled(envs=1, capacity=12, lengths=(7, 6, 8))
    newest = max(first_of)
    assert len(replay) == 12
    batch = replay.sample(np.random.default_rng(0), 300, stack=3, n_step=2)
    for stack in numbers(batch.obs):
        assert list(stack) == [max(stack[-1] - k, first_of[stack[-1]]) for k in (2, 1, 0)]
        assert newest - 12 < stack[0]


def test_windows_longer_than_the_stack_do_not_reach_rows_that_were_overwritten():
    replay, first_of, _ = filled(envs=1, capacity=12, lengths=(7, 30))
    newest = max(first_of)
    batch = replay.sample(np.random.default_rng(0), 300, stack=2, window=6)
    for window in numbers(batch.windows)[:, 0]:
        assert list(window) == [max(window[-1] - k, newest - 11) for k in range(5, -1, -1)]


def test_the_running_episode_can_be_drawn_at_once():
    replay = Replay(1, 100, (1, 2, 2), 1)
    replay.start(0, np.zeros((1, 2, 2), np.uint8))
    replay.add(0, np.array([0.5]), 1.0, np.ones((1, 2, 2), np.uint8), False)
    batch = replay.sample(np.random.default_rng(0), 4, stack=3, n_step=3, gamma=0.9)
    assert (numbers(replay.frames_at(batch.places[:, 0])) == 1).all() and (batch.discount == np.float32(0.9)).all()


@pytest.mark.parametrize("capacity", [1000, 12])
def test_a_saved_replay_draws_the_same(capacity):
    replay, _, _ = filled(capacity=capacity)
    rng = np.random.default_rng(3)
    rng.random(7)
    other, again = Replay(2, capacity, (1, 2, 2), 1), np.random.default_rng(0)
    other.load_state_dict(replay.state_dict())
    restore_rng(again, rng_state(rng))
    one, two = (r.sample(g, 50, stack=2, n_step=2) for r, g in ((replay, rng), (other, again)))
    assert all(np.array_equal(getattr(one, k), getattr(two, k)) for k in vars(one))
