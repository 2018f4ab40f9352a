"""Acting: exploration noise is standard normal at each step and correlated over steps; actions; evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from tests.agents.test_train import DRQ
from tests.agents.toy import SIZE, Toy
from viper_pipeline.agents.drq import DrQ
from viper_pipeline.agents.vector_env import ExplorationNoise, ProcessVectorEnv, VectorEnv, evaluate, one_hot_actions


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_each_step_is_normal_and_correlated_with_the_step_before(correlation):
    noise = ExplorationNoise(2000, 2, correlation, np.random.default_rng(0))
    steps = np.stack([noise.step().copy() for _ in range(6)])
    assert abs(steps[-1].mean()) < 0.06 and abs(steps[-1].std() - 1) < 0.06
    for lag in (1, 3):
        found = np.corrcoef(steps[0].ravel(), steps[lag].ravel())[0, 1]
        assert found == pytest.approx(correlation**lag, abs=0.06)
    noise.restart()
    assert abs(np.corrcoef(noise.values.ravel(), steps[-1].ravel())[0, 1]) < 0.06


def test_random_actions_are_uniform():
    actions = ExplorationNoise(5000, 1, 0.7, np.random.default_rng(0)).random_actions()
    assert actions.dtype == np.float32 and (np.abs(actions) <= 1).all()
    shares, _ = np.histogram(actions, 5, (-1, 1))
    assert np.allclose(shares / 5000, 0.2, atol=0.03)


def test_one_action_is_chosen():
    scores = np.random.default_rng(0).uniform(-1, 1, (20, 5)).astype(np.float32)
    actions = one_hot_actions(scores)
    assert (actions.argmax(1) == scores.argmax(1)).all() and actions.dtype == np.float32
    assert (actions.sum(1) == -3).all() and (actions.max(1) == 1).all()


def test_evaluation_depends_on_its_seeds_and_not_on_the_episodes_beside():
    agent = DrQ(DRQ, (SIZE, SIZE, 3), 1)
    returns, video, successes = evaluate(agent, VectorEnv(Toy, 4, 0), [1, 2, 3, 4, 5])
    alone = [evaluate(agent, VectorEnv(Toy, 1, 7), [seed])[0][0] for seed in (1, 2, 3, 4, 5)]
    assert np.allclose(returns, alone, atol=0.2) and len(set(returns)) == 5
    assert successes is None  # a task that does not say so
    assert video.shape == (13, SIZE, SIZE, 3) and video.dtype == np.uint8
    assert (video[0] == Toy(0).reset(seed=1)[0]).all()


class Reaching(Toy):
    """Succeeds for a moment: while the square is right of the middle. Seeds decide where it starts."""

    def step(self, action):
        frame, reward, terminated, truncated, _ = super().step(-np.ones(1))
        return frame, 10.0 * reward, terminated, truncated, {"success": self.place > 0.2}


@pytest.mark.parametrize("kind", [VectorEnv, ProcessVectorEnv])
def test_success_is_what_an_episode_says_and_no_sum_of_its_rewards(kind):
    agent = DrQ(DRQ, (SIZE, SIZE, 3), 1)
    envs, seeds = kind(Reaching, 2, 0), [1, 2, 3, 4, 5]
    try:
        found = evaluate(agent, envs, seeds)
    finally:
        envs.close()
    starts = []
    for seed in seeds:
        env = Reaching(0)
        env.reset(seed=seed)
        starts.append(env.place)
    assert found.successes == [float(start - 0.15 > 0.2) for start in starts]
    assert set(found.successes) == {0.0, 1.0}
