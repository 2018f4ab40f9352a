"""Tabletop: seeds, what done means, the expert and the idle floor of every pair, and pictures of what matters."""

import gc
import hashlib
import subprocess
import sys
from functools import cache

import mujoco
import numpy as np
import pytest

from viper_pipeline.core.errors import BadParams
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.envs.dmc import DMC
from viper_pipeline.envs.tabletop.arms import ARMS
from viper_pipeline.envs.tabletop.suite import CLOCK, PROPRIOCEPTION, Tabletop, pair
from viper_pipeline.envs.tabletop.tasks import LOW, MOVE, TASKS
from viper_pipeline.experts.scripts_arm import ArmScript
from viper_pipeline.testing import check_suite

suite = Tabletop()
PAIRS = suite.tasks()
FAST = {"shadows": False, "antialiasing": False}
WIDE = 5
"""Pixels that a thing which matters is wide at least."""


@cache
def scene(task):
    """One environment a pair for all tests."""
    return suite.make(task, 9, {}, suite.frame_spec(task, {}, FAST))


def begin(task, seed, pixels=False):
    env = scene(task)
    env.pixels = pixels
    return env, env.reset(seed=seed)[0]


def play(env, seed, steps, pixels=True):
    """Observations (steps + 1, ...) of random actions."""
    env.pixels = pixels
    rng = np.random.default_rng(0)
    return np.stack([env.reset(seed=seed)[0], *(env.step(rng.uniform(-1, 1, 4))[0] for _ in range(steps))])


def episode(task, policy, seed, enough=np.inf):
    """The rewards of an episode, or of its beginning until they add up to `enough`."""
    env, state = begin(task, seed)
    rng, rewards, over = np.random.default_rng(seed), [], False
    while not over and sum(rewards) < enough:
        state, reward, _, over, _ = env.step(policy(state[None], True, rng)[0])
        rewards.append(reward)
    return rewards


def idle(task):
    return lambda states, *_: suite.idle_action(task)[None]


@pytest.mark.parametrize("task", PAIRS)
def test_the_script_does_the_task_and_doing_nothing_does_not(task):
    assert all(sum(episode(task, ArmScript(task, 0.05), seed, enough=1)) for seed in range(3))
    rewards = episode(task, idle(task), 3)
    assert not any(rewards) and len(rewards) == suite.episode_steps(task, {}) == 100


@pytest.mark.slow
@pytest.mark.parametrize("task", PAIRS)
def test_scripts_succeed_nearly_always_idleness_never_and_chance_hardly_ever(task):
    def chance(states, _, rng):
        return rng.uniform(-1, 1, (1, 4))

    seeds = range(2000, 2040)
    assert sum(bool(sum(episode(task, ArmScript(task, 0.05), seed, enough=1))) for seed in seeds) >= 38
    assert not any(sum(episode(task, idle(task), seed, enough=1)) for seed in seeds)
    assert sum(bool(sum(episode(task, chance, seed, enough=1))) for seed in seeds) <= 4


def test_success_is_paid_for_ever_and_ends_nothing():
    task = "panda_lift"
    rewards = np.array(episode(task, ArmScript(task, 0.0), 1))
    first = int(rewards.argmax())
    assert 10 < first < 60 and (rewards[first:] == 1).all() and not rewards[:first].any()
    env, state = begin(task, 1)
    for _ in range(first + 1):
        state, *_ = env.step(ArmScript(task, 0.0)(state[None], True, np.random.default_rng(0))[0])
    for _ in range(5):
        _, reward, terminated, _, info = env.step(np.array([0, 0, 0, -1]))  # dropped: it was done once
        assert reward == 1 and info["success"] and not terminated
    assert not env.reset(seed=1)[1]["success"]
    assert env.step(suite.idle_action(task))[1] == 0


def done(env):
    mujoco.mj_forward(env.simulation.model, env.simulation.data)
    return env.task.success(env.simulation)


def test_a_button_counts_only_when_it_is_down_and_shows_it():
    for task, shape in (("panda_push_button", "button"), ("sawyer_lamp_on", "bulb")):
        env, _ = begin(task, 0)
        before = env.simulation.model.geom(shape).rgba.copy()
        env.simulation.data.joint("button").qpos[0] = -0.006
        assert not done(env)
        env.simulation.data.joint("button").qpos[0] = -0.013
        assert done(env)
        env.task.show(env.simulation.model, True)
        assert np.abs(env.simulation.model.geom(shape).rgba - before).max() > 0.5
        env.reset(seed=0)
        assert np.array_equal(env.simulation.model.geom(shape).rgba, before)


