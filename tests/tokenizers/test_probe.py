"""The probe: a ball is where the console's memory says, and a reconstruction without it is told from one with it."""

from functools import cache

import numpy as np
import pytest

from viper_pipeline.envs.atari import Atari
from viper_pipeline.experts.scripts import script_for
from viper_pipeline.tokenizers.probe import FIGURES, found_again, located
from viper_pipeline.tokenizers.quality import median_background

BALL = FIGURES["atari"]["pong"]


@cache
def pong():
    """Frames of a scripted game (T, 64, 64, 3), their background, and the ball's place in the memory (T, 2)."""
    suite, rules = Atari(), {"max_frames": 1200}
    env = suite.make("pong", 0, rules, suite.frame_spec("pong", rules, {}))
    policy, rng = script_for("pong", 0.05), np.random.default_rng(0)
    frame, info = env.reset(seed=1)
    frames, memory, done = [frame], [info["state"]], False
    while not done:
        frame, _, terminated, truncated, info = env.step(policy(info["state"][None], False, rng)[0])
        frames.append(frame)
        memory.append(info["state"])
        done = terminated or truncated
    env.close()
    return np.stack(frames), median_background(np.stack(frames)), np.stack(memory)[:, [54, 49]]


def test_the_ball_is_where_the_memory_says() -> None:
    frames, background, memory = pong()
    places, weights = located(frames, background, BALL)
    shown = (weights >= BALL.least) & (memory[:, 0] > 0)
    assert shown.sum() > 150
    # rows of the screen are 210, columns 160; in the memory they begin elsewhere
    errors = places[shown] - memory[shown] * (64 / 210, 64 / 160)
    assert np.percentile(np.abs(errors - np.median(errors, 0)), 99) < 1
    absent = memory[:, 0] == 0
    assert absent.sum() > 5 and (weights[absent][1:] < BALL.least).mean() > 0.8


def test_in_the_frames_themselves_everything_is_found() -> None:
    frames, background, _ = pong()
    result = found_again(frames, frames, background, BALL)
    assert result["frames"] > 150 and result["found"] == result["kept"] == 1


@pytest.mark.parametrize(
    ("change", "found", "kept"),
    [
        (lambda f, b: np.broadcast_to(b, f.shape), 0.0, 0.0),  # no ball at all
        (lambda f, b: (b + (f - b.astype(float)) * 0.5).round().astype(np.uint8), 1.0, 0.5),  # half as bright
        (lambda f, b: (b + (f - b.astype(float)) * 0.1).round().astype(np.uint8), 0.0, 0.1),  # nearly gone
        (lambda f, b: np.roll(f, 1, 2), 1.0, 1.0),  # a pixel aside
        (lambda f, b: np.roll(f, 5, 2), 0.0, 0.0),  # far aside
    ],
)
def test_what_is_lost_is_not_found(change, found, kept) -> None:
    frames, background, _ = pong()
    result = found_again(frames, change(frames, background), background, BALL)
    assert result["found"] == pytest.approx(found, abs=0.06) and result["kept"] == pytest.approx(kept, abs=0.08)


def test_codes_of_eight_pixels_without_detail_lose_the_ball_and_of_two_keep_it() -> None:
    frames, background, _ = pong()

    def averaged(side: int) -> np.ndarray:
        blocks = frames.reshape(len(frames), 64 // side, side, 64 // side, side, 3).mean((2, 4))
        return blocks.repeat(side, 1).repeat(side, 2).round().astype(np.uint8)

    coarse, fine = (found_again(frames, averaged(side), background, BALL)["found"] for side in (8, 2))
    assert coarse < 0.1 and fine > 0.9


def test_frames_of_any_size_are_measured_in_pixels_of_64() -> None:
    frames, background, _ = pong()
    large = frames[:60].repeat(2, 1).repeat(2, 2)
    places, weights = located(frames[:60], background, BALL)
    again, same = located(large, background.repeat(2, 0).repeat(2, 1), BALL)
    shown = weights >= BALL.least
    assert np.abs(places - again)[shown].max() <= 1 and np.allclose(weights, same, atol=0.35)


def test_where_nothing_is_shown_nothing_is_said() -> None:
    _, background, _ = pong()
    empty = np.broadcast_to(background, (3, *background.shape))
    assert found_again(empty, empty, background, BALL) == {"frames": 0, "found": None, "kept": None}
