"""Exploration noise: of one step it is plain normal noise, from step to step it hangs together."""

import numpy as np
import pytest

from viper_pipeline.agents.train import Noise


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_each_step_is_normal_and_correlated_as_told(correlation):
    noise = Noise(2000, 2, correlation, np.random.default_rng(0))
    steps = np.stack([noise.step().copy() for _ in range(6)])
    assert abs(steps[-1].mean()) < 0.06 and abs(steps[-1].std() - 1) < 0.06
    for lag in (1, 3):
        found = np.corrcoef(steps[0].ravel(), steps[lag].ravel())[0, 1]
        assert found == pytest.approx(correlation**lag, abs=0.06)
    noise.restart()
    assert abs(np.corrcoef(noise.values.ravel(), steps[-1].ravel())[0, 1]) < 0.06


def test_uniform_actions_fill_their_range_evenly():
    actions = Noise(5000, 1, 0.7, np.random.default_rng(0)).uniform()
    assert actions.dtype == np.float32 and (np.abs(actions) <= 1).all()
    shares, _ = np.histogram(actions, 5, (-1, 1))
    assert np.allclose(shares / 5000, 0.2, atol=0.03)
