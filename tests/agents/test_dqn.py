"""DQN: its values on a chain with a known answer, its targets, its random actions, and that it learns a small game."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.agents.toy import Toy
from viper_pipeline.agents.base import RunConfig
from viper_pipeline.agents.dqn import DQN, DQNConfig, squashed, unsquashed
from viper_pipeline.agents.replay import Transitions
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.core.errors import BadParams
from viper_pipeline.rewards.methods import ScaledTaskReward

SMALL = DQNConfig(
    pixels=8, stack=1, channels=(4,), kernels=(3,), strides=(2,), hidden=16, batch_size=32, n_step=1, shift=0,
    learning_rate=3e-3, tau=0.05, gamma=0.8,
)  # fmt: skip
STATES, ACTIONS = 4, 3


def agent(**changes):
    torch.manual_seed(0)
    return DQN(SMALL.model_copy(update=changes), (16, 16, 3), ACTIONS)


def stacks(states):
    """One picture per state: a bright stripe at its place."""
    images = np.zeros((len(states), 1, 8, 8), np.uint8)
    images[np.arange(len(states)), 0, :, 2 * np.asarray(states)] = 255
    return images


def transitions(states, actions, rewards, discounts, following):
    n = len(states)
    one_hot = np.where(np.arange(ACTIONS) == np.asarray(actions)[:, None], 1, -1)
    return Transitions(
        obs=stacks(states),
        action=one_hot.astype(np.float32),
        reward=np.asarray(rewards, np.float32),
        discount=np.asarray(discounts, np.float32),
        next_obs=stacks(following),
        weights=np.ones((n, 1), np.float32),
        windows=np.zeros((n, 1, 0, 1, 8, 8), np.uint8),
        places=np.zeros((n, 1), np.int64),
    )


@pytest.mark.parametrize("dueling", [True, False])
def test_values_of_a_chain_are_the_known_ones(dueling):
    """Action 2 goes right, the others stay; going right from the last state pays 10 and ends the episode."""
    learner, rng = agent(dueling=dueling), np.random.default_rng(0)
    for _ in range(500):
        states, actions = rng.integers(0, STATES, 32), rng.integers(0, ACTIONS, 32)
        ends = (states == STATES - 1) & (actions == 2)
        following = np.minimum(states + (actions == 2), STATES - 1)
        learner.update(transitions(states, actions, 10.0 * ends, np.where(ends, 0, 0.8), following))
    with torch.no_grad():
        values = unsquashed(learner.online(torch.from_numpy(stacks(range(STATES))))).numpy()
    best = 10 * 0.8 ** np.arange(STATES)[::-1]
    expected = np.stack([0.8 * best, 0.8 * best, best], 1)
    assert np.abs(values - expected).max() < 0.5
    assert (learner.act(stacks(range(STATES))[:, None]).argmax(1) == 2).all()


def test_double_takes_the_target_value_of_the_action_that_the_online_network_prefers():
    obs = torch.from_numpy(stacks([1, 2]))
    tables = torch.tensor([[0.0, 1.0, 0.5]] * 2), torch.tensor([[3.0, 1.0, 2.0]] * 2)
    for double, expected in ((True, 1.0), (False, 3.0)):
        learner = agent(double=double)
        for network, table in zip((learner.online, learner.target), tables, strict=True):
            network.forward = lambda _, table=table: table
        assert learner._next_value(obs).tolist() == [expected, expected]


@given(st.floats(-1e5, 1e5, width=32))
def test_the_scale_of_values_is_undone(value):
    x = torch.tensor([value])
    assert unsquashed(squashed(x)).item() == pytest.approx(value, rel=1e-3, abs=1e-4)


def test_random_actions_fall_to_their_share_and_are_uniform():
    learner, noise = agent(epsilon=0.2, epsilon_until=0.5), np.random.default_rng(0).standard_normal((3000, ACTIONS))
    obs = np.repeat(stacks([0])[:, None], len(noise), 0)
    best = learner.act(obs[:1]).argmax()
    for progress, share in ((0.0, 1.0), (0.25, 0.6), (0.5, 0.2), (1.0, 0.2)):
        learner.schedule(progress)
        assert learner.epsilon == pytest.approx(share)
        counts = np.bincount(learner.act(obs, noise.astype(np.float32)).argmax(1), minlength=ACTIONS) / len(noise)
        expected = np.full(ACTIONS, share / ACTIONS)
        expected[best] += 1 - share
        assert np.abs(counts - expected).max() < 0.03
    assert (learner.act(obs).argmax(1) == best).all(), "none without noise"


def test_a_gradient_is_clipped_to_its_norm():
    learner = agent(clip=1e-3)
    learner.update(transitions([0, 1], [0, 1], [1e4, -1e4], [0, 0], [0, 0]))
    assert learner.trained.vector.grad.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_gray_is_the_mean_of_the_colors():
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    seen, colored = agent().preprocess(frames), agent(gray=False).preprocess(frames)
    assert seen.shape == (2, 1, 8, 8) and colored.shape == (2, 3, 8, 8)
    assert np.abs(seen[:, 0] - colored.mean(1)).max() < 1


def test_continuous_actions_are_refused():
    with pytest.raises(BadParams, match="continuous actions"):
        DQN(SMALL, (16, 16, 3), 2, discrete=False)


class Buttons(Toy):
    """The bright square, moved left or right by two buttons."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def step(self, action):
        return super().step(np.array([1.0 if action[1] > action[0] else -1.0]))


def test_learns_a_game_by_the_training_loop():
    run = RunConfig(
        steps=600, envs=2, round_steps=12, random_steps=96, eval_every=600, eval_episodes=2, final_episodes=8
    )
    config = SMALL.model_copy(update={"pixels": 16, "stack": 2, "n_step": 3, "average": 0.9})
    result = train_in_environment(
        "dqn", config, run, Buttons, seed=0, discrete=True, reward=lambda shape: ScaledTaskReward(1.0)
    )
    # Twelve steps right from a start between 0 and .5: 11.2 on average, at least 10; random play about 4.
    assert min(result.final_returns) > 9
