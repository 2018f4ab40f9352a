"""Dreamer in the training loop: with every reward, with discrete actions, and killed and resumed."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from tests.agents.dreamer.small import SMALL, Discrete
from tests.agents.test_amp import PRIOR, videos
from tests.agents.test_train import Killed, Mortal, same
from tests.agents.toy import SIZE, Brightness, Toy
from viper_pipeline.agents.base import AGENTS, RunConfig
from viper_pipeline.agents.dreamer.agent import Dreamer
from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.replay import Replay
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.agents.vector_env import VectorEnv, evaluate

TINY = SMALL.model_copy(update={"batch_size": 3, "batch_length": 5, "horizon": 3})
RUN = RunConfig(
    steps=96, envs=2, round_steps=12, random_steps=24, updates_per_step=0.25, eval_every=48, eval_episodes=3,
    final_episodes=5, checkpoint_every=24,
)  # fmt: skip
train = partial(train_in_environment, "dreamer", TINY, RUN)


def agent(**kwargs):
    torch.manual_seed(0)
    return Dreamer(TINY.model_copy(update=kwargs), (SIZE, SIZE, 3), 1, curious=True)


def filled(learner, steps=30):
    rng, replay = np.random.default_rng(0), Replay(2, 200, learner.frame_shape, 1)
    for i in range(2):
        for step in range(steps):
            frame = rng.integers(0, 256, learner.frame_shape, dtype=np.uint8)
            if step % 10 == 0:
                replay.start(i, frame)
            else:
                replay.add(i, rng.uniform(-1, 1, 1), float(rng.random()), frame, step % 20 == 19)
    return replay


def test_is_registered_with_its_configuration():
    assert AGENTS.get("dreamer") is Dreamer and Dreamer.discrete and Dreamer.curious


def test_each_part_is_taught_by_an_update_and_only_the_slow_critics_follow():
    learner = agent()
    before = {name: p.clone() for name, p in learner.named_parameters()}
    batch = learner.sample(filled(learner), np.random.default_rng(0))
    for _ in range(2):
        metrics = learner.update(batch)
    still = {name for name, p in learner.named_parameters() if torch.equal(p, before[name])}
    # Two-hot heads begin at 0, so what lies before their last layer moves from the second update on.
    assert not {name for name in still if ".slow." not in name}
    assert {"model_loss", "reward_return", "bonus_return", "disagreement_loss"} <= metrics.keys()
    assert all(torch.isfinite(value) and not value.requires_grad for value in metrics.values())


def test_a_critic_for_each_reward_or_one_for_their_sum():
    assert set(agent().behaviour.critics) == {"reward", "bonus"}
    assert agent(explore_weight=3.0).behaviour.shares == {"reward": 0.25, "bonus": 0.75}
    one = agent(combine="rewards", explore_weight=3.0)
    assert set(one.behaviour.critics) == {"reward"}
    features, actions = torch.randn(3, 4, one.model.rssm.size), torch.randn(2, 4, 1)
    with torch.no_grad():
        rewards = one._reward_models()["reward"](features, actions)
        assert torch.allclose(rewards, one.model.reward(features[1:]) + 3 * one.curiosity.rewards(features, actions))


def test_a_reward_that_is_none_has_no_share():
    torch.manual_seed(0)
    alone = Dreamer(TINY.model_copy(update={"explore_weight": 0.1}), (SIZE, SIZE, 3), 1, curious=True, rewarded=False)
    assert alone.behaviour.shares == {"bonus": 1.0}
    metrics = alone.update(alone.sample(filled(alone), np.random.default_rng(0)))
    assert "bonus_return" in metrics and "reward_return" not in metrics
    assert "bonus_critic_error" in metrics and 0 <= metrics["kl_below_free"] <= 1
    result = train(Toy, seed=3, curious=True)
    assert "bonus_return" in result.curve[-1] and "reward_return" not in result.curve[-1]


def test_the_ensemble_learns_at_its_own_rate():
    rates = {"policy_rate": 1e-3, "ensemble_rate": 3e-3}
    assert agent(**rates).curiosity.optimizer.param_groups[0]["lr"] == 3e-3
    assert agent(policy_rate=2e-3).curiosity.optimizer.param_groups[0]["lr"] == 2e-3
    reference = DreamerConfig(preset="reference")
    assert (reference.ensemble_rate, reference.policy_rate, reference.average) == (1e-4, 3e-5, 0.0)


def test_a_sequence_begins_without_the_action_before_it(monkeypatch):
    learner = agent()
    batch = learner.sample(filled(learner), np.random.default_rng(0))
    assert not batch.is_first[0].all()
    seen = []
    loss = learner.model.loss
    monkeypatch.setattr(learner.model, "loss", lambda data: seen.append(data) or loss(data))
    learner.update(batch)
    assert seen[0].is_first[0].all() and np.array_equal(seen[0].is_first[1:].numpy(), batch.is_first[1:])


def test_the_averaged_actor_is_judged_and_the_other_acts():
    torch.manual_seed(0)
    learner = Dreamer(TINY.model_copy(update={"average": 0.9}), (SIZE, SIZE, 3), 1)
    begun = {name: p.clone() for name, p in learner.behaviour.actor.named_parameters()}
    batch = learner.sample(filled(learner), np.random.default_rng(0))
    learner.update(batch)
    for name, mean in learner.mean_actor.named_parameters():
        now = dict(learner.behaviour.actor.named_parameters())[name]
        assert torch.allclose(mean, 0.9 * begun[name] + 0.1 * now, atol=1e-6)
    assert torch.equal(learner.weights()["actor.mlp.0.weight"], learner.mean_actor.mlp[0].weight)
    assert not [name for name in agent().state_dict() if "mean_actor" in name], "off by default"


def test_evaluation_draws_latents_by_the_seed_of_the_episode():
    learner = agent()
    with torch.no_grad():
        learner.model.rssm.see_rest[-1].weight.zero_()  # nothing is certain
    frames, states = np.zeros((2, *learner.frame_shape), np.uint8), []
    for seeds in ((1, 2), (1, 1), (3, 1)):
        policy = learner.policy(2)
        for i, seed in enumerate(seeds):
            policy.start(i, frames[i], seed)
        torch.manual_seed(len(states))
        policy.act()
        states.append(policy.state.stoch)
    assert torch.equal(states[0][0], states[1][0]) and torch.equal(states[1][0], states[1][1])
    assert torch.equal(states[2][1], states[1][0]) and not torch.equal(states[0][0], states[0][1])


def test_evaluation_follows_from_its_seeds_and_not_from_who_plays_beside():
    learner = agent()
    returns, _ = evaluate(learner, VectorEnv(Toy, 4, 0), [1, 2, 3, 4, 5])
    alone = [evaluate(learner, VectorEnv(Toy, 1, 7), [seed])[0][0] for seed in (1, 2, 3, 4, 5)]
    assert np.allclose(returns, alone, atol=0.2) and len(set(returns)) == 5


def test_a_policy_forgets_an_episode_when_the_next_begins():
    learner, rng = agent(), np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 1, *learner.frame_shape), dtype=np.uint8)
    policy, fresh = learner.policy(1), learner.policy(1)
    for one in (policy, fresh):
        one.start(0, frames[1, 0])
        if one is policy:
            one.act()
            one.push(frames[0])
            one.act()
            remembered = one.state.deter.clone()
            one.start(0, frames[1, 0])
    assert np.array_equal(policy.act(), fresh.act()) and not torch.equal(policy.state.deter, remembered)


@pytest.mark.parametrize("make_env", [Toy, Discrete])
def test_one_seed_one_result_with_continuous_and_discrete_actions(make_env):
    runs = [train(make_env, seed=3, reward=Brightness, curious=True, discrete=make_env is Discrete) for _ in "ab"]
    assert same(*runs) and {"bonus_return", "train_reward"} <= runs[0].curve[-1].keys()


def test_is_paid_by_a_prior_as_well():
    result = train(Toy, seed=3, reward=partial(PRIOR, videos=videos(1.0)))
    assert {"amp_experts", "model_loss"} <= result.curve[-1].keys()


def mortal_run(scratch=None):
    return train(Mortal, seed=3, reward=Brightness, curious=True, scratch=scratch)


def test_killed_and_resumed_equals_never_killed(tmp_path, monkeypatch):
    whole = mortal_run()
    monkeypatch.setattr(Mortal, "lives", 140)  # between two updates, after a checkpoint that has learned
    with pytest.raises(Killed):
        mortal_run(tmp_path)
    monkeypatch.setattr(Mortal, "lives", 10**9)
    assert (tmp_path / "agent.pt").exists()
    assert same(mortal_run(tmp_path), whole)
