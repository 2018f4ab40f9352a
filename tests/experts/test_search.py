"""Search: it finds what is a few seconds away, avoids what kills, and leaves the game it imagines in as it was."""

from functools import partial

import gymnasium
import numpy as np
import pytest
from pydantic import ValidationError

from viper_pipeline.envs.atari import Atari, one_hot
from viper_pipeline.experts.base import load_expert, make_expert, trained
from viper_pipeline.experts.policies import ZeroPolicy
from viper_pipeline.experts.record import record
from viper_pipeline.experts.search import SearchConfig, Searching, searching
from viper_pipeline.training.artifacts import load_artifact, save_artifact

suite = Atari()


class Ledge(gymnasium.Env):
    """A walk of buttons left (1) and right (3): six steps to the right lies a coin, and past it a fall."""

    useful_actions = np.array([0, 1, 3])
    action_space = gymnasium.spaces.Box(-1, 1, (5,), np.float32)
    observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)

    def __init__(self, seed, fall_pays=0.0):
        self.fall_pays = fall_pays

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.lives, self.coin, self.steps = 0, 3, True, 0
        return np.zeros(1, np.float32), {"state": np.zeros(1, np.float32)}

    def _move(self, number):
        self.at += {0: 0, 1: -1, 3: 1}[int(number)]
        score, self.coin = float(self.at >= 6 and self.coin), self.coin and self.at < 6
        if self.at > 6:
            self.at, self.lives, score = 0, self.lives - 1, score + self.fall_pays
        return score

    def step(self, action):
        self.pressed = int(np.argmax(action))
        score = self._move(self.pressed)
        self.steps += 1
        return np.array([self.at], np.float32), score, False, self.steps >= 30, {"state": np.zeros(1, np.float32)}

    def imagine(self, plans):
        here = self.at, self.lives, self.coin
        scores, lives = np.zeros(plans.shape), np.zeros(plans.shape)
        for n, plan in enumerate(plans):
            for i, move in enumerate(plan):
                scores[n, i], lives[n, i] = self._move(self.useful_actions[move]), self.lives
            self.at, self.lives, self.coin = here
        return scores, lives


def game(env, seed=0, action=None):
    env.reset(seed=seed)
    pressed, score, done = [], 0.0, False
    while not done:
        _, reward, _, done, _ = env.step(np.zeros(5, np.float32) if action is None else action)
        pressed.append(env.unwrapped.pressed)
        score += reward
    return score, pressed


CONFIG = SearchConfig(futures=60, horizon=12, hold=2, follow=3)


def test_it_finds_the_coin_and_does_not_fall():
    env = searching(Ledge, CONFIG, 0)
    scores = [game(env, seed)[0] for seed in range(5)]
    assert scores == [1.0] * 5 and env.unwrapped.lives == 3


def test_no_score_makes_up_for_a_life():
    env = searching(partial(Ledge, fall_pays=100.0), CONFIG, 0)
    assert max(game(env, seed)[0] for seed in range(5)) == 1.0


def test_a_seed_is_a_game_and_another_seed_another():
    assert game(searching(Ledge, CONFIG, 0), 3) == game(searching(Ledge, CONFIG, 1), 3)
    assert game(searching(Ledge, CONFIG, 0), 3)[1] != game(searching(Ledge, CONFIG, 0), 4)[1]


def test_strong_preferences_overrule_it_and_zeros_do_not():
    left = np.array([0, 3, 0, 0, 0], np.float32)
    assert set(game(Searching(Ledge(0), CONFIG), action=left)[1]) == {1}
    score, pressed = game(Searching(Ledge(0), CONFIG))
    assert score == 1.0 and set(pressed) <= {0, 1, 3}


def test_more_steps_than_are_imagined_cannot_be_followed():
    with pytest.raises(ValidationError, match="follow 9 is more than is imagined: horizon 8"):
        SearchConfig(horizon=8, follow=9)


def atari(task, **rules):
    env = suite.make(task, 0, rules, suite.frame_spec(task, rules, {}), pixels=False)
    env.reset(seed=1)
    return env


@pytest.mark.parametrize("task", ["boxing", "kangaroo"])
def test_what_is_imagined_comes_true_and_imagining_changes_nothing(task):
    dreamer, doer = (atari(task, sticky=0.0) for _ in range(2))
    plan = np.random.default_rng(0).integers(len(doer.useful_actions), size=60)
    buttons = [one_hot(number) for number in doer.useful_actions[plan]]
    scores, lives = dreamer.imagine(np.stack([plan[::-1], plan]))
    done = [doer.step(button)[1] for button in buttons]
    assert scores[1].tolist() == done and lives[1, -1] == doer.ale.lives()
    again = [dreamer.step(button)[1] for button in buttons]
    assert again == done and (dreamer.memory == doer.memory).all()


def test_the_pipelines_expert_searches_and_its_games_differ(tmp_path):
    recipe = {"algorithm": "search", "futures": 4, "horizon": 6, "hold": 2, "follow": 3}
    save_artifact(tmp_path / "expert", trained(make_expert(suite, "boxing", recipe), Ledge, 0))
    expert, policy = load_expert(load_artifact(tmp_path / "expert"), suite)
    assert policy == ZeroPolicy(18) and expert.config == SearchConfig(**recipe)
    rules = {"max_frames": 400}
    make = expert.recording_env(rules, suite.frame_spec("boxing", rules, {}))
    games = list(record(make, policy, 2, "expert", 0, workers=0))
    again = list(record(make, policy, 2, "expert", 0, workers=0))
    assert all((a.frames == b.frames).all() for a, b in zip(games, again, strict=True))
    assert (games[0].frames[20:] != games[1].frames[20:]).any()
