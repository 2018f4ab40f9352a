"""An agent that is rewarded by an adversarial motion prior alone goes where the experts go, and resumes exactly."""

from functools import partial

import numpy as np
import pytest

from tests.agents.test_train import DRQ, RUN, Killed, Mortal, same
from tests.agents.toy import Toy
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.rewards.amp import AMP, AMPConfig

PRIOR = partial(
    AMP,
    AMPConfig(window=3, channels=(8,), kernels=(4,), strides=(4,), hidden=(32,), learning_rate=1e-3, batch_size=32),
)


def videos(action: float, count: int = 6) -> list[np.ndarray]:
    """Videos of an expert that always takes the same action."""
    films = []
    for seed in range(count):
        env = Toy(0)
        frames = [env.reset(seed=seed)[0]]
        frames += [env.step(np.array([action]))[0] for _ in range(12)]
        films.append(np.stack(frames))
    return films


@pytest.mark.parametrize("action", [-1.0, 1.0])
def test_an_agent_goes_where_the_experts_go(action):
    """The toy's true return is its place, from 0 (left) to 12 (right); it begins in the left half."""
    run = RUN.model_copy(update={"steps": 360, "random_steps": 96, "eval_every": 360, "final_episodes": 6})
    result = train_in_environment("drq", DRQ, run, Toy, seed=0, reward=partial(PRIOR, videos=videos(action)))
    place = np.mean(result.final_returns) / 12
    assert place > 0.6 if action > 0 else place < 0.15


def mortal_run(scratch=None):
    return train_in_environment(
        "drq", DRQ, RUN, Mortal, seed=3, reward=partial(PRIOR, videos=videos(1.0)), scratch=scratch
    )


def test_killed_and_resumed_equals_never_killed(tmp_path, monkeypatch):
    whole = mortal_run()
    assert {"amp_loss", "amp_experts", "amp_agent"} <= whole.curve[-1].keys()
    monkeypatch.setattr(Mortal, "lives", 100)
    with pytest.raises(Killed):
        mortal_run(tmp_path)
    monkeypatch.setattr(Mortal, "lives", 10**9)
    assert same(mortal_run(tmp_path), whole)
