"""`check_suite`, `check_expert` and `check_importer`: whether a source of videos keeps its contract."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadParams
from viper_pipeline.data.importers import Importer
from viper_pipeline.envs.base import FrameSpec, Settings, Suite
from viper_pipeline.experts.base import EXPERTS, Expert, load_expert, trained

STEPS = 3
"""Steps that are taken in each environment."""


def check_suite(suite: Suite, task: str | None = None, env: Settings | None = None, simulate: bool = True) -> None:
    """Whether a suite says what the graph asks, and its environments keep their spaces and their seeds.

    task: the one that is played; default: the first. env: block `env`; default: the suite's defaults.
    simulate: False leaves environments out, for machines without the simulator.
    """
    task, env = task or suite.tasks()[0], env if env is not None else suite.Env()
    assert suite.name and len(set(suite.tasks())) == len(suite.tasks()), "a name, and each task once"
    assert suite.canonical(task) == task, "canonical() leaves a task's own name as it is"
    try:
        suite.canonical("no such task")
        raise AssertionError("canonical() raises BadParams for unknown tasks")
    except BadParams:
        pass
    labels = {suite.task_label(name) for name in suite.tasks()}
    assert (len(labels) < len(suite.tasks())) == suite.shared_labels, "shared_labels: whether tasks share a task_label"
    for schema in (suite.Env, suite.Frames):
        assert issubclass(schema, Config) and schema.model_config.get("frozen"), f"{schema.__name__} is a frozen Config"
    spec = suite.frame_spec(task, env, {})
    assert FrameSpec.model_validate(spec.model_dump(mode="json")) == spec, "frame_spec() survives being stored"
    assert suite.episode_steps(task, env) > 0
    pickle.loads(pickle.dumps(suite))
    if simulate:
        _check_env(suite, task, env, spec, pixels=False)
        _check_env(suite, task, env, spec, pixels=True)


def _check_env(suite: Suite, task: str, env: Settings, spec: FrameSpec, pixels: bool) -> None:
    made = suite.make(task, 0, env, spec, pixels)
    action = suite.idle_action(task)
    assert action.shape == made.action_space.shape and action.dtype == np.float32, "idle_action() fits action_space"
    runs = []
    for _ in range(2):
        observation, info = made.reset(seed=7)
        seen = [observation]
        for _ in range(STEPS):
            observation, reward, terminated, truncated, info = made.step(action)
            seen.append(observation)
            assert np.isfinite(float(reward)), "rewards are finite"
            if terminated or truncated:
                break
        runs.append(np.stack(seen))
        assert made.observation_space.contains(observation), "observations lie in observation_space"
        assert info["state"].ndim == 1 and info["state"].dtype == np.float32, 'info["state"] is float32 (D,)'
    assert np.array_equal(*runs), "reset(seed=...) begins the same episode each time"
    frame: Any = made.render() if pixels else None
    if frame is not None:
        assert frame.shape == (spec.size, spec.size, 3) and frame.dtype == np.uint8, "render(): uint8 (size, size, 3)"
        assert made.get_wrapper_attr("spec_of_frames") == spec, "environments carry spec_of_frames"
    if suite.discrete:
        assert len(made.get_wrapper_attr("useful_actions")) > 1, "discrete suites have useful_actions"
    made.close()


def check_expert(expert: Expert, env: Settings | None = None, seed: int = 0) -> None:
    """Whether an expert trains, is read again, and acts, in the suite and task it was made for.

    Give it a recipe that trains in seconds. env: block `env`; default: the suite's defaults.
    """
    suite, task = expert.suite, expert.task
    env = env if env is not None else suite.Env()
    kind = type(expert)
    algorithm = kind.Config.model_fields["algorithm"].default
    assert EXPERTS.get(algorithm) is kind, f"EXPERTS has a line `{algorithm}` for {kind.__name__}"
    assert expert.problem() is None, f"{algorithm} cannot make an expert of {task}: {expert.problem()}"
    spec = suite.frame_spec(task, env, {})
    made = trained(expert, lambda seed: suite.make(task, seed, env, spec, pixels=False), seed)
    _, policy = load_expert(made, suite)
    policy = pickle.loads(pickle.dumps(policy))
    place = pickle.loads(pickle.dumps(expert.recording_env(env, spec)))(seed)
    _, info = place.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for deterministic in (True, False):
        actions = policy(info["state"][None], deterministic, rng)
        assert actions.shape == (1, *place.action_space.shape), "a policy maps states (E, D) to actions (E, A)"
        assert np.abs(actions).max() <= 1, "actions lie in [-1, 1]"
        _, _, _, _, info = place.step(actions[0])
    place.close()


def check_importer(importer: Importer, path: Path, size: int = 16) -> None:
    """Whether an importer reads `path` into checked episodes."""
    count = 0
    for count, episode in enumerate(importer(path, size), 1):  # noqa: B007
        assert episode.frames.dtype == np.uint8 and episode.frames.shape[1:] == (size, size, 3), "uint8 frames"
        assert episode.rewards.dtype == np.float32 and len(episode.rewards) == len(episode), "one reward per frame"
        assert np.isnan(episode.rewards).all() or episode.rewards[0] == 0, "the first frame has no reward"
    assert count, f"{path}: no episode"
