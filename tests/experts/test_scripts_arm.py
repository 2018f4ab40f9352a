"""Scripts for arms: the funnel, what they do next, their pace, and noise that is seeded. See envs/test_tabletop too."""

import pickle

import numpy as np
import pytest

from viper_pipeline.envs.tabletop.suite import CLOCK, Tabletop
from viper_pipeline.envs.tabletop.tasks import OPEN, SHUT, TASKS, pick, towards
from viper_pipeline.experts.base import load_expert, make_expert, trained
from viper_pipeline.experts.scripts import script_for
from viper_pipeline.experts.scripts_arm import ARM_SCRIPTS, RAMP, SPEED, STILL, ArmScript

PLACE = np.array([0.0, 0.0, 0.025])
FAR = np.array([0.1, 0.05, 0.025])


def above(place, height, x=0.0):
    return place + np.array([x, 0.0, height])


def command(task, hand, holds, *places):
    return TASKS.get(task)().waypoint(np.array(hand), holds, np.array(places))


def test_a_thing_far_off_rises_before_it_moves_sideways_and_sinks_only_over_its_place():
    low, high = towards(FAR, PLACE, 0.08), towards(above(FAR, 0.08), PLACE, 0.08)
    assert low[2] == pytest.approx(0.08) and not low[:2].any()
    assert np.allclose(high, [*(PLACE - FAR)[:2], 0])
    over = towards(above(PLACE, 0.08, x=0.005), PLACE, 0.08)
    assert np.allclose(over, [-0.005, 0, -0.08])


def test_following_the_funnel_ends_at_the_place():
    rng = np.random.default_rng(0)
    for _ in range(20):
        thing = PLACE + rng.uniform([-0.2, -0.2, 0], [0.2, 0.2, 0.2])
        for _ in range(400):
            thing = thing + 0.2 * np.clip(towards(thing, PLACE, 0.07), -0.05, 0.05)
        assert np.abs(thing - PLACE).max() < 0.006


def test_the_gripper_shuts_at_the_thing_and_stays_shut_while_it_holds():
    assert pick(PLACE, PLACE)[1] == SHUT and pick(above(PLACE, 0.05), PLACE)[1] == OPEN
    way, grip = command("lift", PLACE, True, PLACE)
    assert grip == SHUT and way[2] > 0
    assert command("lift", above(PLACE, 0.1), False, above(PLACE, 0.1))[1] == SHUT  # contacts flicker
    assert command("lift", above(PLACE, 0.1), False, PLACE)[1] == OPEN  # dropped: begins again


def test_a_stacked_cube_is_let_go_before_the_hand_leaves():
    there = above(PLACE, 0.053)
    way, grip = command("stack", there, True, there, PLACE)
    assert grip == OPEN and not way.any()
    way, grip = command("stack", there, False, there, PLACE)
    assert grip == OPEN and way[2] > 0.05
    way, grip = command("stack", FAR, True, FAR, PLACE)
    assert grip == SHUT and way[2] > 0


def turned(place, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([cos * place[0] - sin * place[1], sin * place[0] + cos * place[1], place[2]])


def test_a_turned_toilet_is_closed_by_the_same_movement_turned():
    rim, hinge, bowl = np.array([[-0.1, 0, 0.23], [-0.06, 0, 0.106], [0, 0, 0.1]])
    spot = hinge + 0.75 * (rim - hinge)
    way, grip = command("toilet_seat_down", above(spot, 0, x=-0.04), False, rim, hinge, bowl)
    assert grip == SHUT and way[0] > 0.01 and np.allclose(way[1:], 0)  # behind the seat: push
    front = command("toilet_seat_down", above(spot, 0, x=0.1), False, rim, hinge, bowl)[0]
    assert front[2] > 0.05 and not front[:2].any()  # before it: up and over first
    lies = command("toilet_seat_down", bowl, False, np.array([0.07, 0, 0.107]), hinge, bowl)[0]
    assert lies[2] > 0.05
    for angle in (0.3, 2.9, -1.7):
        for hand in (above(spot, 0, x=-0.04), above(spot, 0, x=0.1), above(spot, 0.2)):
            there = command(
                "toilet_seat_down", turned(hand, angle), False, *(turned(p, angle) for p in (rim, hinge, bowl))
            )
            assert np.allclose(there[0], turned(command("toilet_seat_down", hand, False, rim, hinge, bowl)[0], angle))


def states(step, things=2):
    return np.concatenate([above(FAR, 0.2), [1.0, 0.0, step / CLOCK], *[PLACE] * things]).astype(np.float32)[None]


def test_scripts_begin_slowly_and_never_go_faster_than_they_should():
    script = ArmScript("panda_lift", 1e-9)
    pace = [np.abs(script(states(k, 1), True, np.random.default_rng(0))[0, :3]).max() for k in range(30)]
    assert not any(pace[:STILL]) and (np.diff(pace[STILL - 1 : STILL + RAMP]) > 0).all()
    assert pace[STILL + RAMP :] == pytest.approx([SPEED] * (30 - STILL - RAMP))


def test_every_pair_has_a_script_whose_noise_is_seeded():
    assert set(ARM_SCRIPTS) == set(Tabletop().tasks())
    many = np.tile(states(50), (50, 1))
    policy = pickle.loads(pickle.dumps(script_for("panda_stack", 0.2)))

    def actions(seed):
        return policy(many, True, np.random.default_rng(seed))

    assert np.array_equal(actions(1), actions(1)) and not np.array_equal(actions(1), actions(2))
    assert actions(1).dtype == np.float32 and np.abs(actions(1)).max() <= 1
    usual = ArmScript("panda_stack", 0.0)(many[:1], True, np.random.default_rng(0))
    random = (actions(1) != usual).any(1)
    assert 0.05 < random.mean() < 0.5 and (actions(1)[:, 3] == usual[0, 3]).all()


def test_a_script_survives_the_disk():
    expert = make_expert(Tabletop(), "sawyer_lift", {"algorithm": "script", "noise": 0.1})
    assert load_expert(trained(expert, None, 0), Tabletop())[1] == ArmScript("sawyer_lift", 0.1)
