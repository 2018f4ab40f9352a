"""Scripts for arms: the funnel, what they do next, and noise that is seeded. No simulator: see suites/test_tabletop."""

import pickle

import numpy as np
import pytest

from viper_pipeline.envs.robosuite import TABLETOP_TASKS, Tabletop
from viper_pipeline.experts.base import load_expert, make_expert, trained
from viper_pipeline.experts.scripts import (
    ARM_SCRIPTS,
    BIN,
    HANDLE,
    ON_TOP,
    OPEN,
    OVER_WALLS,
    SHUT,
    SLOT,
    ArmScript,
    can,
    door,
    lift,
    pick,
    script_for,
    stack,
    towards,
)

TABLE = np.array([0.0, 0.0, 0.82])
FAR = np.array([0.1, 0.05, 0.82])


def above(place, height, x=0.0):
    return place + np.array([x, 0.0, height])


def test_a_thing_far_off_rises_before_it_moves_sideways_and_sinks_only_over_its_place():
    low, high = towards(FAR, TABLE, 0.08), towards(above(FAR, 0.08), TABLE, 0.08)
    assert low[2] == pytest.approx(0.08) and not low[:2].any()
    assert np.allclose(high, [*(TABLE - FAR)[:2], 0])
    over = towards(above(TABLE, 0.08, x=0.005), TABLE, 0.08)
    assert np.allclose(over, [-0.005, 0, -0.08])


def test_following_the_funnel_ends_at_the_place():
    rng = np.random.default_rng(0)
    for _ in range(20):
        thing = TABLE + rng.uniform([-0.2, -0.2, 0], [0.2, 0.2, 0.2])
        for _ in range(400):
            thing = thing + 0.2 * np.clip(towards(thing, TABLE, 0.07), -0.05, 0.05)
        assert np.abs(thing - TABLE).max() < 0.005


def test_the_gripper_shuts_at_the_thing_and_stays_shut_while_it_holds():
    assert pick(TABLE, TABLE)[1] == SHUT and pick(above(TABLE, 0.05), TABLE)[1] == OPEN
    way, grip = lift(TABLE, 1.0, TABLE)
    assert grip == SHUT and way[2] > 0
    assert lift(above(TABLE, 0.1), 0.0, above(TABLE, 0.1))[1] == SHUT  # contacts flicker
    assert lift(above(TABLE, 0.1), 0.0, TABLE)[1] == OPEN  # dropped: begins again


def test_a_stacked_cube_is_let_go_before_the_hand_leaves():
    base = TABLE
    there = base + ON_TOP
    assert stack(there, 1.0, there, base)[1] == OPEN and not stack(there, 1.0, there, base)[0].any()
    way, grip = stack(there, 0.0, there, base)
    assert grip == OPEN and way[2] > 0.1
    way, grip = stack(FAR, 1.0, FAR, base)
    assert grip == SHUT and way[2] > 0


def turned(place, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([cos * place[0] - sin * place[1], sin * place[0] + cos * place[1], *place[2:]])


def test_a_turned_door_is_opened_by_the_same_movement_turned():
    middle = np.array([0.0, 0.0, 1.1])
    handle, slot = np.array([*HANDLE, 1.075]), np.array([*SLOT, 1.075])
    way, grip = door(slot, 0.0, handle, middle)
    assert grip == SHUT and way[1] < 0 and np.allclose(way[[0, 2]], 0)  # straight away from the door
    assert door(above(slot, 0.07), 0.0, handle, middle)[0][2] < 0  # down behind the lever first
    front = slot - np.array([0, 0.1, 0])
    assert door(front, 0.0, handle, middle)[0][2] > 0 and not door(front, 0.0, handle, middle)[0][:2].any()
    for angle in (0.3, 2.9, -1.7):
        for hand in (slot, front, above(middle, 0.3)):
            there = door(turned(hand, angle), 0.0, turned(handle, angle), middle)[0]
            assert np.allclose(there, turned(door(hand, 0.0, handle, middle)[0], angle))


def test_a_can_goes_over_the_walls_and_is_let_go_before_the_hand_leaves():
    start = np.array([0.05, -0.3, BIN[2]])
    way, grip = can(start, 1.0, start)
    assert grip == SHUT and way[2] == pytest.approx(OVER_WALLS) and not way[:2].any()
    way, grip = can(above(start, OVER_WALLS), 1.0, above(start, OVER_WALLS))
    assert grip == SHUT and way[1] > 0.5 and way[2] == pytest.approx(0)
    assert can(start, 0.0, start)[0].max() <= 0  # it stands, and no finger touches it: nothing to carry
    assert can(BIN, 1.0, BIN)[1] == OPEN and not can(BIN, 1.0, BIN)[0].any()
    assert can(BIN, 0.0, BIN)[1] == OPEN and can(BIN, 0.0, BIN)[0][2] > 0.1


def test_every_pair_has_a_script_whose_noise_is_seeded():
    assert set(ARM_SCRIPTS) == set(TABLETOP_TASKS)
    states = np.tile(np.concatenate([TABLE, [0.0], FAR, TABLE]), (50, 1)).astype(np.float32)
    policy = pickle.loads(pickle.dumps(script_for("panda_stack", 0.2)))

    def actions(seed):
        return policy(states, True, np.random.default_rng(seed))

    assert np.array_equal(actions(1), actions(1)) and not np.array_equal(actions(1), actions(2))
    assert actions(1).dtype == np.float32 and np.abs(actions(1)).max() <= 1
    usual = ArmScript("panda_stack", 0.0)(states[:1], True, np.random.default_rng(0))
    random = (actions(1) != usual).any(1)
    assert 0.05 < random.mean() < 0.5 and (actions(1)[:, 3] == usual[0, 3]).all()


def test_a_script_survives_the_disk():
    expert = make_expert(Tabletop(), "sawyer_lift", {"algorithm": "script", "noise": 0.1})
    assert load_expert(trained(expert, None, 0), Tabletop())[1] == ArmScript("sawyer_lift", 0.1)
