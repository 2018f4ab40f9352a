"""Vector environments: processes give the same results, ends freeze, resets are per environment."""

from functools import partial

import numpy as np
import pytest

from tests.agents.test_train import DRQ, EXPLORE, RUN, same
from tests.agents.toy import Brightness, Toy
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.agents.vector_env import ProcessVectorEnv, VectorEnv

ENDING = partial(Toy, length=20, ends_at=0.6)


def test_a_run_is_the_same_bit_for_bit():
    """Three environments, so that an evaluation of four leaves some of them idle; episodes end inside rounds."""
    run = RUN.model_copy(update={"envs": 3, "round_steps": 30, "eval_episodes": 4})
    here, there = (
        train_in_environment(
            "drq",
            DRQ,
            run.model_copy(update={"processes": processes}),
            ENDING,
            seed=3,
            reward=Brightness,
            exploration=EXPLORE,
        )
        for processes in (False, True)
    )
    assert same(here, there)


@pytest.fixture
def three():
    envs = ProcessVectorEnv(ENDING, 3, 0)
    yield envs
    envs.close()


def test_one_is_reset_alone_and_those_that_ended_stand_still(three):
    here = VectorEnv(ENDING, 3, 0)
    for envs in (here, three):
        assert [envs.reset(i, 5 + i).shape for i in range(3)] == 3 * [envs.frame_shape]
    right, rewards = np.ones((3, 1), np.float32), []
    for step in range(8):
        if step == 5:
            assert np.array_equal(here.reset(1, 9), three.reset(1, 9))
        one, two = here.step(right), three.step(right)
        assert np.array_equal(one.frames, two.frames) and np.array_equal(one.rewards, two.rewards)
        assert np.array_equal(one.terminated, two.terminated) and np.array_equal(one.truncated, two.truncated)
        rewards.append(two.rewards)
    assert (np.array(rewards[:1]) > 0).all() and rewards[5][1] > 0 and (np.array(rewards[5:])[:, [0, 2]] == 0).all()
    assert len(three.step(right[:2]).frames) == 2


class Breaking(Toy):
    """Its simulator fails."""

    def step(self, action):
        raise RuntimeError("the simulator failed")


@pytest.mark.filterwarnings("ignore:.*ERROR")
def test_an_error_in_a_process_is_raised_here():
    envs = ProcessVectorEnv(Breaking, 2, 0)
    for i in range(2):
        envs.reset(i, i)
    with pytest.raises(RuntimeError, match="the simulator failed"):
        envs.step(np.zeros((2, 1), np.float32))
    envs.close()