def test_a_seat_must_lie():
    env, _ = begin("panda_toilet_seat_down", 0)
    for angle, lies in ((1.5, False), (0.3, False), (0.05, True)):
        env.simulation.data.joint("seat").qpos[0] = angle
        assert done(env) == lies


def test_the_ball_is_reached_by_the_hand_alone():
    env, state = begin("sawyer_reach_target", 0)
    here = env.simulation.address
    env.simulation.data.qpos[here : here + 3] = state[PROPRIOCEPTION:]
    assert done(env)
    env.simulation.data.qpos[here] += 0.03
    assert not done(env)


@pytest.mark.parametrize(
    ("task", "body"),
    [
        ("panda_lift", "cube"),
        ("panda_take_lid_off_saucepan", "lid"),
        ("panda_take_umbrella_out_of_umbrella_stand", "umbrella"),
    ],
)
def test_a_thing_in_the_air_counts_only_while_it_is_held(task, body):
    env, _ = begin(task, 0)
    address = env.simulation.model.joint(env.simulation.model.body(body).jntadr[0]).qposadr[0]
    env.simulation.data.qpos[address + 2] += 0.2
    assert not done(env) and not env.simulation.holds()
    assert sum(episode(task, ArmScript(task, 0.0), 0, enough=1)) and env.simulation.holds()


def test_a_stacked_cube_must_be_let_go_and_rest():
    env, _ = begin("sawyer_stack", 0)
    data = env.simulation.data
    base, cube = (env.simulation.model.body(name).jntadr[0] for name in ("base", "cube"))
    base, cube = (env.simulation.model.joint(joint).qposadr[0] for joint in (base, cube))
    for off, stacked in (([0, 0, 0.05], True), ([0.03, 0, 0.05], False), ([0, 0, 0.07], False)):
        data.qpos[cube : cube + 3] = np.add(data.qpos[base : base + 3], off)
        assert done(env) == stacked


@pytest.mark.parametrize("task", PAIRS)
def test_the_front_camera_sees_all_that_matters_and_the_hand(task):
    for seed in range(3):
        env, _ = begin(task, seed)
        model, seen = env.simulation.model, env.simulation.draw(segmentation=True)
        shapes = seen[..., 0] * (seen[..., 1] == mujoco.mjtObj.mjOBJ_GEOM) - (seen[..., 1] != mujoco.mjtObj.mjOBJ_GEOM)
        for name in env.task.matters:
            rows, columns = np.nonzero(shapes == model.geom(name).id)
            assert len(columns), f"{name} is not seen"
            assert columns.max() - columns.min() + 1 >= WIDE, name
            assert rows.max() < 63 and columns.min() > 0 and columns.max() < 63, f"{name} is cut off"
        hand = [i for i in range(model.ngeom) if model.body(model.geom_bodyid[i]).name in ("hand", "left", "right")]
        assert np.isin(shapes, hand).sum() > 40


@pytest.mark.parametrize("task", ["panda_stack", "sawyer_take_umbrella_out_of_umbrella_stand", "panda_reach_target"])
def test_an_episode_follows_from_its_seed_and_from_nothing_before(task):
    env = scene(task)
    first = play(env, 3, 4)
    assert first.shape == (5, 64, 64, 3) and first.dtype == np.uint8
    assert not np.array_equal(first, play(env, 4, 4))
    assert np.array_equal(first, play(env, 3, 4))


