"""Checks of the contracts that parts keep, for the tests of a new part. Each raises AssertionError and says why."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from viper_pipeline.agents.base import Exploration, RewardSource
from viper_pipeline.core.config import Config, ParamsBlock
from viper_pipeline.core.errors import BadParams
from viper_pipeline.data.importers import Importer
from viper_pipeline.envs.base import FrameSpec, Settings, Suite
from viper_pipeline.experts.base import EXPERTS, Expert, load_expert, trained
from viper_pipeline.rewards.base import ExplorationConfig, FrameShape, RewardMethod

CHECKED_STEPS = 3
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
        for _ in range(CHECKED_STEPS):
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


TAKEN = {"config", "run", "env", "frames", "compute", "scratch", "settings", "bonus"}
"""Arguments of the node `train_agent` that every agent has."""


def check_reward(method: type[RewardMethod], block: ParamsBlock) -> None:
    """Whether a class of `REWARDS` says what figures, parameters and the graph need to know.

    block: a suite's block of params.yaml, with the reward's own block in it if it has one.
    """
    for name in ("label", "description", "seed_label"):
        assert getattr(method, name, ""), f"{method.__name__}.{name} is missing"
    assert re.fullmatch("#[0-9A-Fa-f]{6}", method.color), f"{method.__name__}.color is {method.color!r}, not #RRGGBB"
    assert (method.Config is None) == (not method.block), f"{method.__name__} has a Config exactly if it has a block"
    if method.Config:
        assert method.Config.model_config.get("frozen"), (
            f"{method.__name__}.Config is not frozen; derive it from Config"
        )
        assert method.block in block, f"the suite's block has no `{method.block}`"
        method.Config.model_validate(block[method.block])
    task, *others = block["tasks"]
    for name, dataset in method().inputs(block, "a_suite", task, [task, *others]).items():
        assert name.isidentifier() and dataset, f"{name}: inputs are {{argument: dataset}}"
        assert name not in TAKEN, f"{name}: an argument of every agent has this name; take another"
    for keyword, part in method().parts(block).items():
        assert keyword.isidentifier() and isinstance(part, str), f"{keyword}: parts are {{keyword: registered name}}"


def check_reward_source(make: Callable[[FrameShape], RewardSource], size: int = 16) -> None:
    """Whether what `RewardMethod.build` returns makes sources that reward, and if they learn, resume exactly.

    size: of the environments' frames (size, size, 3). The agent's frames are the same with channels first.
    """
    shape, rng = (3, size, size), np.random.default_rng(0)
    videos = rng.integers(0, 256, (8, 2, size, size, 3), dtype=np.uint8)
    torch.manual_seed(0)
    source = make(shape)
    source.start(videos[0])
    for t in range(1, 8):
        rewards = source.step(videos[t], np.array([1.0, 2.0]))
        assert rewards.shape == (2,) and rewards.dtype == np.float32, f"step returned {rewards.dtype} {rewards.shape}"
        assert np.isfinite(rewards).all(), f"step returned {rewards}"
        for name, values in source.step_metrics().items():
            assert np.shape(values) == (2,), f"step_metrics {name}: shape {np.shape(values)}, not (2,)"
        if t == 4:
            source.restart(1, videos[t, 1])
    if not source.window:
        assert source.state_dict() == {}, "a source with window 0 learns nothing, so its state_dict is empty"
        return
    source.begin(lambda frames: np.moveaxis(frames, -1, 1))
    windows = rng.integers(0, 256, (4, source.window, *shape), dtype=np.uint8)
    _finite(source.update(windows, np.random.default_rng(1)))
    again = make(shape)
    again.load_state_dict(_through_a_file(source.state_dict()))
    again.begin(lambda frames: np.moveaxis(frames, -1, 1))
    for one in (source, again):
        _finite(one.update(windows, np.random.default_rng(2)))
    given = source.rewards(windows)
    assert given.shape == (4,) and given.dtype == np.float32, f"rewards returned {given.dtype} {given.shape}"
    assert np.array_equal(given, again.rewards(windows)), "a restored source continues exactly"


def check_exploration(target: Any, config: ExplorationConfig) -> None:
    """Whether a class of `EXPLORATION` gives a bonus for frames of 16 x 16 x 3, and resumes exactly.

    config: an instance of its `Config`, small.
    """
    assert isinstance(config, target.Config) and isinstance(config, ExplorationConfig), "Config is an ExplorationConfig"
    if not config.explores:
        return
    frames = np.random.default_rng(0).integers(0, 256, (6, 3, 16, 16), dtype=np.uint8)
    torch.manual_seed(0)
    bonus: Exploration = target(config, (3, 16, 16)).to("cpu")
    first = bonus.explore(frames, 0.0)
    assert first.shape == (6,) and first.dtype == np.float32, f"explore returned {first.dtype} {first.shape}"
    assert np.isfinite(first).all() and (first >= 0).all(), f"explore returned {first}"
    again: Exploration = target(config, (3, 16, 16)).to("cpu")
    again.load_state_dict(_through_a_file(bonus.state_dict()))
    for progress in (0.0, 0.5, 1.0):
        one, other = bonus.explore(frames, progress), again.explore(frames, progress)
        assert np.array_equal(one, other), "a restored bonus continues exactly"


def _finite(metrics: Mapping[str, torch.Tensor]) -> None:
    for name, value in metrics.items():
        assert value.numel() == 1 and bool(torch.isfinite(value)), f"update returned {name} = {value}"
        assert not value.requires_grad, f"update returned {name} with a gradient; detach it"


def _through_a_file(state: ParamsBlock) -> Any:
    """As a checkpoint stores it: tensors, numbers, texts, and lists and dictionaries of them."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)
