"""Registered environments pay what the shipped rewards say, one by one and in a batch; the examples run on them."""

import importlib.util
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import viper_pipeline
import viper_pipeline.gym
from viper_pipeline.core.errors import BadData, BadParams

EXAMPLES = Path(__file__).parents[2] / "examples"
TASK = "cartpole_balance"
ID = viper_pipeline.gym.env_id(TASK)


def test_every_task_of_every_shipped_reward_has_an_id():
    shipped = viper_pipeline.gym.shipped_tasks()
    assert TASK in shipped
    for task, reward in shipped.items():
        assert gymnasium.spec(f"viper/{task}-v0").kwargs == {"task": task, "reward": reward}
        assert task in viper_pipeline.load_reward(reward).tasks
    assert set(viper_pipeline.gym.register()) == {f"viper/{task}-v0" for task in shipped}  # a second time: no error


def test_the_reward_is_that_of_the_frames():
    env, frames, paid = gymnasium.make(ID), [], []
    env.action_space.seed(0)
    frames.append(env.reset(seed=3)[0])
    for _ in range(5):
        frame, reward, *_, info = env.step(env.action_space.sample())
        frames.append(frame)
        paid.append(reward)
        assert 0 <= info["true_reward"] <= 4  # dm_control pays up to 1 per control step
    model = viper_pipeline.load_reward(env.spec.kwargs["reward"])
    nats = model.score(np.stack(frames), TASK)
    np.testing.assert_allclose(paid, model.of(TASK).scaled(nats[1:]), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(gymnasium.make(env.spec).reset(seed=3)[0], frames[0])


def test_a_batch_pays_as_each_one_alone():
    envs = gymnasium.make_vec(ID, num_envs=2, pixels=False)
    ones = gymnasium.make_vec(ID, num_envs=2, pixels=False, vectorization_mode="sync")
    assert isinstance(envs, viper_pipeline.VectorViperWrapper)
    np.testing.assert_array_equal(envs.reset(seed=1)[0], ones.reset(seed=1)[0])
    actions = np.random.default_rng(0).uniform(-1, 1, (3, *envs.action_space.shape)).astype(np.float32)
    for action in actions:
        mine, theirs = envs.step(action), ones.step(action)
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-3, atol=1e-4)


def test_a_reward_of_ones_own_and_what_cannot_be():
    folder = viper_pipeline.rewards.pretrained.PRETRAINED / viper_pipeline.gym.shipped_tasks()[TASK]
    env = gymnasium.make(ID, reward=str(folder), pixels=False)
    assert env.reset(seed=0)[0].ndim == 1 and env.render().shape == (64, 64, 3)
    with pytest.raises(BadData, match="neither a folder"):
        gymnasium.make(ID, reward="no-such-reward")
    with pytest.raises(BadParams, match="rgb_array"):
        gymnasium.make(ID, render_mode="human")


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_stable_baselines3():
    agent, returns = example("sb3_sac").train(steps=260, learning_starts=230)
    assert agent.num_timesteps == 260
    assert len(returns.finished) == 1  # 1000 control steps at action repeat 4 are 250 steps
    viper, true = returns.finished[0]
    assert 0 < true <= 1000 and -250 <= viper <= 1.2 * 250
    assert viper == pytest.approx(agent.replay_buffer.rewards[:250].sum(), rel=1e-3)


def test_ppo_in_one_file():
    ppo = example("cleanrl_ppo")
    args = ppo.Args(steps=516, num_envs=2, rollout=258, epochs=1, minibatches=2)
    finished = ppo.train(args)
    assert len(finished) == 2  # an episode of each environment
    assert all(0 < true <= 1000 and -250 <= viper <= 1.2 * 250 for viper, true in finished)


def test_torchrl(mirror):
    pytest.importorskip("torchrl")
    ppo = example("torchrl_ppo")
    ((viper, true),) = ppo.train(steps=260, rollout=260, epochs=1, minibatches=2)
    assert 0 < true <= 1000 and -250 <= viper <= 1.2 * 250
    finished = np.array(ppo.train(steps=1280, env_id=mirror, rollout=256, gamma=0.5, learning_rate=3e-3))
    np.testing.assert_allclose(finished[:, 0], finished[:, 1], rtol=1e-5)  # this environment's reward is its true one
    assert finished[:30, 0].mean() < -4 and finished[-30:, 0].mean() > -2


class Mirror(gymnasium.Env):
    """Shows a number; the best action is that number, and pays 0. Episodes of 8 steps."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, pixels, seed):
        pass

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._show(), {"true_reward": np.float64(0)}

    def _show(self):
        self.shown = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.shown

    def step(self, action):
        paid, self.steps = -float(np.square(action - self.shown).sum()), self.steps + 1
        return self._show(), paid, False, self.steps == 8, {"true_reward": np.float64(paid)}


@pytest.fixture
def mirror():
    """An id."""
    gymnasium.register("Mirror-v0", entry_point=Mirror)
    yield "Mirror-v0"
    del gymnasium.registry["Mirror-v0"]


def test_ppo_learns_a_problem_with_a_known_answer(mirror):
    ppo = example("cleanrl_ppo")
    args = ppo.Args(mirror, steps=3000, rollout=64, gamma=0.5, learning_rate=3e-3)
    finished = np.array(ppo.train(args))[:, 0]
    first, last = finished[:50].mean(), finished[-50:].mean()
    assert first < -4 and last > -1  # of 8 steps: a random action's loss is 0.67 or more, the answer's is 0


def test_ppo_advantages_end_with_the_episode_but_not_the_value_after_a_truncation():
    import torch

    ppo = example("cleanrl_ppo")
    args = ppo.Args(gamma=0.5, gae_lambda=1.0)
    rewards, values, following = torch.ones(3, 1), torch.zeros(3, 1), torch.full((3, 1), 4.0)
    no, yes = torch.tensor([False]), torch.tensor([True])
    truncated = ppo.advantages(rewards, values, following, torch.stack([no, no, no]), torch.stack([no, yes, no]), args)
    assert truncated[:, 0].tolist() == [1 + 2 + 0.5 * 3, 3, 3]
    ended = ppo.advantages(rewards, values, following, torch.stack([no, yes, no]), torch.stack([no, yes, no]), args)
    assert ended[:, 0].tolist() == [1 + 2 + 0.5 * 1, 1, 3]
