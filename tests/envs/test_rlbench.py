"""RLBench's adapter, against a stand-in for RLBench: actions, rewards, episodes, demonstrations. Names and lists."""

import sys

import numpy as np
import pytest

from tests.agents.test_train import DRQ, RUN
from tests.envs import rlbench_stub as stub
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.envs.rlbench import HELD_OUT, PAIRS, PANDA, PAPER, REACH, RLBENCH_TASKS, SAWYER, SHARED, RLBench
from viper_pipeline.rewards.methods import ScaledTaskReward

suite = RLBench()
TASK = "panda_reach_target"
FORTH, LEFT, UP = (np.array(a, np.float32) for a in ([1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]))


@pytest.fixture
def made(monkeypatch):
    """task, frames -> an environment on the stand-in; closed when the test ends."""
    stub.install(monkeypatch)
    opened = []

    def make(task=TASK, pixels=True, demos=False, **frames):
        env = {"max_steps": frames.pop("max_steps", 250)}
        spec = suite.frame_spec(task, env, frames)
        opened.append(suite.make_demos(task, 0, env, spec) if demos else suite.make(task, 0, env, spec, pixels))
        return opened[-1]

    yield make
    for env in opened:
        env.close()
    assert not stub.Environment.running


def hand(env):
    return env.simulator.task.hand.copy()


def test_an_action_moves_the_hand_by_centimeters_and_opens_or_shuts_the_gripper(made):
    env = made()
    env.reset(seed=1)
    before = hand(env)
    env.step(np.array([0.5, -1, -0.1, -1]))
    np.testing.assert_allclose(hand(env) - before, REACH * np.array([0.5, -1, -0.1]))
    assert env.simulator.task.open == 0
    env.step(np.array([7, 0, 0, 0.1]))  # beyond the range: clipped
    np.testing.assert_allclose(hand(env)[0] - before[0], 1.5 * REACH)
    assert env.simulator.task.open == 1
    assert env.simulator.scene.mode.gripper.attach and env.simulator.scene.headless


def test_the_hand_never_rises_above_where_it_began(made):
    env = made()
    env.reset(seed=1)
    start = hand(env)
    for action in (UP, -UP, UP, UP, UP):
        env.step(action)
        assert hand(env)[2] <= start[2]
    assert hand(env)[2] < start[2]  # the way up to the very height is not allowed either


def test_what_no_joint_angles_reach_does_nothing(made):
    env = made(max_steps=40)
    env.reset(seed=1)
    for action in (LEFT, -FORTH):  # beyond the box, the one by IKError's kin, the other by a path's
        for _ in range(15):
            frame, reward, terminated, truncated, _ = env.step(action)
        stays = hand(env)
        again, reward_again, *_ = env.step(action)
        assert np.array_equal(frame, again) and np.array_equal(stays, hand(env))
        assert reward == reward_again == 0 and not (terminated or truncated)


