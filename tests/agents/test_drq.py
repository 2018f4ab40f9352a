"""DrQ: its images, its gradients, its averages, its saved state, and that it learns something small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from viper_pipeline.agents.base import AGENTS
from viper_pipeline.agents.drq import DrQ, DrQConfig
from viper_pipeline.agents.frame_stacks import FrameStackPolicy, random_shift
from viper_pipeline.agents.replay import Replay, Transitions
from viper_pipeline.core.errors import BadParams
from viper_pipeline.pipelines.profiles import read_profile

ROOT = Path(__file__).parents[2]

SMALL = DrQConfig(
    pixels=8,
    channels=(4,),
    kernels=(3,),
    strides=(2,),
    hidden=(16,),
    latent=8,
    shift=1,
    batch_size=16,
    average=0.9,
)


def batch(agent, size=16, seed=0):
    rng = np.random.default_rng(seed)
    colors, height, width = agent.frame_shape

    def image(channels):
        return rng.integers(0, 256, (size, channels, height, width), dtype=np.uint8)

    return Transitions(
        obs=image(agent.config.stack * colors),
        action=rng.uniform(-1, 1, (size, 1)).astype(np.float32),
        reward=rng.random(size, dtype=np.float32),
        discount=np.full(size, 0.9, np.float32),
        next_obs=image(agent.config.stack * colors),
        weights=np.ones((size, 1), np.float32),
        windows=np.zeros((size, 1, 0, *agent.frame_shape), np.uint8),
        places=np.zeros((size, 1), np.int64),
    )


@pytest.fixture
def agent():
    torch.manual_seed(0)
    return DrQ(SMALL, (16, 16, 3), 1)


def test_is_registered_with_its_configuration():
    assert AGENTS.get("drq") is DrQ and DrQ.Config is DrQConfig


def test_the_paper_profile_begins_as_the_reference_code():
    block = read_profile(ROOT / "profiles/paper.yaml")["suites"]["dmc"]["drq"]
    torch.manual_seed(0)
    agent = DrQ(DrQConfig.model_validate(block), (64, 64, 3), 2)
    for weight in (agent.encoder.convs[2].weight.flatten(1), agent.critic.trunk.linear.weight):
        assert torch.allclose(weight @ weight.T, 2 * torch.eye(len(weight)), atol=1e-4)
    for member in agent.critic.values.weights[1]:
        assert torch.allclose(member.T @ member, 2 * torch.eye(256), atol=1e-4)
    assert not any(p.any() for name, p in agent.named_parameters() if name.endswith("bias") and "norm" not in name)
    images = torch.zeros(4, 9, 64, 64, dtype=torch.uint8)
    assert not agent.encoder(images).any(), "black is 0"
    _, log_std = agent.actor(agent.encoder(torch.randint(0, 256, images.shape, dtype=torch.uint8)))
    assert log_std.abs().max() < 2.5 and agent.actor.log_std == (-20, 2)
    _, squashed = DrQ(DrQConfig(), (64, 64, 3), 2).actor(torch.randn(4, agent.encoder.size))
    assert squashed.mean() < -3, "the default explores little at first"
    values = torch.tensor([[1.0], [3.0]])
    assert agent._combined(values) == agent._combined(values, True) == 2


def test_table_4_is_the_default():
    agent = DrQ(DrQConfig(), (64, 64, 3), 2)
    assert [c.out_channels for c in agent.encoder.convs if hasattr(c, "stride")] == [32, 64, 128, 256]
    assert agent.encoder.size == 256 * 3 * 3
    assert agent.target_entropy == -1 and agent.log_temperature.exp().item() == pytest.approx(0.1)


def test_sees_the_mean_of_each_block_of_pixels(agent):
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    seen = agent.preprocess(frames)
    assert seen.shape == (2, 3, 8, 8) and seen.dtype == np.uint8
    assert abs(float(seen[1, 2, 3, 4]) - frames[1, 6:8, 8:10, 2].mean()) <= 0.5
    with pytest.raises(BadParams, match="pixels"):
        DrQ(SMALL, (20, 20, 3), 1)


def test_contrast_shows_what_moves():
    agent = DrQ(SMALL.model_copy(update={"contrast": 3.0}), (16, 16, 3), 1)
    rng = np.random.default_rng(0)
    still = rng.integers(40, 80, (16, 16, 3), dtype=np.uint8)
    frames = np.repeat(still[None], 9, 0)
    for i in range(9):
        frames[i, :2, :2] = 20 * i
    replay = Replay(1, 20, agent.frame_shape, 1)
    replay.start(0, agent.preprocess(frames)[0])
    for seen in agent.preprocess(frames)[1:]:
        replay.add(0, np.zeros(1), 0.0, seen, False)
    agent.prepare(replay)
    assert (replay.used()[0] == agent.preprocess(frames)).all(), "stored frames look like those to come"
    seen = agent.preprocess(frames)
    assert (seen[:, :, 1:] == 128).all() and (seen[:, :, 0, 1:] == 128).all()
    assert seen[3:6, 0, 0, 0].tolist() == [68, 128, 188] and seen[0, 0, 0, 0] == 0 and seen[8, 0, 0, 0] == 255


def test_shift_moves_each_picture_whole():
    rng = np.random.default_rng(0)
    images = np.zeros((50, 2, 9, 9), np.uint8)
    images[:, 0, 4, 4], images[:, 1, 4, 5] = 200, 100
    shifted = random_shift(rng, images, 2)
    first, second = (np.argwhere(shifted[:, c])[:, 1:] for c in (0, 1))
    assert (second - first == [0, 1]).all(), "channels move together"
    assert np.abs(first - 4).max() == 2 and len({tuple(p) for p in first}) > 5
    assert random_shift(rng, images, 0) is images


def test_actions_are_bounded_and_deterministic_on_demand(agent):
    obs = np.random.default_rng(0).integers(0, 256, (5, 3, *agent.frame_shape), dtype=np.uint8)
    one, two = agent.act(obs), agent.act(obs)
    noise = np.random.default_rng(1).standard_normal((5, 1), np.float32)
    assert one.shape == (5, 1) and one.dtype == np.float32 and (np.abs(one) <= 1).all()
    assert (one == two).all() and (agent.act(obs, noise) != agent.act(obs, -noise)).all()
    assert np.allclose(one[2:3], agent.act(obs[2:3]), atol=1e-6), "environments do not see each other"


def gradient(agent, part):
    parts = agent.trained.vector.grad.split(agent.trained.sizes)
    return parts[["actor", "encoder", "critic", "log_temperature"].index(part)]


def test_each_loss_teaches_its_own(agent, monkeypatch):
    """Where the critics are right, only actor and temperature move: the encoder learns from critics alone."""
    monkeypatch.setattr(agent, "_target", lambda obs, reward, discount: agent.silenced)
    given = batch(agent)
    with torch.no_grad():
        features = agent.encoder(torch.from_numpy(given.obs))
        agent.silenced = agent.critic(features, torch.from_numpy(given.action))
    agent.update(given)
    assert not gradient(agent, "encoder").any() and not gradient(agent, "critic").any()
    assert gradient(agent, "actor").any() and gradient(agent, "log_temperature").any()
    assert all(p.requires_grad for p in agent.critic.parameters())
    agent.silenced = agent.silenced + 1
    agent.update(given)
    assert gradient(agent, "encoder").any() and gradient(agent, "critic").any()


def test_what_is_trained_is_one_vector_and_the_weights_are_views_of_it(agent):
    for part, size in zip(("actor", "encoder", "critic"), agent.trained.sizes, strict=False):
        weights = list(getattr(agent, part).parameters())
        assert sum(p.numel() for p in weights) == size
        assert all(p.untyped_storage().data_ptr() == agent.trained.vector.untyped_storage().data_ptr() for p in weights)
    conv = agent.encoder.convs[0].weight
    assert conv.is_contiguous(memory_format=torch.channels_last)
    moved = DrQ(SMALL, (16, 16, 3), 1).double()
    assert moved.trained.vector.dtype == moved.optimizer.param_groups[0]["params"][0].dtype == torch.float64


def test_targets_follow_by_tau(agent):
    before = [p.clone() for p in agent.target_critic.parameters()]
    agent.update(batch(agent))
    for old, new, source in zip(before, agent.target_critic.parameters(), agent.critic.parameters(), strict=True):
        assert torch.allclose(new, old + SMALL.tau * (source - old), atol=1e-7)


def test_terminal_transitions_are_worth_their_reward(agent):
    given = batch(agent)
    reward = torch.from_numpy(given.reward)
    target = agent._target(torch.from_numpy(given.next_obs), reward, torch.zeros(16))
    assert torch.equal(target, reward)


def test_rate_stays_for_half_the_training_then_falls_to_its_share(agent):
    agent = DrQ(SMALL.model_copy(update={"final_learning_rate": 0.1}), (16, 16, 3), 1)
    rates = []
    for done in (0.0, 0.5, 0.75, 1.0):
        agent.schedule(done)
        rates.append(agent.optimizer.param_groups[0]["lr"] / SMALL.learning_rate)
    assert rates == pytest.approx([1.0, 1.0, 0.55, 0.1])


def test_a_loaded_agent_goes_on_exactly(agent, tmp_path):
    for seed in range(3):
        agent.update(batch(agent, seed=seed))
    torch.save(agent.state_dict(), tmp_path / "agent.pt")
    other = DrQ(SMALL, (16, 16, 3), 1)
    other.load_state_dict(torch.load(tmp_path / "agent.pt", weights_only=True))
    for one in (agent, other):
        torch.manual_seed(5)
        one.update(batch(one, seed=9))
    a, b = agent.weights(), other.weights()
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_learns_which_action_pays():
    torch.manual_seed(0)
    config = SMALL.model_copy(update={"learning_rate": 3e-3, "temperature": 1e-3, "critic_norm": True})
    agent = DrQ(config, (16, 16, 3), 1)
    for seed in range(200):
        given = batch(agent, seed=seed)
        given.discount[:] = 0
        agent.update(given.with_reward(np.where(given.action[:, 0] > 0, 1, -1).astype(np.float32)))
    obs = np.random.default_rng(0).integers(0, 256, (20, 3, *agent.frame_shape), dtype=np.uint8)
    assert agent.act(obs).min() > 0


def test_stacks_hold_the_newest_frame_last():
    policy = FrameStackPolicy(1, 3, (1,), lambda frames, noise: frames[:, -1] * noise)
    policy.start(0, np.array([5]))
    assert policy.frames.ravel().tolist() == [5, 5, 5]
    policy.push(np.array([[6]]))
    assert policy.frames.ravel().tolist() == [5, 5, 6] and policy.act(np.array([[2]])) == 12
