"""Tabletop: seeds, rewards, the expert and the idle floor of every pair, and pictures that no other scene can spoil."""

import gc
from functools import cache

import mujoco
import numpy as np
import pytest

from viper_pipeline.core.errors import BadParams
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.envs.dmc import DMC
from viper_pipeline.envs.robosuite import SCENES, TABLETOP_TASKS, Tabletop, looking
from viper_pipeline.experts.scripts import BIN, HANDLE, ArmScript

suite = Tabletop()
FAST = {"shadows": False, "antialiasing": False}


@cache
def scene(task):
    """One environment a pair for all tests, since making one takes seconds."""
    return suite.make(task, 9, {}, suite.frame_spec(task, {}, FAST))


def play(env, seed, steps, pixels=True):
    """Observations (steps + 1, ...) and rewards of random actions."""
    env.pixels = pixels
    rng = np.random.default_rng(0)
    seen, rewards = [env.reset(seed=seed)[0]], []
    for _ in range(steps):
        observation, reward, *_ = env.step(rng.uniform(-1, 1, 4))
        seen.append(observation)
        rewards.append(reward)
    return np.stack(seen), np.array(rewards)


def returned(env, policy, seed, enough):
    """The true return of an episode, or of its beginning if that is `enough`."""
    env.pixels = False
    (state, _), total, done = env.reset(seed=seed), 0.0, False
    rng = np.random.default_rng(seed)
    while not done and total < enough:
        state, reward, _, done, _ = env.step(policy(state[None], True, rng)[0])
        total += reward
    return total


def idle(task):
    action = suite.idle_action(task)[None]
    return lambda states, *_: action


@pytest.mark.parametrize("task", TABLETOP_TASKS)
def test_the_script_does_the_task_and_doing_nothing_does_not(task):
    env = scene(task)
    assert returned(env, ArmScript(task, 0.05), 1, enough=5) >= 5
    env.length = 30
    assert returned(env, idle(task), 3, enough=np.inf) == 0
    assert env.steps == 30
    env.length = suite.episode_steps(task, {})


@pytest.mark.slow
@pytest.mark.parametrize("task", TABLETOP_TASKS)
def test_doing_nothing_never_succeeds_in_whole_episodes(task):
    assert [returned(scene(task), idle(task), seed, enough=1) for seed in range(5)] == [0] * 5
    assert scene(task).steps == 150


@pytest.mark.parametrize("task", TABLETOP_TASKS)
def test_the_close_camera_sees_the_hand_and_all_that_matters(task):
    state, shot = play(scene(task), 2, 0, pixels=False)[0][0], SCENES[TABLETOP_TASKS[task][1]].close
    points = np.vstack([state[:3], state[4:].reshape(-1, 3), *([BIN] if "can" in task else [])]) - shot.eye
    turn = np.empty(9)
    mujoco.mju_quat2Mat(turn, looking(np.subtract(shot.aim, shot.eye)))
    across, up, back = (points @ turn.reshape(3, 3)).T
    assert (back < 0).all()
    assert (np.abs([across, up]) < -back * np.tan(np.radians(shot.angle / 2))).all()


def test_scripts_know_where_robosuite_puts_bin_and_handle():
    assert np.allclose(scene("panda_can").simulator.target_bin_placements[3, :2], BIN[:2])
    handle, middle = play(scene("sawyer_door"), 2, 0, pixels=False)[0][0][4:].reshape(2, 3)
    assert np.linalg.norm((handle - middle)[:2]) == pytest.approx(np.linalg.norm(HANDLE), abs=1e-3)


@pytest.mark.parametrize("task", ["panda_stack", "sawyer_lift", "sawyer_door", "panda_can"])
def test_an_episode_follows_from_its_seed_and_from_nothing_before(task):
    env = scene(task)
    first = play(env, 3, 4)[0]
    assert first.shape == (5, 64, 64, 3) and first.dtype == np.uint8
    assert not np.array_equal(first, play(env, 4, 4)[0])
    assert np.array_equal(first, play(env, 3, 4)[0])


def test_the_two_arms_look_different_and_stand_before_equal_cubes():
    frames = {arm: play(scene(f"{arm}_stack"), 6, 0)[0][0] for arm in ("panda", "sawyer")}
    states = {arm: play(scene(f"{arm}_stack"), 6, 0, pixels=False)[0][0] for arm in frames}
    assert (frames["panda"] != frames["sawyer"]).any(-1).mean() > 0.01
    assert states["panda"].shape == states["sawyer"].shape == (10,)


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
    env = scene("panda_lift")
    one = play(env, 8, 0, pixels=False)[0]
    rules = {"action_repeat": 7, "control_steps": 10}
    env.action_repeat, env.length = 7, 10
    env.reset(seed=8)
    down = np.array([0, 0, -1, -1])
    ends = [env.step(down)[3] for _ in range(2)]
    assert ends == [False, True] and env.steps == 10
    assert suite.episode_steps("panda_lift", rules) == 2
    assert env._state(env.simulator._get_observations(force_update=True))[2] < one[0, 2] - 0.02
    assert type(env.spec_of_frames) is FrameSpec and env.spec_of_frames.action_repeat == 1
    assert suite.frame_spec("panda_lift", rules, FAST).action_repeat == 7
    env.action_repeat, env.length = 1, 150


def test_names():
    assert isinstance(SUITES.get("tabletop")(), Tabletop)
    assert {suite.task_label(task) for task in suite.tasks()} == set(SCENES)
    with pytest.raises(BadParams, match="did you mean 'panda_lift'"):
        suite.canonical("panda_lft")
    with pytest.raises(BadParams, match="did you mean 'sawyer_door'"):
        suite.canonical("sawyer_dor")
