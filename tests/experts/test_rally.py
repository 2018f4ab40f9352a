"""Pong's winning script: it knows where the ball comes out, waits there, and is ahead of the opponent soon."""

import numpy as np
import pytest

from viper_pipeline.core.errors import BadParams
from viper_pipeline.envs.atari import Atari
from viper_pipeline.experts.base import make_expert
from viper_pipeline.experts.rally import HIGH, LOW, RallyPolicy, bounced, rally
from viper_pipeline.experts.sb3 import play
from viper_pipeline.experts.scripts import LEFT, RIGHT, STAY

suite = Atari()


def state(bat: float, ball: float, rise: float = 0.0, across: float = 100.0, speed: float = 4.0, drift: float = 0.0):
    """Memory and its change."""
    memory, change = np.zeros(128), np.zeros(128)
    memory[[49, 54, 51, 50]] = across, ball, bat, ball
    change[[49, 54, 51]] = speed, rise, drift
    return memory, change


@pytest.mark.parametrize(
    ("place", "comes_out"), [(100, 100), (LOW - 10, LOW + 10), (HIGH + 3, HIGH - 3), (LOW - 2 * (HIGH - LOW), LOW)]
)
def test_a_ball_bounces_off_the_walls(place, comes_out) -> None:
    assert bounced(place) == comes_out


def test_the_bat_goes_to_where_the_ball_will_be_and_rests_there() -> None:
    assert rally(*state(bat=60, ball=120)) == LEFT  # the stick's left is down
    assert rally(*state(bat=180, ball=120)) == RIGHT
    assert rally(*state(bat=118, ball=120)) == STAY  # hit by an end
    # 22 steps to go, 4 lines a step: it comes out at 208, past the wall
    assert rally(*state(bat=120, ball=120, rise=4)) == LEFT
    assert rally(*state(bat=120, ball=120, rise=-4)) == RIGHT


def test_a_swinging_bat_is_stopped_in_time() -> None:
    assert rally(*state(bat=103, ball=120)) == LEFT
    assert rally(*state(bat=103, ball=120, drift=20)) == STAY


def test_without_a_ball_nothing_is_done() -> None:
    assert rally(*state(bat=60, ball=0)) == STAY


def test_it_keeps_up_with_the_opponent_where_random_play_is_far_behind() -> None:
    rules = {"max_frames": 2400}
    env = suite.make("pong", 0, rules, suite.frame_spec("pong", rules, {}), pixels=False)

    def random(states, deterministic, rng):
        return rng.uniform(-1, 1, (1, 18))

    expert, chance = ([play(env, policy, seed) for seed in range(3)] for policy in (RallyPolicy(0.02), random))
    assert np.mean(expert) >= -2 and min(expert) > max(chance) + 4


def test_it_plays_no_other_game() -> None:
    with pytest.raises(BadParams, match=r"experts\.boxing\.algorithm: rally plays pong of suite atari only"):
        make_expert(suite, "boxing", {"algorithm": "rally"})
