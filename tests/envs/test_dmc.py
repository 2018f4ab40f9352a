"""DeepMind Control: names, determinism, lengths, and pictures."""

import multiprocessing

import numpy as np
import pytest

from viper_pipeline.core.errors import BadParams
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.dmc import ALIASES, DMC, DMC_TASKS, canonical, paper_name

ENV = {"action_repeat": 4}
FAST = {"shadows": False, "antialiasing": False}
PAPER = [
    "cartpole_balance",
    "cartpole_swingup",
    "cheetah_run",
    "cup_catch",
    "finger_spin",
    "finger_turn_hard",
    "hopper_stand",
    "pendulum_swingup",
    "pointmass_easy",
    "pointmass_hard",
    "quadruped_run",
    "quadruped_walk",
    "reacher_easy",
    "reacher_hard",
    "walker_walk",
]
suite = DMC()


def play(env, seed, steps, actions=3):
    """Frames or states, rewards and states of a few steps of fixed actions."""
    rng = np.random.default_rng(actions)
    observation, info = env.reset(seed=seed)
    seen, rewards = [observation], []
    for _ in range(steps):
        observation, reward, _, _, info = env.step(rng.uniform(-1, 1, env.action_space.shape))
        seen.append(observation)
        rewards.append(reward)
    return np.stack(seen), np.array(rewards), info["state"]


def test_the_papers_names_and_ours_map_both_ways():
    assert isinstance(SUITES.get("dmc")(), DMC)
    assert len(suite.tasks()) == 17
    assert {paper_name(task) for task in suite.tasks()} == {
        *PAPER,
        "acrobot_swingup",
        "manipulator_bring_ball",
    }
    for task in suite.tasks():
        assert suite.canonical(paper_name(task)) == task == suite.canonical(task)
    assert not set(ALIASES) & set(DMC_TASKS)


def test_unknown_names_get_a_suggestion():
    with pytest.raises(BadParams, match="did you mean 'cartpole_balance'"):
        canonical("cartpole_balence")
    with pytest.raises(BadParams):
        suite.make("walker_wlk", 0, ENV, suite.frame_spec("walker_walk", ENV, FAST))


@pytest.mark.parametrize("task", DMC_TASKS)
def test_state_is_a_function_of_the_seed_alone(task):
    spec = suite.frame_spec(task, {}, {})
    old = suite.make(task, 5, {}, spec, pixels=False)
    play(old, 1, 7)
    new = suite.make(task, 6, {}, spec, pixels=False)
    first, rewards, state = play(old, 11, 5)
    second, rewards_again, _ = play(new, 11, 5)
    assert np.array_equal(first, second) and np.array_equal(rewards, rewards_again)
    assert first.dtype == np.float32 and np.array_equal(first[-1], state)
    assert old.observation_space.contains(first[0])
    assert not np.array_equal(first, play(new, 12, 5)[0])
    assert suite.idle_action(task).shape == old.action_space.shape
    assert np.allclose(old.middle + old.half * suite.idle_action(task), 0, atol=1e-7)


def test_the_state_of_point_mass_hard_tells_where_its_actuators_pull():
    spec = suite.frame_spec("point_mass_hard", ENV, FAST)
    env = suite.make("point_mass_hard", 0, ENV, spec, pixels=False)
    before, _ = env.reset(seed=1)
    pull = before[-4:].reshape(2, 2)  # a direction for each actuator
    assert np.allclose(np.linalg.norm(pull, axis=1), 1, atol=1e-6)
    after = env.step(np.array([1, 0], np.float32))[0]
    moved = after[:2] - before[:2]
    assert moved @ pull[0] / np.linalg.norm(moved) > 0.99
    assert not np.allclose(env.reset(seed=2)[0][-4:].reshape(2, 2), pull)


