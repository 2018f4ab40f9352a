"""Two processes that share a training learn what one does."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.training.config import ComputeConfig
from viper_pipeline.training.distributed import share
from viper_pipeline.training.loop import Prefetcher

LOSS = {"model": "nats_per_code", "tokenizer": "loss"}


def run(folder, devices: int, accumulate: int = 1) -> dict[str, list[dict[str, float]]]:
    """The histories that the script wrote."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.training.shared_training", str(devices), str(accumulate), str(folder)]
    subprocess.run(command, check=True, timeout=250)
    return {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "both"
    return folder, run(folder, 1)


@pytest.mark.parametrize("what", ["model", "tokenizer"])
def test_two_processes_follow_the_loss_of_one(alone, tmp_path, what):
    folder, expected = alone
    shared = run(tmp_path / what, 2)[what]
    assert len(shared) == len(expected[what]) > 3
    for ours, theirs in zip(shared, expected[what], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    assert len({row[LOSS[what]] for row in shared}) == len(shared)
    one = torch.load(folder / "codebook-0.pt", weights_only=True)
    for process in range(2):
        torch.testing.assert_close(torch.load(tmp_path / what / f"codebook-{process}.pt", weights_only=True), one)


def test_accumulated_parts_give_the_whole_batchs_gradient(alone, tmp_path):
    parts = run(tmp_path / "both", 1, accumulate=4)
    for what in ("model", "tokenizer"):
        for ours, theirs in zip(parts[what], alone[1][what], strict=True):
            assert ours[LOSS[what]] == pytest.approx(theirs[LOSS[what]], rel=1e-4, abs=1e-4)


def test_shares_are_the_whole_and_a_batch_that_cannot_be_cut_is_refused():
    batch = (np.arange(12), torch.arange(24).view(12, 2))
    parts = [share(batch, i, 3) for i in range(3)]
    assert np.array_equal(np.concatenate([p[0] for p in parts]), batch[0])
    assert torch.equal(torch.cat([p[1] for p in parts]), batch[1])
    assert share(batch, 0, 1) is batch
    from tests.training.test_loop import CONFIG, batches, build
    from viper_pipeline.training.loop import train

    with pytest.raises(BadParams, match="batch_size: 8"):
        train(build(), batches, CONFIG.model_copy(update={"accumulate": 3}), seed=0)


def test_devices_that_are_not_there_are_asked_for_in_vain():
    missing = torch.cuda.device_count() + 1
    with pytest.raises(BadEnvironment, match="accelerator: cpu"):
        ComputeConfig(accelerator="cuda", devices=missing).begin()
    assert ComputeConfig(accelerator="cpu", devices=missing).begin() == "cpu"


def test_a_feed_gives_every_step_once_in_order_and_raises_where_the_maker_did():
    made = []

    def make(step):
        made.append(step)
        if step == 6:
            raise ValueError("no sixth")
        return step * step

    with Prefetcher(make, 3, 8) as feed:
        assert [feed.next_batch() for _ in range(3)] == [9, 16, 25]
        with pytest.raises(ValueError, match="no sixth"):
            feed.next_batch()
    assert made == [3, 4, 5, 6]
    assert 0 <= feed.share_waited() <= 1
