"""`check_reward`, `check_reward_source` and `check_exploration`: whether a reward or a bonus keeps its contract."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from viper_pipeline.agents.base import Exploration, RewardSource
from viper_pipeline.rewards.base import FrameShape, RewardMethod
from viper_pipeline.rewards.config import ExplorationConfig

TAKEN = {"config", "run", "frames", "compute", "scratch", "settings", "bonus"}
"""Arguments of the node `train_agent` that every agent has."""


def check_reward(method: type[RewardMethod], block: Mapping[str, Any]) -> None:
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
    _finite(bonus.update(frames))
    first = bonus.bonus(frames)
    assert first.shape == (6,) and first.dtype == np.float32, f"bonus returned {first.dtype} {first.shape}"
    assert np.isfinite(first).all() and (first >= 0).all(), f"bonus returned {first}"
    assert np.array_equal(first, bonus.bonus(frames)), "a bonus learns by update alone"
    again: Exploration = target(config, (3, 16, 16)).to("cpu")
    again.load_state_dict(_through_a_file(bonus.state_dict()))
    for _ in range(3):
        for part in (bonus, again):
            part.update(frames)
        assert np.array_equal(bonus.bonus(frames), again.bonus(frames)), "a restored bonus continues exactly"


def _finite(metrics: Mapping[str, torch.Tensor]) -> None:
    for name, value in metrics.items():
        assert value.numel() == 1 and bool(torch.isfinite(value)), f"update returned {name} = {value}"
        assert not value.requires_grad, f"update returned {name} with a gradient; detach it"


def _through_a_file(state: Mapping[str, Any]) -> Any:
    """As a checkpoint stores it: tensors, numbers, texts, and lists and dictionaries of them."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)
