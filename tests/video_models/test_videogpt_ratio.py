"""The likelihood ratio against a video whose answer is known: a Markov chain beside a distractor."""

import itertools
import math

import numpy as np
import pytest
import torch

from viper_pipeline.training.config import LoopConfig
from viper_pipeline.training.loop import train
from viper_pipeline.video_models.base import for_every_task
from viper_pipeline.video_models.scoring import score_videos
from viper_pipeline.video_models.videogpt_ratio import RatioVideoGPT, VideoGPTConfig

LOOP = LoopConfig(steps=300, batch_size=1, learning_rate=0.01, schedule="onecycle", warmup=0.05)
STAYS = {"expert": 0.8, "agent": 0.4}
"""Chance that the chain, code 0 of a frame, stays where it is: what a player does."""
WILD = 2
"""Symbols of the distractor, code 1, in wild videos: each as likely as the others. In calm ones it never changes."""


def make(tasks=("game",), **sizes) -> RatioVideoGPT:
    torch.manual_seed(0)
    sizes = {"window": 2, "width": 24, "feedforward": 48, "heads": 2, "layers": 1, "training": LOOP} | sizes
    return RatioVideoGPT(VideoGPTConfig(**sizes), torch.randn(WILD + 1, 4), (1, 2), tasks)


def every_clip(stays: float) -> list[list[int]]:
    """Two frames of codes [chain, distractor]; each clip as often as its probability says, in fifths."""
    pairs = [(a, a if i < round(5 * stays) else 1 - a) for a in (0, 1) for i in range(5)]
    wild = list(itertools.product(range(1, WILD + 1), repeat=2))
    return [[a, d, b, e] for a, b in pairs for d, e in [*wild, *[(0, 0)] * len(wild)]]


def learned(stays: dict[str, float]) -> RatioVideoGPT:
    """A model that saw every clip of each class in every step."""
    model = make()
    expert = model.conditions(["game"])
    clips = {name: torch.tensor(every_clip(chance)).view(-1, 2, 1, 2) for name, chance in stays.items()}
    ids = [expert.expand(len(clips["expert"])), model.agent_class(expert).expand(len(clips["agent"]))]
    train(model, lambda step: (torch.cat([*clips.values()]), torch.cat(ids)), LOOP, seed=0)
    return model


@pytest.fixture(scope="module")
def model() -> RatioVideoGPT:
    return learned(STAYS)


def videos(chance: float, wild: bool, count=40, frames=20) -> tuple[torch.Tensor, np.ndarray]:
    """Codes (N, T, 1, 2), and the known log ratio (N, T - 1) of every frame but the first."""
    rng = np.random.default_rng(1)
    switched = rng.random((count, frames)) > chance
    chain = np.cumsum(switched, 1) % 2
    distractor = rng.integers(1, WILD + 1, (count, frames)) if wild else np.zeros((count, frames), int)
    stayed, left = STAYS["expert"] / STAYS["agent"], (1 - STAYS["expert"]) / (1 - STAYS["agent"])
    known = np.where(switched[:, 1:], math.log(left), math.log(stayed))
    return torch.as_tensor(np.stack([chain, distractor], -1))[:, :, None], known


def plain(model: RatioVideoGPT, codes: torch.Tensor) -> float:
    """Mean nats of a frame under the class expert."""
    clips = codes.unfold(1, 2, 1).movedim(-1, 2).flatten(0, 1)
    with torch.no_grad():
        return float(model.likelihood(clips, model.conditions(["game"] * len(clips)))[:, 1].mean())


@pytest.mark.parametrize("player", STAYS)
def test_the_ratio_is_the_known_one_whatever_the_distractor_does(model, player):
    means, plains = {}, {}
    for wild in (False, True):
        codes, known = videos(STAYS[player], wild)
        found = score_videos(model, codes, model.conditions(["game"] * len(codes)))[:, 1:].numpy()
        assert np.abs(found - known).max() < 0.03, "of any frame"
        assert found.mean() == pytest.approx(known.mean(), rel=0.02)
        means[wild], plains[wild] = found.mean(), plain(model, codes)
    assert means[True] == pytest.approx(means[False], rel=0.02)
    assert plains[False] - plains[True] == pytest.approx(math.log(WILD), rel=0.02), "the plain likelihood moves with it"


def test_the_first_frame_says_nothing_if_both_classes_begin_alike(model):
    codes, _ = videos(STAYS["expert"], wild=True)
    first = score_videos(model, codes, model.conditions(["game"] * len(codes)))[:, 0]
    assert float(first.abs().max()) < 0.02


def test_classes_that_are_equal_give_zero():
    same = learned({"expert": 0.8, "agent": 0.8})
    codes, _ = videos(0.8, wild=True)
    assert float(score_videos(same, codes, same.conditions(["game"] * len(codes))).abs().max()) < 1e-3
    assert plain(same, codes) < -1


def test_one_pass_with_both_classes_is_the_difference_of_two(model):
    codes, _ = videos(STAYS["agent"], wild=True, frames=2)
    expert = model.conditions(["game"] * len(codes))
    with torch.no_grad():
        two = model.likelihood(codes, expert) - model.likelihood(codes, model.agent_class(expert))
        torch.testing.assert_close(model.log_prob(codes, expert), two)
        last = model.log_prob_last(codes, expert, per_code=True)
    torch.testing.assert_close(last.sum((1, 2)), two[:, 1], rtol=1e-4, atol=1e-5)


def test_tasks_of_one_class_share_what_both_of_its_sides_learned():
    model = make(tasks=("lift", "push"))
    with torch.no_grad():
        for weights in model.parameters():
            weights.normal_(std=0.3)
    many = {"left_lift": "lift", "left_push": "push", "right_push": "push"}
    larger = RatioVideoGPT.from_artifact(for_every_task(RatioVideoGPT, model.to_artifact(), many))
    codes, _ = videos(0.8, wild=True, count=1, frames=2)
    with torch.no_grad():
        for task, name in many.items():
            expected = model.log_prob(codes, model.conditions([name]))
            torch.testing.assert_close(larger.log_prob(codes, larger.conditions([task])), expected)
    assert not torch.equal(expected, model.log_prob(codes, model.conditions(["lift"])))


def test_the_reference_initialization_tells_classes_apart():
    model = make(init="reference")
    gain = model.blocks[0].norm1.gain
    assert gain.shape == (1, 2, 24) and not torch.equal(gain[:, 0], gain[:, 1])
