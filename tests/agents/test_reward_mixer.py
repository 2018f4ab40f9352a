"""Rewards and bonuses of a batch: both count in every step of a return, and a bonus is computed once per frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from viper_pipeline.agents.drq import DrQ, DrQConfig
from viper_pipeline.agents.replay import Replay
from viper_pipeline.agents.reward_mixer import RewardMixer
from viper_pipeline.rewards.base import BonusConfig, StoredReward

SMALL = DrQConfig(pixels=16, channels=(4,), kernels=(4,), strides=(4,), hidden=(8,), latent=4, shift=0, batch_size=200)


class One:
    """A bonus of 1 for every frame, that counts what it is asked for."""

    def __init__(self, **settings) -> None:
        self.config, self.asked, self.learned = BonusConfig(**settings), 0, []

    def bonus(self, frames):
        self.asked += len(frames)
        return np.ones(len(frames), np.float32)

    def update(self, frames):
        self.learned.append(len(frames))
        return {"learned": torch.tensor(float(len(self.learned)))}

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Learned(StoredReward):
    """A reward of 1 for every window, given when a batch is sampled."""

    window = 2

    def rewards(self, windows):
        return np.ones(len(windows), np.float32)

    def update(self, windows, rng):
        return {}


def filled(reward, n_step, terminal=False):
    agent = DrQ(SMALL.model_copy(update={"n_step": n_step, "gamma": 0.5}), (16, 16, 3), 1)
    replay = Replay(2, 100, agent.frame_shape, 1)
    for i in range(2):
        for _ in range(3):
            replay.start(i, np.zeros(agent.frame_shape, np.uint8))
            for step in range(8):
                replay.add(i, np.zeros(1), reward, np.zeros(agent.frame_shape, np.uint8), terminal and step == 7)
    return agent, replay


@pytest.mark.parametrize("n_step", [1, 3, 5])
def test_a_bonus_and_a_reward_of_one_per_step_give_the_same_return(n_step):
    returns = []
    for reward, source, exploration in ((1.0, None, None), (0.0, None, One()), (0.0, Learned(), None)):
        agent, replay = filled(reward, n_step, terminal=True)
        mixer = RewardMixer(source, exploration)
        returns.append(mixer.sample(agent, replay, np.random.default_rng(3), 0.0).reward)
    whole = sum(0.5**step for step in range(n_step))
    assert returns[0].max() == pytest.approx(whole) and returns[0].min() == pytest.approx(1.0)
    assert np.allclose(returns[0], returns[1]) and np.allclose(returns[0], returns[2])
    agent, replay = filled(1.0, n_step, terminal=True)
    both = RewardMixer(Learned(), One(weight=0.5)).sample(agent, replay, np.random.default_rng(3), 0.0)
    assert np.allclose(both.reward, 1.5 * returns[0])


def test_a_bonus_is_kept_until_it_has_learned_a_tenth_more():
    (agent, replay), one = filled(0.0, 3), One()
    mixer, rng, asked = RewardMixer(None, one), np.random.default_rng(0), []
    for _ in range(100):
        before = one.asked
        mixer.sample(agent, replay, rng, 0.0)
        asked.append(one.asked - before)
    assert all(count > 40 for count in asked[:10]) and sum(count > 40 for count in asked) < 40
    assert max(asked) == 48, "each frame that a step leads to, once"
    replay.add(0, np.zeros(1), 0.0, np.zeros(agent.frame_shape, np.uint8), False)
    assert np.isnan(replay.bonus[0, (replay.count[0] - 1) % replay.rows]), "a new frame has no bonus yet"


def test_a_bonus_learns_as_often_and_from_as_many_frames_as_it_says():
    (agent, replay), one = filled(0.0, 3), One(update_every=4, batch_size=500)
    mixer = RewardMixer(None, one)
    rng, metrics = np.random.default_rng(0), []
    for _ in range(9):
        mixer.sample(agent, replay, rng, 0.0)
        metrics.append(bool(mixer.metrics))
    assert one.learned == [500, 500, 500] and metrics == [True, False, False, False] * 2 + [True]
    again = RewardMixer(None, one)
    again.load_state_dict(mixer.state_dict())
    assert (again.batches, again.refresh_at) == (mixer.batches, mixer.refresh_at)
