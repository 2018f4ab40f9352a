"""The measure of action effects, on a world whose effects are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.agents.dreamer.small import SMALL
from viper_pipeline.agents.dreamer.action_effect import (
    Effect,
    Probe,
    Seen,
    explained,
    imagined_effect,
    open_loop_fit,
    states_of,
)
from viper_pipeline.agents.dreamer.actor_critic import optimizer_step
from viper_pipeline.agents.dreamer.world_model import Experience, WorldModel

CONFIG = SMALL.model_copy(update={"kl_balance": 0.95})
PIXELS, LENGTH, HELD = CONFIG.pixels, 12, 0.6


def moved(place, action):
    """An unstable point: it runs away from the middle, and an action pushes it."""
    return np.clip(1.1 * place + 0.15 * action, -1, 1)


def paid(place):
    return 1 - np.abs(place)


def pictures(place):
    """A soft bright spot, places (...) -> (..., 3, h, w)."""
    columns = np.linspace(-1, 1, PIXELS)
    line = 255 * np.exp(-((columns - place[..., None]) ** 2) / (2 * 0.15**2))
    frame = np.zeros((*place.shape, 3, PIXELS, PIXELS), np.uint8)
    frame[..., 5:11, :] = line[..., None, None, :]
    return frame


def episodes(count, seed):
    """Random play -> places (T, N), what was seen of them, and rewards (T, N)."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-1, 1, (LENGTH, count)).astype(np.float32)
    actions[0] = 0
    places = np.zeros((LENGTH, count))
    places[0] = rng.uniform(-0.6, 0.6, count)
    for t in range(1, LENGTH):
        places[t] = moved(places[t - 1], actions[t])
    first = torch.zeros(LENGTH, count, dtype=torch.bool)
    first[0] = True
    seen = Seen(torch.from_numpy(pictures(places)), torch.from_numpy(actions)[..., None], first)
    return places, seen, paid(places).astype(np.float32)


def held_rewards(places, action, steps):
    rewards = []
    for _ in range(steps):
        places = moved(places, action)
        rewards.append(paid(places))
    return np.stack(rewards)


def effect_of(model, seen, places, steps=3):
    real = held_rewards(places, HELD, steps) - held_rewards(places, -HELD, steps)
    held = torch.tensor([HELD]), torch.tensor([-HELD])
    return Effect(real, imagined_effect(model, seen, held, steps, samples=8))


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = WorldModel(CONFIG, (3, PIXELS, PIXELS), 1)
    optimizer = torch.optim.Adam(model.parameters(), CONFIG.model_rate, eps=CONFIG.model_eps, fused=True)
    _, seen, rewards = episodes(600, 0)
    for _ in range(UPDATES):
        chosen = rng.integers(600, size=16)
        data = Experience(
            seen.pictures[:, chosen],
            seen.actions[:, chosen],
            torch.from_numpy(rewards[:, chosen]),
            torch.zeros(LENGTH, len(chosen), dtype=torch.bool),
            seen.is_first[:, chosen],
        )
        optimizer_step(optimizer, model.loss(data)[0], list(model.parameters()), CONFIG.model_clip)
    return model


UPDATES = 300
STEPS_SEEN = 6


@pytest.fixture(scope="module")
def looked_at():
    places, seen, rewards = episodes(64, 1)
    begun = Seen(seen.pictures[:STEPS_SEEN], seen.actions[:STEPS_SEEN], seen.is_first[:STEPS_SEEN])
    return places, begun, seen, rewards


def test_a_trained_model_has_a_slope_near_one(trained, looked_at):
    places, begun, _, _ = looked_at
    effect = effect_of(trained, begun, places[STEPS_SEEN - 1])
    assert 0.6 < effect.slope(3) < 1.2
    assert effect.correlation(3) > 0.9


def test_a_model_without_actions_has_none(trained, looked_at):
    places, begun, _, _ = looked_at
    entry = trained.rssm.inputs[0].weight
    before = entry.detach().clone()
    with torch.no_grad():
        entry[:, -1] = 0
    try:
        effect = effect_of(trained, begun, places[STEPS_SEEN - 1])
    finally:
        with torch.no_grad():
            entry.copy_(before)
    assert effect.imagined == pytest.approx(0, abs=1e-6)
    assert effect.slope(3) == pytest.approx(0, abs=1e-6)


def test_rewards_are_foreseen_without_pictures(trained, looked_at):
    _, begun, seen, rewards = looked_at
    fit = open_loop_fit(trained, begun, seen.actions[STEPS_SEEN:], rewards[STEPS_SEEN - 1 :].astype(float))
    assert set(fit) == set(range(LENGTH - STEPS_SEEN + 1))
    assert fit[0] > 0.8
    assert fit[3] > 0.6


def test_the_place_can_be_read_from_the_states(trained, looked_at):
    places, _, seen, _ = looked_at
    features = states_of(trained, seen).features
    probe = Probe(features[:, :48].flatten(0, 1), places[:, :48].reshape(-1, 1))
    assert explained(places[:, 48:].reshape(-1, 1), probe(features[:, 48:].flatten(0, 1))) > 0.8


def test_measuring_leaves_the_generator_alone(trained, looked_at):
    places, begun, _, _ = looked_at
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    one, two = (effect_of(trained, begun, places[STEPS_SEEN - 1]).imagined for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert (one == two).all()


def test_slope_and_correlation_by_hand():
    real = np.array([[1.0, 2.0, 3.0]])
    assert Effect(real, real / 4 + 7).slope(1) == pytest.approx(0.25)
    assert Effect(real, real / 4 + 7).correlation(1) == pytest.approx(1)
    assert Effect(real, real / 4).spread(1) == pytest.approx((np.sqrt(2 / 3), np.sqrt(2 / 3) / 4))