def test_other_processes_draw_the_same_frames():
    here = hashlib.sha256(play(scene("sawyer_lift"), 5, 6).tobytes()).hexdigest()
    code = (
        "import hashlib; from tests.envs.test_tabletop import play, scene;"
        "print(hashlib.sha256(play(scene('sawyer_lift'), 5, 6).tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert there.stdout.strip() == here, there.stderr


def test_the_two_arms_look_different_and_stand_before_equal_things():
    frames = {arm: play(scene(f"{arm}_stack"), 6, 0)[0] for arm in ARMS}
    states = {arm: play(scene(f"{arm}_stack"), 6, 0, pixels=False)[0] for arm in ARMS}
    assert (np.abs(frames["panda"].astype(int) - frames["sawyer"]).max(-1) > 50).mean() > 0.03
    assert np.array_equal(states["panda"], states["sawyer"]) and states["panda"].shape == (PROPRIOCEPTION + 6,)


@pytest.mark.parametrize("arm", ARMS)
def test_the_arm_follows_the_hand_without_a_gap(arm):
    env, _ = begin(f"{arm}_reach_target", 2)
    rng = np.random.default_rng(1)
    gaps = []
    for _ in range(100):
        env.step(rng.choice([-1.0, 1.0], 4))
        posture = env.simulation.posture
        flange = posture.data.site_xpos[0] + posture.base - [0, 0, posture.arm.reach]
        gaps.append(np.linalg.norm(flange - env.simulation.place()))
        assert np.allclose(env.simulation.data.mocap_pos[-1], posture.places()[0][-1])
    assert np.median(gaps) < 0.01 and max(gaps) < 0.05


def test_the_hand_goes_as_far_as_an_action_says_and_stays_over_the_table():
    env, state = begin("panda_reach_target", 0)
    first = state[:3]
    for _ in range(4):
        state, *_ = env.step(np.array([0.5, 0.0, -1.0, 0.0]))
    for _ in range(4):
        state, *_ = env.step(np.zeros(4))
    assert np.allclose(state[:3] - first, [2 * MOVE, 0, -4 * MOVE], atol=0.003)
    assert state[3] > 0.95 and state[5] == pytest.approx(8 / CLOCK)
    for _ in range(20):
        state, *_ = env.step(np.array([0, 0, -1, 1]))
    assert state[2] > LOW[2] - 0.005 and state[3] < 0.05


def test_freeing_a_scene_spoils_no_frame_of_another():
    """Freed into the wrong context, what the others draw would be noise from then on, without an error."""
    kept, gone = scene("panda_lift"), suite.make("panda_lift", 5, {}, suite.frame_spec("panda_lift", {}, FAST))
    control = DMC().make("cartpole_balance", 0, {}, DMC().frame_spec("cartpole_balance", {}, FAST))
    kept.pixels = True
    before = [kept.reset(seed=1)[0], control.reset(seed=1)[0]]
    assert before[0].std() > 10 and before[1].std() > 10
    assert np.array_equal(gone.reset(seed=1)[0], before[0])  # another environment, the same episode
    gone.close()
    del gone
    gc.collect()
    assert np.array_equal(kept.render(), before[0]) and np.array_equal(control.render(), before[1])
    control.close()
    del control
    gc.collect()
    assert np.array_equal(kept.render(), before[0])


def test_action_repeat_adds_up_and_the_length_is_in_no_file():
    rules = {"action_repeat": 7, "max_steps": 10}
    env = suite.make("panda_lift", 8, rules, suite.frame_spec("panda_lift", rules, FAST), pixels=False)
    before = env.reset(seed=8)[0]
    down = np.array([0, 0, -0.5, -1])
    after, _, _, over, _ = env.step(down)
    assert not over and after[2] < before[2] - 0.08
    assert env.step(down)[3] and env.steps == 10
    assert suite.episode_steps("panda_lift", rules) == 2
    assert type(env.spec_of_frames) is FrameSpec and env.spec_of_frames.action_repeat == 7
    env.close()


def test_names_and_cameras():
    assert SUITES.get("tabletop") is Tabletop
    assert {suite.task_label(task) for task in PAIRS} == set(TASKS.names())
    assert len(PAIRS) == len(ARMS) * len(TASKS.names()) and all(pair(task)[0] in ARMS for task in PAIRS)
    with pytest.raises(BadParams, match="did you mean 'panda_lift'"):
        suite.canonical("panda_lft")
    overhead = suite.make("panda_lift", 0, {}, suite.frame_spec("panda_lift", {}, FAST | {"camera": "overhead"}))
    assert not np.array_equal(overhead.reset(seed=0)[0], play(scene("panda_lift"), 0, 0)[0])
    overhead.close()
    nowhere = suite.make("panda_lift", 0, {}, suite.frame_spec("panda_lift", {}, FAST | {"camera": "frnt"}))
    with pytest.raises(BadParams, match="did you mean 'front'"):
        nowhere.reset(seed=0)


def test_the_suite_keeps_its_contract():
    check_suite(suite, "sawyer_stack")
