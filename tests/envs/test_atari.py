"""Atari: real ROM frames, scores, seeds, masks, and what the end of a game is."""

from functools import cache

import numpy as np
import pytest

from viper_pipeline.core.errors import BadParams
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.atari import ALE_ACTIONS, GAMES, Atari, human_normalized, one_hot
from viper_pipeline.envs.base import FrameSpec, blacken

suite = Atari()
SHORT = {"max_frames": 200}


def play(task, steps, seed=0, action=None, pixels=True, **rules):
    """Observations, rewards, and the last step's answer, of random or constant actions."""
    env = suite.make(task, 9, rules, suite.frame_spec(task, rules, {}), pixels)
    rng = np.random.default_rng(0)
    seen, rewards, answer = [env.reset(seed=seed)[0]], [], None
    for _ in range(steps):
        answer = env.step(rng.uniform(-1, 1, ALE_ACTIONS) if action is None else one_hot(action))
        seen.append(answer[0])
        rewards.append(answer[1])
        if answer[2] or answer[3]:
            break
    return np.stack(seen), np.array(rewards), answer


@pytest.mark.parametrize("task", GAMES)
def test_a_game_follows_from_its_seed_alone(task):
    first, rewards, (_, _, _, _, info) = play(task, 12, seed=3)
    again, rewards_again, _ = play(task, 12, seed=3)
    assert first.shape == (13, 64, 64, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again) and np.array_equal(rewards, rewards_again)
    assert info["state"].shape == (256,) and info["state"].dtype == np.float32
    states = play(task, 12, seed=3, pixels=False)[0]
    assert np.array_equal(states[-1], info["state"])
    assert np.allclose(states[-1][128:], states[-1][:128] - states[-2][:128])


def test_sticky_actions_make_games_of_equal_actions_differ():
    def states(seed, sticky):
        return play("pong", 60, seed, pixels=False, sticky=sticky)[0]

    assert np.array_equal(states(1, 0.0), states(2, 0.0))
    assert not np.array_equal(states(1, 0.25), states(2, 0.25))


def test_preferences_choose_among_the_games_actions():
    spec = suite.frame_spec("freeway", {}, {})
    full, minimal = (suite.make("freeway", 0, {"action_set": s}, spec, False) for s in ("full", "minimal"))
    assert full.useful_actions.tolist() == minimal.useful_actions.tolist() == [0, 2, 5]
    assert full.numbers.tolist() == list(range(ALE_ACTIONS)) and minimal.numbers.tolist() == [0, 2, 5]
    assert full.action_space == minimal.action_space
    ups = [play("freeway", 20, action=2, pixels=False, action_set=s)[0] for s in ("full", "minimal")]
    assert np.array_equal(*ups)
    fires = play("freeway", 20, action=1, pixels=False, action_set="minimal")[0]
    idle = play("freeway", 20, action=0, pixels=False)[0]
    assert np.array_equal(fires, idle)  # a preference for what cannot be done is none
    assert np.array_equal(suite.idle_action("freeway"), one_hot(0))


def test_scores_are_true_and_not_clipped():
    _, rewards, _ = play("atlantis", 300, action=1)
    assert rewards.max() >= 100


def test_an_episode_is_cut_at_max_frames_and_not_before():
    seen, _, (_, _, terminated, truncated, _) = play("pong", 999, pixels=False, **SHORT)
    assert truncated and not terminated
    assert len(seen) == suite.episode_steps("pong", SHORT) + 1 == 51


@pytest.mark.parametrize("rule", ["continues", "terminates"])
def test_what_the_end_of_a_game_is_to_the_agent(rule):
    _, _, (_, _, terminated, truncated, _) = play(
        "assault", 5000, seed=1, pixels=False, game_over=rule, action_repeat=8
    )
    assert (terminated, truncated) == ((False, True) if rule == "continues" else (True, False))


def test_rules_change_no_picture_and_are_in_no_file():
    spec = suite.frame_spec("pong", {"sticky": 0.1}, {})
    assert spec == suite.frame_spec("pong", {"sticky": 0.25}, {}) and type(spec) is FrameSpec
    stored = FrameSpec.model_validate(spec.model_dump(mode="json"))
    assert not spec.differences(stored)
    assert suite.frame_spec("pong", {"action_repeat": 2}, {}).differences(stored)


@cache
def scored(task):
    """Two frames of one moment, before and after the score alone was changed in the console's memory."""
    env = suite.make(task, 0, {"sticky": 0.0}, suite.frame_spec(task, {}, {}))
    env.reset(seed=0)
    for _ in range(40):
        env.step(one_hot(0))
    moment = env.ale.cloneState()
    frames = []
    for points in (0, 7):
        env.ale.restoreState(moment)
        for cell in SCORE[task]:
            env.ale.setRAM(cell, points)
        frames.append(env.step(one_hot(0))[0])
    return frames


SCORE = {"pong": (13, 14), "freeway": (103, 104)}


@pytest.mark.parametrize("task", SCORE)
def test_frames_that_differ_in_the_score_alone_are_equal_after_masking(task):
    before, after = scored(task)
    mask = suite.masks(task)
    assert (before != after).any()
    assert np.array_equal(blacken(before, mask), blacken(after, mask))


@pytest.mark.parametrize("task", GAMES)
def test_masks_hide_something_and_leave_the_playfield_alone(task):
    frames = play(task, 150, seed=2)[0]
    masked = blacken(frames, suite.masks(task))
    rows = np.flatnonzero((masked != frames).any((0, 2, 3)))
    assert len(rows) and set(rows) <= {r for m in suite.masks(task) for r in range(m.top, m.bottom)}
    moving = (frames != frames[0]).any((0, 2, 3))
    assert (masked != masked[0]).any((0, 2, 3)).sum() >= 0.7 * moving.sum()
    assert sum(m.bottom - m.top for m in suite.masks(task)) <= 16


def test_human_normalized_scores():
    for task, game in GAMES.items():
        assert human_normalized(task, game.random) == 0 and human_normalized(task, game.human) == 1


def test_names():
    assert isinstance(SUITES.get("atari")(), Atari) and len(suite.tasks()) == 8
    with pytest.raises(BadParams, match="did you mean 'freeway'"):
        suite.canonical("freway")