def test_success_is_kept_and_ends_nothing(made):
    env = made(max_steps=10)
    env.reset(seed=1)
    plan = [FORTH, FORTH, -FORTH, -FORTH, *[FORTH] * 6]
    answers = [env.step(action) for action in plan]
    assert [a[1] for a in answers] == [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    assert [a[2] for a in answers] == [False] * 10
    assert [a[3] for a in answers] == [False] * 9 + [True]
    assert suite.episode_steps(TASK, {"max_steps": 10}) == 10
    env.reset(seed=1)
    assert env.step(suite.idle_action(TASK))[1] == 0


def test_idle_stays_where_it_is(made):
    env = made()
    env.reset(seed=2)
    before = hand(env)
    for _ in range(5):
        env.step(suite.idle_action(TASK))
    assert np.array_equal(hand(env), before) and env.simulator.task.open == 1


def test_pictures_come_from_the_chosen_camera_and_from_three(made):
    env = made(camera="wrist", size=32)
    frame, info = env.reset(seed=0)
    assert frame.shape == (32, 32, 3) and frame.dtype == np.uint8 and env.observation_space.contains(frame)
    assert set(info["views"]) == {"wrist", "front", "overhead"}
    assert np.array_equal(frame, info["views"]["wrist"]) and np.array_equal(frame, env.render())
    assert not np.array_equal(frame, info["views"]["front"])
    assert info["state"].dtype == np.float32


def test_without_pixels_nothing_is_drawn(made):
    env = made(pixels=False)
    state, info = env.reset(seed=0)
    assert state.dtype == np.float32 and np.array_equal(state, info["state"]) and not info["views"]
    assert env.moment.front_rgb is None and env.observation_space.contains(state)


def test_things_lie_by_the_seed(made):
    env = made(pixels=False)
    first, second, again = (env.reset(seed=seed)[0] for seed in (3, 4, 3))
    assert np.array_equal(first, again) and not np.array_equal(first, second)


@pytest.mark.parametrize("arm", ["panda", "sawyer"])
def test_the_arm_is_the_tasks_first_word(made, arm):
    env = made(f"{arm}_lamp_on")
    assert env.simulator.scene.arm == arm and env.simulator.task.name == "LampOn"


def test_a_demonstration_is_an_episode_that_ends_in_success(made):
    env = made(demos=True)
    frames, rewards, done = [env.reset(seed=5)[0]], [], False
    while not done:
        frame, reward, done, truncated, _ = env.step(np.zeros(4))
        frames.append(frame)
        rewards.append(reward)
        assert not truncated
    assert len(frames) == len(env.demo) and rewards == [0.0] * (len(frames) - 2) + [1.0]
    assert all(np.array_equal(f, m.front_rgb) for f, m in zip(frames, env.demo, strict=True))
    start = env.demo[0].gripper_pose.copy()
    env.reset(seed=6)
    assert not np.array_equal(start, env.demo[0].gripper_pose)
    env.reset(seed=5)
    assert np.array_equal(start, env.demo[0].gripper_pose)


def test_a_second_simulator_in_a_process_is_refused(made):
    made()
    with pytest.raises(BadEnvironment, match="runs 'panda reach_target' in this process already"):
        suite.make("sawyer_lamp_on", 0, {}, suite.frame_spec("sawyer_lamp_on", {}, {}))


@pytest.mark.parametrize("name", ["make", "make_demos"])
def test_without_rlbench_one_message_says_how_to_install_it(name, monkeypatch):
    for module in ("rlbench", "pyrep"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BadEnvironment) as error:
        getattr(suite, name)(TASK, 0, {}, suite.frame_spec(TASK, {}, {}))
    for word in ("CoppeliaSim", "COPPELIASIM_ROOT", "PyRep.git", "RLBench.git", "kind rlbench"):
        assert word in str(error.value)


def test_the_suite_is_known_without_rlbench():
    assert isinstance(SUITES.get("rlbench")(), RLBench)
    assert not any(module.split(".")[0] in ("rlbench", "pyrep") for module in sys.modules)
    with pytest.raises(BadParams, match="did you mean 'panda_reach_target'"):
        suite.canonical("panda_reach_taget")
    spec = suite.frame_spec(TASK, {"max_steps": 7}, {})
    assert not spec.differences(FrameSpec.model_validate(spec.model_dump(mode="json")))
    assert suite.masks(TASK) == []


def test_lists_of_the_experiment_with_two_arms():
    assert (len(PANDA), len(SAWYER), len(set(PANDA) & set(SAWYER)), len(PAIRS)) == (30, 23, 20, 53)
    assert set(PANDA) & set(SAWYER) == set(SHARED)
    assert HELD_OUT in RLBENCH_TASKS and HELD_OUT not in PAIRS
    assert HELD_OUT.replace("panda", "sawyer") in PAIRS
    assert "panda_take_umbrella_out_of_umbrella_stand" in PAIRS
    assert set(PAPER) <= {task for _, task in RLBENCH_TASKS.values()} and len(PAPER) == 6
    assert set(PAIRS) < set(suite.tasks())


def remote(seed):
    """An environment on the stand-in, in whichever process this is called."""
    stub.install(pytest.MonkeyPatch())
    return suite.make(TASK, seed, {"max_steps": 12}, suite.frame_spec(TASK, {}, {}))


def test_an_agent_learns_in_several_environments_each_in_a_process_of_its_own(made):
    run = RUN.model_copy(update={"processes": True})
    result = train_in_environment("drq", DRQ, run, remote, seed=0, reward=lambda shape: ScaledTaskReward(1.0))
    assert len(result.final_returns) == run.final_episodes and result.frames.shape == (13, 64, 64, 3)
    with pytest.raises(BadEnvironment, match=r"runs\.processes"):
        train_in_environment("drq", DRQ, RUN, remote, seed=0)
