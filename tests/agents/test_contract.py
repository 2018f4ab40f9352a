"""Every registered agent keeps the contract, and so does a toy that is a class, a line in the registry, and no more."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.agents.dreamer.small import SMALL
from tests.agents.test_dqn import SMALL as DQN_SMALL
from tests.agents.test_train import DRQ, RUN
from tests.agents.toy import Brightness, Toy
from viper_pipeline.agents.base import AGENTS, AgentConfig
from viper_pipeline.agents.frame_stacks import FrameStackPolicy
from viper_pipeline.agents.networks import downscale, downscaled_shape
from viper_pipeline.agents.replay import Replay, Transitions
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.agents.vector_env import one_hot_actions
from viper_pipeline.core.errors import BadParams
from viper_pipeline.testing import check_agent


class BanditConfig(AgentConfig):
    """Settings of the toy agent."""

    step: float = 0.1


class Bandit(nn.Module):
    """A toy: prefers the actions with the greatest mean reward, whatever the frame shows."""

    Config = BanditConfig
    continuous = True
    discrete = True
    curious = False

    def __init__(self, config, frame_shape, actions, *, discrete=False, curious=False):
        super().__init__()
        if curious:
            raise BadParams("agent bandit has no curiosity")
        self.config, self.one_hot = config, discrete
        self.frame_shape = downscaled_shape(frame_shape, 8)
        self.values = nn.Parameter(torch.zeros(actions), requires_grad=False)

    def preprocess(self, frames):
        return downscale(frames, 8)

    def policy(self, envs: int) -> FrameStackPolicy:
        return FrameStackPolicy(envs, 1, self.frame_shape, self.act)

    def act(self, frames: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        scores = np.tile(self.values.numpy(), (len(frames), 1)) + (0 if noise is None else 0.1 * noise)
        return one_hot_actions(scores) if self.one_hot else np.tanh(scores)

    def prepare(self, replay: Replay) -> None:
        pass

    def schedule(self, progress: float) -> None:
        pass

    def sample(self, replay: Replay, rng: np.random.Generator, window: int = 0) -> Transitions:
        return replay.sample(rng, 32, window=window)

    def update(self, batch: Transitions) -> dict[str, Tensor]:
        gain = batch.reward - batch.reward.mean()
        self.values += self.config.step * torch.from_numpy((gain[:, None] * batch.action).mean(0))
        return {"value": self.values.max().clone()}

    def weights(self) -> dict[str, Tensor]:
        return {"values": self.values.clone()}


SETTINGS = {
    "drq": DRQ,
    "dreamer": SMALL.model_copy(update={"batch_size": 3, "batch_length": 5, "horizon": 3}),
    "dqn": DQN_SMALL.model_copy(update={"average": 0.9}),
    "bandit": BanditConfig(),
}


@pytest.fixture(autouse=True)
def bandit():
    AGENTS.register("bandit", "tests.agents.test_contract:Bandit")
    yield
    AGENTS.unregister("bandit")


def test_every_registered_agent_is_checked():
    assert set(SETTINGS) == set(AGENTS.names())


@pytest.mark.parametrize("name", SETTINGS)
def test_an_agent_keeps_the_contract(name):
    check_agent(AGENTS.get(name), SETTINGS[name])


def test_a_toy_agent_is_trained_by_the_same_loop():
    result = train_in_environment("bandit", BanditConfig(), RUN, Toy, seed=0, reward=Brightness)
    assert result.weights["values"].item() > 0, "light is on the right"
    assert len(result.final_returns) == RUN.final_episodes and "value" in result.curve[-1]
