"""The training loop: resumed equals uninterrupted, cadence, averaging."""

import io
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from viper_pipeline.core.errors import BadData
from viper_pipeline.training.artifacts import ModelArtifact, load_artifact, save_artifact
from viper_pipeline.training.checkpoints import derive, load_checkpoint, save_checkpoint
from viper_pipeline.training.config import LoopConfig
from viper_pipeline.training.loop import Every, ema_with_warmup, learning_rate_at, train
from viper_pipeline.training.progress import Report, duration


class Two(nn.Module):
    """Two parts that see each other, with dropout, so that order and randomness matter."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.drop = nn.Linear(3, 3), nn.Linear(3, 1), nn.Dropout(0.3)

    @property
    def parts(self):
        return {"first": list(self.a.parameters()), "second": list(self.b.parameters())}

    def loss(self, batch, part):
        x, y = batch
        out = self.b(self.drop(self.a(x))).squeeze(1)
        loss = (out - y).square().mean() * (1 if part == "first" else 2)
        return loss, {part: loss.detach()}


def batches(step: int):
    x = np.random.default_rng([3, step]).normal(size=(8, 3)).astype("float32")
    return x, x.sum(1)


CONFIG = LoopConfig(
    steps=30,
    batch_size=8,
    learning_rate=0.02,
    schedule="onecycle",
    warmup=0.1,
    ema=0.9,
    log_every=7,
    checkpoint_every=4,
)


def build() -> Two:
    torch.manual_seed(0)
    return Two()


class Killed(Exception):
    pass


@pytest.mark.parametrize("moment", [1, 4, 9, 29])
def test_killed_and_resumed_equals_never_killed(tmp_path, moment):
    whole = build()
    history = train(whole, batches, CONFIG, seed=5)

    def fragile(step):
        if step == moment:
            raise Killed
        return batches(step)

    with pytest.raises(Killed):
        train(build(), fragile, CONFIG, seed=5, scratch=tmp_path)
    resumed = build()
    seen = []
    assert train(resumed, lambda s: (seen.append(s), batches(s))[1], CONFIG, seed=5, scratch=tmp_path) == history
    assert seen[0] == moment // 4 * 4  # it went on from the checkpoint, not from the start
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_finished_run_is_not_run_again(tmp_path):
    model = build()
    history = train(model, batches, CONFIG, seed=5, scratch=tmp_path)
    again = build()
    assert train(again, lambda step: pytest.fail("it trained"), CONFIG, seed=5, scratch=tmp_path) == history
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_it_learns_a_sum():
    model = build()
    model.drop = nn.Dropout(0.0)
    history = train(model, batches, CONFIG.model_copy(update={"steps": 400, "ema": None}), seed=0)
    assert history[-1]["first"] < 1e-3 * history[0]["first"]


def test_rows_of_the_history_are_means_over_their_steps():
    rows = train(build(), batches, CONFIG.model_copy(update={"log_every": 1}), seed=5)
    coarse = train(build(), batches, CONFIG.model_copy(update={"log_every": 10}), seed=5)
    assert [r["step"] for r in coarse] == [10, 20, 30]
    assert coarse[1]["first"] == pytest.approx(np.mean([r["first"] for r in rows[10:20]]), rel=1e-5)


def test_the_learning_rate_rises_then_falls_and_never_passes_its_peak():
    values = [learning_rate_at(s, CONFIG) for s in range(CONFIG.steps)]
    peak = int(np.argmax(values))
    assert max(values) <= 1
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    constant = CONFIG.model_copy(update={"schedule": "constant", "warmup": 5})
    assert [learning_rate_at(s, constant) for s in (0, 4, 5, 29)] == [0.2, 1.0, 1.0, 1.0]


def test_an_average_of_equal_weights_is_those_weights_and_else_lies_between():
    model = build()
    ema = AveragedModel(model, multi_avg_fn=ema_with_warmup(0.9))
    before = model.a.weight.detach().clone()
    ema.update_parameters(model)
    assert torch.equal(ema.module.a.weight, before)
    with torch.no_grad():
        model.a.weight.add_(1.0)
    for _ in range(3):
        ema.update_parameters(model)
    moved = ema.module.a.weight - before
    assert (moved > 0).all() and (moved < 1).all()


def test_every():
    assert [s for s in range(1, 11) if Every(4, 10)(s)] == [4, 8, 10]
    assert [s for s in range(1, 11) if Every(0, 10)(s)] == [10]


def test_seeds_for_different_purposes_differ_and_are_stable():
    seeds = {derive(s, *p) for s in (0, 1) for p in (("train",), ("eval",), ("train", 1), ("train", 2))}
    assert len(seeds) == 8
    assert derive(0, "train") == derive(0, "train")


def test_a_checkpoint_is_whole_or_refused(tmp_path):
    path = tmp_path / "c.pt"
    assert load_checkpoint(path) is None
    save_checkpoint(path, {"x": torch.arange(3), "n": 2})
    assert torch.equal(load_checkpoint(path)["x"], torch.arange(3))
    content = path.read_bytes()
    for damaged in (
        content[:-20],
        content[:10],
        content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :],
    ):
        path.write_bytes(damaged)
        with pytest.raises(BadData, match=r"c\.pt: .*delete it, and the same command starts this stage anew"):
            load_checkpoint(path)
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


def test_folders_are_repeatable_and_bad_ones_are_named(tmp_path):
    artifact = ModelArtifact({"b": 1, "a": [2.5]}, {"w": torch.ones(2, 3), "v": torch.zeros(1)}, {"curve.csv": b"x\n"})
    for name in ("one", "two"):
        save_artifact(tmp_path / name, artifact, {"steps": {}})
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert names == ["config.json", "curve.csv", "lineage.json", "weights.safetensors"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    loaded = load_artifact(tmp_path / "one")
    assert loaded.config == artifact.config and loaded.files == artifact.files
    assert torch.equal(loaded.tensors["w"], artifact.tensors["w"])
    (tmp_path / "one" / "weights.safetensors").write_bytes(b"junk")
    with pytest.raises(BadData, match=r"one/weights\.safetensors"):
        load_artifact(tmp_path / "one")
    (tmp_path / "one" / "config.json").unlink()
    with pytest.raises(BadData, match=r"one/config\.json"):
        load_artifact(tmp_path / "one")
    with pytest.raises(ValueError, match="own"):
        save_artifact(tmp_path / "three", ModelArtifact({}, {}, {"config.json": json.dumps({}).encode()}))


def test_progress_reports_an_estimate_and_always_the_end():
    class Stream(list):
        write = list.append

        def flush(self):
            pass

        def isatty(self):
            return False

    lines = Stream()
    report = Report("train", every=1000, stream=lines)
    for done in range(0, 11):
        report(done, 10, {"loss": 0.5})
    assert len(lines) == 2
    assert "10/10" in lines[-1] and "loss 0.5" in lines[-1]
    assert [duration(s) for s in (5, 65, 3700)] == ["0:05", "1:05", "1:01:40"]


def test_a_terminal_gets_a_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    report = Report("train", stream=terminal)
    for done in (3, 7, 10):  # resumed at 3
        report(done, 10, {"loss": 0.5})
    assert "10/10" in terminal.getvalue() and "loss 0.5" in terminal.getvalue()
    assert terminal.getvalue().count("\x1b[?25l") == terminal.getvalue().count("\x1b[?25h")  # the cursor is back


def test_weights_of_a_training_that_has_diverged_are_refused_and_the_older_ones_stay(tmp_path):
    network = Two()
    save_artifact(tmp_path / "two", ModelArtifact({}, dict(network.state_dict())))
    whole = (tmp_path / "two" / "weights.safetensors").read_bytes()
    train(network, batches, LoopConfig(steps=20, batch_size=8, learning_rate=1e25), seed=0)
    with pytest.raises(BadData, match=r"two: .* diverged: lower its learning_rate in params.yaml, or set grad_clip"):
        save_artifact(tmp_path / "two", ModelArtifact({}, dict(network.state_dict())))
    assert (tmp_path / "two" / "weights.safetensors").read_bytes() == whole
