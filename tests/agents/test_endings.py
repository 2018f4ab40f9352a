"""Log-likelihoods are negative: with unscaled ones as rewards, an agent that can end its episode learns to die."""

from __future__ import annotations

from functools import partial

import pytest

from tests.agents.test_train import DRQ
from tests.agents.toy import Toy
from viper_pipeline.agents.base import RunConfig
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.rewards.base import StoredReward
from viper_pipeline.rewards.viper import Scale

NATS = 4.0
RUN = RunConfig(
    steps=800, envs=2, round_steps=16, random_steps=200, eval_every=800, eval_episodes=2, final_episodes=10,
    checkpoint_every=10_000,
)  # fmt: skip


class Cliff(Toy):
    """The game is over beyond 0.7, to the right; the return is the number of steps survived, of 16."""

    def __init__(self, seed: int, over: str) -> None:
        super().__init__(seed, length=16, ends_at=0.7)
        self.over = over

    def step(self, action):
        frame, _, over, cut, info = super().step(action)
        terminated = over and self.over == "terminates"
        return frame, 1.0, terminated, cut or (over and not terminated), info


class LogLikelihood(StoredReward):
    """Experts live on the left: -NATS a step there, twice that on the right; scaled by `scale` if there is one."""

    def __init__(self, scale: Scale | None = None) -> None:
        self.scale = scale

    def step(self, frames, true_rewards):
        right = frames[:, :, 8:].mean(axis=(1, 2, 3)) / frames.mean(axis=(1, 2, 3)) / 2
        nats = (-NATS * (1 + right)).astype("float32")
        return nats if self.scale is None else self.scale(nats)


def survived(over: str, scale: Scale | None = None) -> float:
    """Mean steps survived after training."""
    run = train_in_environment(
        "drq", DRQ, RUN, partial(Cliff, over=over), seed=0, reward=lambda shape: LogLikelihood(scale)
    )
    return sum(run.final_returns) / len(run.final_returns)


def test_the_naive_reward_teaches_to_die():
    assert survived("terminates") < 8


@pytest.mark.parametrize(
    ("over", "floor"), [("continues", None), ("terminates", 0.0)], ids=["no end to the agent", "rewards with a floor"]
)
def test_each_remedy_teaches_to_live(over, floor):
    scale = None if floor is None else Scale(zero=-2 * NATS, unit=NATS, low=floor, high=1.2)
    assert survived(over, scale) > 14
