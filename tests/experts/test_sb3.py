"""RL experts: trained, resumed to the last bit, stopped early, and acting without torch."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from stable_baselines3 import SAC

from tests.experts.expert_toy import STEPS, state_toy
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.envs.dmc import DMC
from viper_pipeline.experts.base import load_expert, make_expert, trained
from viper_pipeline.experts.ppo import PPOConfig
from viper_pipeline.experts.sac import FastSAC, SACConfig
from viper_pipeline.experts.sb3 import good_enough, play
from viper_pipeline.training.artifacts import ModelArtifact, load_artifact, save_artifact
from viper_pipeline.training.checkpoints import seed_everything

TINY = {"steps": 240, "batch_size": 16, "net_arch": (16, 16), "eval_every": 80, "eval_episodes": 2}
SAC_TINY = SACConfig(**TINY, learning_starts=40, environments=2, gradient_steps=2)
SAC_NOISY = SAC_TINY.model_copy(update={"action_noise": 0.5})
PPO_TINY = PPOConfig(**TINY, environments=2, rollout_steps=40)


TASK = "cartpole_balance"
"""Whose expert it is called; the toy is what it learns."""


def expert(config):
    return make_expert(DMC(), TASK, config.model_dump())


def train(config, seed, scratch=None, **more):
    return trained(expert(config), state_toy, seed, scratch, **more)


class Killed(Exception):
    """What stands for a kill in the middle of training."""


def equal(a, b):
    """Whether two experts are the same to the last bit."""
    same = a.tensors.keys() == b.tensors.keys() and all(torch.equal(a.tensors[k], b.tensors[k]) for k in a.tensors)
    return same and a.config == b.config and a.files == b.files


@pytest.mark.parametrize("config", [SAC_TINY, SAC_NOISY, PPO_TINY], ids=["sac", "sac with noise", "ppo"])
def test_killed_and_resumed_equals_never_killed(config, tmp_path):
    whole = train(config, seed=3)

    def kill(done, total, note):
        if done == 160:
            raise Killed

    with pytest.raises(Killed):
        train(config, seed=3, scratch=tmp_path, progress=kill)
    steps = []
    resumed = train(config, 3, tmp_path, progress=lambda done, total, note: steps.append(done))
    assert steps == [240]
    assert equal(whole, resumed)
    assert not equal(whole, train(config, seed=4))


def test_action_noise_pushes_one_way_for_some_steps():
    """Actions one step apart: alike under noise, which is what finds a reward that no single push reaches."""

    def correlation(config):
        learner = expert(config).learner(state_toy, 0)
        learner.learn(0, 240)
        actions = learner.agent.replay_buffer.actions[:20, :, 0]  # the random ones before the first update
        learner.close()
        return np.corrcoef(actions[:-1].ravel(), actions[1:].ravel())[0, 1]

    assert correlation(SAC_TINY) < 0.4 < correlation(SAC_TINY.model_copy(update={"action_noise": 2.0}))


@pytest.mark.parametrize("config", [SAC_TINY, PPO_TINY], ids=["sac", "ppo"])
def test_the_light_actor_acts_like_the_heavy_one(config, tmp_path):
    learner = expert(config).learner(state_toy, 0)
    learner.learn(0, 120)
    about, tensors = learner.actor()
    save_artifact(tmp_path / "expert", ModelArtifact({"actor": about}, tensors))
    policy = expert(config).policy(load_artifact(tmp_path / "expert"))
    states = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)
    shown = states if config.algorithm == "sac" else learner.env.normalize_obs(states)
    heavy, _ = learner.agent.predict(shown, deterministic=True)
    rng = np.random.default_rng(1)
    assert np.allclose(policy(states, True, rng), heavy, atol=1e-5)
    sampled = policy(np.repeat(states[:1], 4000, 0), False, rng)
    assert sampled.std() > 0 and np.abs(sampled).max() <= 1
    alone = np.concatenate([policy(state[None], True, rng) for state in states])
    assert np.allclose(alone, policy(states, True, rng), atol=1e-6)


def test_it_learns_stops_early_and_writes_a_curve():
    config = SACConfig(
        steps=3000,
        learning_starts=100,
        batch_size=32,
        net_arch=(32, 32),
        gamma=0.9,
        eval_every=300,
        stop_return=9.0,
    )
    made = train(config, seed=0)
    policy, env = load_expert(made, DMC())[1], state_toy(0)
    learned = np.mean([play(env, policy, 1000 + i) for i in range(20)])
    idle = np.mean([play(env, lambda s, d, r: np.zeros((1, 2)), 1000 + i) for i in range(20)])
    assert learned > 1.5 * idle
    rows = made.files["curve.csv"].decode().splitlines()
    assert rows[0].startswith("step,return")
    returns = [float(row.split(",")[1]) for row in rows[1:]]
    assert max(returns) <= STEPS
    assert made.config["steps_trained"] == 300 * len(returns) < config.steps
    assert returns[-1] >= 9.0 > max(returns[:-1], default=0)


def test_one_good_evaluation_may_not_be_enough():
    config = SAC_TINY.model_copy(update={"stop_return": 5.0, "stop_in_a_row": 2})
    good, bad = {"return": 6.0}, {"return": 4.0}
    assert good_enough([bad, good, good], config)
    assert not any(good_enough(h, config) for h in ([], [good], [good, bad], [good, good, bad], [bad, good]))
    assert not good_enough([good, good], SAC_TINY)


def test_best_and_last_actor():
    best, last = (train(SAC_TINY.model_copy(update={"keep": k}), seed=3) for k in ("best", "last"))
    returns = [float(row.split(",")[1]) for row in best.files["curve.csv"].decode().splitlines()[1:]]
    assert best.config["return"] == pytest.approx(max(returns), rel=1e-5)
    assert last.config["return"] == pytest.approx(returns[-1], rel=1e-5)
    assert best.files == last.files


def test_fast_updates_are_sb3s_updates():
    def trained(kind):
        nets = {"net_arch": [32, 24]}
        agent = kind(
            "MlpPolicy",
            state_toy(0),
            seed=0,
            learning_rate=3e-3,
            learning_starts=60,
            tau=0.02,
            policy_kwargs=nets,
        )
        agent.learn(60, log_interval=None)
        seed_everything(5)
        agent.train(gradient_steps=25, batch_size=32)
        return agent

    exact, fast = trained(SAC), trained(FastSAC)
    start = FastSAC("MlpPolicy", state_toy(0), seed=0, policy_kwargs={"net_arch": [32, 24]})
    for name, value in exact.policy.state_dict().items():
        assert torch.allclose(fast.policy.state_dict()[name], value, atol=2e-5), name
        assert not torch.equal(start.policy.state_dict()[name], value), name
    assert torch.allclose(fast.log_ent_coef, exact.log_ent_coef, atol=1e-5)


def test_recipes_that_cannot_be():
    with pytest.raises(ValidationError, match="learning_starts"):
        SACConfig(steps=100, learning_starts=100)
    with pytest.raises(ValidationError):
        SACConfig(steps=100, learning_rat=1e-3)
    with pytest.raises(BadData, match="format"):
        load_expert(ModelArtifact({"format": "something"}), DMC())
    with pytest.raises(BadData, match="missing"):
        recipe = {"algorithm": "sac", "steps": 2000}
        load_expert(ModelArtifact({"format": "viper expert 1", "task": TASK, "recipe": recipe, "actor": {}}), DMC())
    with pytest.raises(BadParams, match="did you mean 'sac'"):
        make_expert(DMC(), TASK, {"algorithm": "sacc"})
