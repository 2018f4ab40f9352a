"""Experts of discrete actions: scripts play well, no two of their games are alike, and PPO learns which button pays."""

import gymnasium
import numpy as np
import pytest

from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.envs.atari import Atari
from viper_pipeline.experts.base import load_expert, make_expert, trained
from viper_pipeline.experts.record import record
from viper_pipeline.experts.sb3 import play
from viper_pipeline.experts.scripts import ATARI_SCRIPTS, script_for
from viper_pipeline.training.artifacts import ModelArtifact, load_artifact, save_artifact

suite = Atari()
FIRST = {"max_frames": 1600}
PPO = {"algorithm": "ppo", "environments": 2, "rollout_steps": 64, "batch_size": 32, "net_arch": (16,), "gamma": 0.5}


class Signs(gymnasium.Env):
    """The state shows which of two buttons pays; the third never does."""

    useful_actions = np.array([0, 2, 3])

    def __init__(self, seed):
        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1, 1, (5,), np.float32)

    def _show(self):
        self.sign = int(self.np_random.integers(2))
        return np.eye(2, dtype=np.float32)[self.sign]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._show(), {}

    def step(self, action):
        pays = float(np.argmax(action) == (2, 3)[self.sign])
        self.steps += 1
        return self._show(), pays, False, self.steps >= 20, {}


def train(recipe, seed, scratch=None, *progress):
    return trained(make_expert(suite, "pong", recipe), Signs, seed, scratch, *progress)


def test_ppo_learns_which_button_pays(tmp_path):
    made = train({**PPO, "steps": 4096, "learning_rate": 3e-3, "eval_every": 1024}, 0)
    save_artifact(tmp_path / "expert", made)
    policy, env = load_expert(load_artifact(tmp_path / "expert"), suite)[1], Signs(0)
    assert np.mean([play(env, policy, 100 + i) for i in range(5)]) > 17  # of 20; chance is below 7
    assert made.files["curve.csv"].startswith(b"step,return")


def test_killed_and_resumed_equals_never_killed(tmp_path):
    config = {**PPO, "steps": 512, "eval_every": 256}
    whole = train(config, 1)

    def kill(done, total, note):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, 1, tmp_path, kill)
    resumed = train(config, 1, tmp_path)
    assert resumed.config == whole.config and resumed.files == whole.files
    assert all((resumed.tensors[k] == v).all() for k, v in whole.tensors.items())


@pytest.mark.parametrize("task", ATARI_SCRIPTS)
def test_scripts_beat_random_play(task):
    env = suite.make(task, 0, FIRST, suite.frame_spec(task, FIRST, {}), pixels=False)

    def random(states, deterministic, rng):
        return rng.uniform(-1, 1, (1, 18))

    expert, chance = ([play(env, p, i) for i in range(3)] for p in (script_for(task, 0.02), random))
    assert min(expert) > max(chance)


@pytest.mark.parametrize("sticky", [0.0, 0.25])
def test_games_of_an_expert_set_are_not_copies_of_each_other(sticky):
    made = trained(make_expert(suite, "freeway", {"algorithm": "script"}), Signs, 0)
    expert, policy = load_expert(made, suite)
    rules = {"max_frames": 800, "sticky": sticky}
    make_env = expert.recording_env(rules, suite.frame_spec("freeway", rules, {}))
    games = list(record(make_env, policy, 4, "expert", 0, workers=0))
    for i, a in enumerate(games):
        for b in games[:i]:
            # traffic is the same in every game, so without sticky actions only the chicken's slips tell them apart
            assert (a.frames[20:] != b.frames[20:]).any((1, 2, 3)).mean() > 0.05
    again = list(record(make_env, policy, 1, "expert", 0, workers=0))
    assert np.array_equal(again[0].frames, games[0].frames)


def test_what_cannot_be():
    with pytest.raises(BadParams, match="no script is written for this task"):
        make_expert(suite, "zaxxon", {"algorithm": "script"})
    with pytest.raises(BadParams, match="needs continuous actions"):
        make_expert(suite, "zaxxon", {"algorithm": "sac", "steps": 2000})
    with pytest.raises(BadData, match="format"):
        load_expert(ModelArtifact({"format": "viper oracle 1"}), suite)
