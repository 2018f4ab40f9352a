"""The world model: what its states depend on, what its losses teach, what its configuration takes."""

from __future__ import annotations

import copy

import pytest
import torch
from pydantic import ValidationError

from tests.agents.dreamer.small import SMALL
from viper_pipeline.agents.dreamer.actor_critic import Actor, Critic, optimizer_step
from viper_pipeline.agents.dreamer.config import REFERENCE, DreamerConfig
from viper_pipeline.agents.dreamer.world_model import Experience, WorldModel

SHAPE = (3, 16, 16)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return WorldModel(SMALL, SHAPE, 2)


def experience(steps=5, size=4):
    is_first = torch.zeros(steps, size, dtype=torch.bool)
    is_first[0, 0] = is_first[2] = True
    frames = torch.randint(0, 256, (steps, size, *SHAPE), dtype=torch.uint8)
    actions, rewards = torch.rand(steps, size, 2) * 2 - 1, torch.randn(steps, size)
    return Experience(frames, actions, rewards, torch.zeros(steps, size, dtype=torch.bool), is_first)


def observed(model, data):
    torch.manual_seed(1)
    return model.rssm.observe(model.encoder(data.frames), data.actions, data.is_first)[0]


def test_nothing_passes_an_episodes_beginning(model):
    data = experience()
    states = observed(model, data)
    changed = data._replace(frames=data.frames.clone(), actions=data.actions.clone())
    changed.frames[:2], changed.actions[:3] = 0, 1.0
    again = observed(model, changed)
    assert not torch.equal(again.deter[1], states.deter[1])
    assert torch.equal(again.deter[2:], states.deter[2:]) and torch.equal(again.stoch[2:], states.stoch[2:])
    changed.actions[3] = -1.0
    assert not torch.equal(observed(model, changed).deter[3], states.deter[3]), "inside an episode actions count"


def test_latents_are_one_hot_and_pass_gradients(model):
    states = observed(model, experience())
    assert set(states.stoch.unique().tolist()) == {0.0, 1.0} and (states.stoch.sum(-1) == 1).all()
    slope = torch.autograd.grad((states.stoch * torch.randn_like(states.stoch)).sum(), model.encoder.convs[0].weight)[0]
    assert (slope != 0).any()


def test_latents_are_drawn_as_often_as_is_said(model):
    log_probs = torch.randn(1, 6, 6).log_softmax(-1)
    often = model.rssm.sample(log_probs.expand(20_000, 6, 6)).mean(0)
    assert torch.allclose(often, log_probs[0].exp(), atol=0.02)


def test_every_weight_is_taught(model):
    torch.nn.init.normal_(model.reward.mlp[-1].weight)
    loss, _, _ = model.loss(experience())
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not (p.grad != 0).any()] == []


def test_learns_what_it_is_shown(model):
    data = experience()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    found = []
    for _ in range(60):
        loss, _, metrics = model.loss(data)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(metrics)
    for name in ("picture_loss", "reward_loss"):
        assert found[-1][name] < 0.7 * found[0][name], name


def test_a_step_is_the_plain_one(model):
    """Also of convolutions, whose slopes lie in memory in another order than their weights."""
    plain, data = copy.deepcopy(model), experience()
    losses = []
    for one in (model, plain):
        torch.manual_seed(2)
        losses.append(one.loss(data)[0])
    optimizer_step(torch.optim.Adam(model.parameters(), 1e-2, fused=True), losses[0], list(model.parameters()), 1e9)
    losses[1].backward()
    torch.optim.Adam(plain.parameters(), 1e-2, fused=False).step()
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_discrete_actions_are_sampled_as_often_as_the_policy_says():
    torch.manual_seed(0)
    actor = Actor(SMALL, 8, 3, discrete=True)
    features = torch.randn(1, 8)
    actions = actor.act(features.expand(20_000, 8), torch.randn(20_000, 3))
    (log_probs,) = actor.policy(features)
    assert set(actions.unique().tolist()) == {-1.0, 1.0} and (actions.sum(-1) == -1).all()
    assert torch.allclose((actions > 0).float().mean(0), log_probs.exp()[0], atol=0.02)
    assert torch.allclose(actor.log_prob(features, actions[:1]), log_probs[actions[:1] > 0])
    assert actor.act(features, None).argmax() == log_probs.argmax()


def test_ranges_come_from_percentiles_and_are_at_least_one():
    critic = Critic(SMALL, 4)
    returns = torch.linspace(0, 100, 1001)
    for _ in range(1000):
        found = critic.range(returns)
    assert found == pytest.approx(90, rel=1e-3)
    assert Critic(SMALL, 4).range(returns / 1e3) == 1


def test_presets_fill_what_is_not_named():
    paper, reference = DreamerConfig(), DreamerConfig.model_validate({"preset": "reference"})
    assert {name: getattr(reference, name) for name in REFERENCE} == REFERENCE
    assert all(getattr(paper, name) != value for name, value in REFERENCE.items())
    named = DreamerConfig.model_validate({"preset": "reference", "ensemble_size": 4})
    assert named.ensemble_size == 4 and named.model_clip == 1000
    assert DreamerConfig.model_validate(reference.model_dump()) == reference
    with pytest.raises(ValidationError, match="4 times a power of 2"):
        DreamerConfig(pixels=48)
