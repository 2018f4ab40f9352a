"""Plan2Explore: what can be learned stops paying once it is, and so does mere noise; what was never met pays."""

from __future__ import annotations

import torch

from tests.agents.dreamer.small import SMALL
from viper_pipeline.agents.dreamer.actor_critic import Disagreement
from viper_pipeline.agents.dreamer.world_model import RSSMState

NOISY, LEARNABLE, UNKNOWN = 0, 1, 2


class Corners:
    """Three places. From one the next latent is random, from one always the same, one is never visited."""

    def __init__(self) -> None:
        self.places = torch.randn(3, SMALL.deter)
        self.known = torch.eye(SMALL.classes)[torch.randint(SMALL.classes, (SMALL.stoch,))]

    def state(self, place: int, count: int) -> RSSMState:
        return RSSMState(self.places[place].expand(count, -1), torch.zeros(count, SMALL.stoch, SMALL.classes))

    def visits(self, count: int) -> RSSMState:
        """states (2, 2 count, ...): half begin in either corner, then follows what it leads to."""
        here = [self.state(place, count) for place in (NOISY, LEARNABLE)]
        noise = torch.eye(SMALL.classes)[torch.randint(SMALL.classes, (count, SMALL.stoch))]
        after = torch.cat([noise, self.known.expand(count, -1, -1)])
        deter = torch.cat([s.deter for s in here])
        return RSSMState(torch.stack([deter, deter]), torch.stack([torch.cat([s.stoch for s in here]), after]))

    def paid(self, curiosity: Disagreement) -> list[float]:
        """The bonus for leaving each place, for small changes of it."""
        found = []
        for place in range(3):
            features = self.state(place, 64).features + 0.05 * torch.randn(
                64, SMALL.deter + SMALL.stoch * SMALL.classes
            )
            with torch.no_grad():
                found.append(curiosity.rewards(features.expand(2, -1, -1), torch.zeros(1, 64, 2)).mean().item())
        return found


def test_a_noisy_corner_bores_like_a_learned_one():
    torch.manual_seed(0)
    world = Corners()
    curiosity = Disagreement(SMALL, SMALL.deter + SMALL.stoch * SMALL.classes, 2)
    before = world.paid(curiosity)
    actions, first = torch.zeros(2, 64, 2), torch.zeros(2, 64, dtype=torch.bool)
    for _ in range(400):
        metrics = curiosity.update(world.visits(32), actions, first)
    after = world.paid(curiosity)
    assert after[LEARNABLE] < 0.2 * before[LEARNABLE] and after[LEARNABLE] < 0.3 * after[UNKNOWN]
    assert after[NOISY] < 0.5 * before[NOISY] and after[NOISY] < 0.6 * after[UNKNOWN]
    error = metrics["disagreement_loss"].item()
    assert error > 0.4 * SMALL.stoch * (1 - 1 / SMALL.classes), "the noise is still mispredicted: errors would pay"


def test_beginnings_teach_nothing():
    torch.manual_seed(0)
    world = Corners()
    curiosity = Disagreement(SMALL, SMALL.deter + SMALL.stoch * SMALL.classes, 2)
    before = [p.clone() for p in curiosity.parameters()]
    curiosity.update(world.visits(4), torch.zeros(2, 8, 2), torch.ones(2, 8, dtype=torch.bool))
    assert all(torch.equal(old, new) for old, new in zip(before, curiosity.parameters(), strict=True))
