"""`training.compile` gives the numbers that uncompiled code gives, also with a discriminator and its penalty."""

import numpy as np
import pytest
import torch

from viper_pipeline.tokenizers.vqgan_training import VQGANConfig, VQGANTraining
from viper_pipeline.training.loop import train

BLOCK = {
    "architecture": "light",
    "channels": 8,
    "multipliers": [1, 2],
    "quantizer": {"size": 16, "dim": 8, "kind": "learned"},
    "discriminator": {"weight": 0.1, "r1_gamma": 10.0, "r1_every": 2, "width": 8, "max_width": 16, "group": 2},
    "training": {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "log_every": 1},
}


@pytest.mark.slow  # the compiler takes a minute
def test_a_compiled_training_equals_an_uncompiled_one() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    histories = []
    for compiled in (False, True):
        config = VQGANConfig.model_validate(BLOCK | {"training": BLOCK["training"] | {"compile": compiled}})
        torch.manual_seed(0)
        module = VQGANTraining(config, ("a",), 8)
        names = set(module.state_dict())
        histories.append(train(module, lambda step: (frames, np.zeros(4, int)), config.training, seed=0))
        assert set(module.state_dict()) == names
    torch.compiler.reset()
    plain, compiled_rows = histories
    assert all(row["r1"] > 0 for row in (plain[0], plain[2]))
    for before, after in zip(plain, compiled_rows, strict=True):
        assert after == pytest.approx(before, rel=1e-3, abs=1e-5)