def test_make_seeds_the_first_episode():
    spec = suite.frame_spec("reacher_easy", ENV, FAST)
    a, b, c = (suite.make("reacher_easy", seed, ENV, spec, pixels=False).reset()[0] for seed in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


@pytest.mark.parametrize("repeat", [1, 4, 7])
def test_an_episode_is_1000_control_steps_and_its_reward_is_summed(repeat):
    rules = {"action_repeat": repeat}
    spec = suite.frame_spec("cartpole_balance", rules, {})
    env = suite.make("cartpole_balance", 0, rules, spec, pixels=False)
    env.reset(seed=0)
    steps, total, truncated = 0, 0.0, False
    while not truncated:
        _, reward, terminated, truncated, _ = env.step(np.zeros(1, np.float32))
        assert not terminated and 0 <= reward <= repeat
        steps, total = steps + 1, total + reward
    assert steps == suite.episode_steps("cartpole_balance", rules)
    once = suite.make("cartpole_balance", 0, {"action_repeat": 1}, spec, pixels=False)
    assert total == pytest.approx(sum(play_idle(once)), abs=1e-6)


def play_idle(env):
    """Rewards of a whole idle episode."""
    env.reset(seed=0)
    truncated = False
    while not truncated:
        _, reward, _, truncated, _ = env.step(np.zeros(1, np.float32))
        yield reward


def test_pixels_are_plain_arrays_and_repeat_themselves():
    spec = suite.frame_spec("ball_in_cup_catch", ENV, FAST)
    a = suite.make("cup_catch", 0, ENV, spec)
    b = suite.make("ball_in_cup_catch", 1, ENV, spec)
    frames = play(a, 3, 4)[0]
    assert frames.shape == (5, 64, 64, 3) and frames.dtype == np.uint8
    assert a.render().flags.c_contiguous and a.observation_space.contains(frames[0])
    assert np.array_equal(frames, play(b, 3, 4)[0])
    assert (frames[0] != frames[-1]).any()


def test_another_environment_may_be_closed_without_harm():
    spec = suite.frame_spec("cartpole_balance", ENV, FAST)
    env = suite.make("cartpole_balance", 0, ENV, spec)
    before = env.reset(seed=1)[0]
    other = suite.make("cheetah_run", 0, ENV, suite.frame_spec("cheetah_run", ENV, FAST))
    other.reset(seed=1)
    other.close()
    del other
    assert np.array_equal(env.render(), before)
    assert np.array_equal(env.reset(seed=1)[0], before)


@pytest.mark.parametrize("task", ["ball_in_cup_catch", "reacher_easy", "quadruped_walk"])
def test_a_kept_camera_sees_what_a_new_one_sees(task):
    """Also after a reset, which moves reacher's target in the model itself."""
    spec = suite.frame_spec(task, ENV, FAST)
    env = suite.make(task, 0, ENV, spec)
    for seed in (1, 2):
        pictures = [env.reset(seed=seed)[0]]
        new = [env.simulator.physics.render(64, 64, camera_id=spec.camera, render_flag_overrides=env.flags).copy()]
        for _ in range(3):
            pictures.append(env.step(np.ones(env.action_space.shape))[0])
            physics = env.simulator.physics
            new.append(physics.render(64, 64, camera_id=spec.camera, render_flag_overrides=env.flags).copy())
        np.testing.assert_array_equal(pictures, new)
        assert len({p.tobytes() for p in pictures}) > 1
    env.close()


def test_a_frame_shows_what_its_specification_says():
    def frame(**changes):
        spec = suite.frame_spec("walker_walk", ENV, {**FAST, **changes})
        return suite.make("walker_walk", 0, ENV, spec).reset(seed=2)[0]

    plain = frame()
    assert (frame(shadows=True) != plain).any()
    assert (frame(antialiasing=True) != plain).any()
    assert (frame(camera=1) != plain).any()
    assert frame(size=32).shape == (32, 32, 3)


def test_cameras_are_the_papers():
    assert suite.frame_spec("quadruped_walk", ENV, FAST).camera == 2
    assert suite.frame_spec("walker_walk", ENV, FAST).camera == 0
    assert suite.frame_spec("walker_walk", ENV, {**FAST, "camera": 1}).camera == 1


def frame_elsewhere(spec):
    """A frame drawn in another process."""
    return suite.make("hopper_stand", 0, ENV, spec).reset(seed=4)[0]


def test_a_spawned_process_draws_the_same_frame():
    spec = suite.frame_spec("hopper_stand", ENV, FAST)
    here = suite.make("hopper_stand", 0, ENV, spec).reset(seed=4)[0]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(frame_elsewhere, (spec,))
    assert np.array_equal(here, there)
