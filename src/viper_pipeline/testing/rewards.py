"""`check_reward`, `check_reward_source` and `check_exploration`: whether a reward or a bonus keeps its contract."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from viper_pipeline.agents.base import Exploration, RewardSource
from viper_pipeline.core.config import Config, ParamsBlock
from viper_pipeline.pipelines.agents.nodes import train_agent
from viper_pipeline.rewards.base import EXPLORATION, REWARDS, BonusConfig, ExplorationConfig, FrameShape, RewardMethod
from viper_pipeline.testing.contract import Contract, ParamsOrConfig, find
from viper_pipeline.testing.tokenizers import check_metrics

ENVS, STEPS, CLOSE = 3, 4, 1e-4
"""Environments that are rewarded together, steps of an episode, and by how much two rewards may differ."""
SEEN_AGAIN = 50
"""How often a frame is shown before its bonus must have fallen."""


def check_reward(part: str | type[RewardMethod], block: ParamsBlock) -> None:
    """Raise ContractError unless a class of REWARDS says what figures, parameters and the graph need to know.

    part: its name in REWARDS, or the class. block: a suite's block of params.yaml, with the reward's own block in it
    if it has one. What the reward's `build` returns is checked by `check_reward_source`.

    Rules: it has a label, a color, a description and a seed label; it has a Config exactly if it names a block; its
    inputs are named otherwise than the arguments that every agent has.
    """
    method, contract = find(part, REWARDS)
    with contract.isolated():
        derived = isinstance(method, type) and issubclass(method, RewardMethod)
        remedy = "inherit rewards.base.RewardMethod"
        contract.require(derived, "a reward is a RewardMethod", f"it is {method}", remedy)
        for name in ("label", "description", "seed_label"):
            text = getattr(method, name, None)
            rule = f"{name} is a text"
            contract.require(isinstance(text, str) and bool(text), rule, f"it is {text!r}", f"write {name} = '...'")
        color = getattr(method, "color", "")
        known = re.fullmatch("#[0-9A-Fa-f]{6}", color)
        contract.require(bool(known), "color is #RRGGBB", f"it is {color!r}", "write color = '#009E73', or another")
        contract.require(
            (method.Config is None) == (not method.block),
            "a reward has a Config exactly if it names a block",
            f"Config is {method.Config}, block is {method.block!r}",
            "give it both, or none",
        )
        if method.Config:
            found = sorted(block)
            remedy = f"give the check a block with `{method.block}` in it"
            contract.require(
                method.block in block, "its own block is in the suite's", f"the suite's has {found}", remedy
            )
            contract.config(method, Config, block[method.block])
        _check_wiring(contract, method(), block)


def _check_wiring(contract: Contract, method: RewardMethod, block: ParamsBlock) -> None:
    taken = set(inspect.signature(train_agent).parameters)
    task, *others = block["tasks"]
    inputs = contract.call("inputs", method.inputs, block, "a_suite", task, [task, *others])
    for name, dataset in inputs.items():
        contract.require(
            name.isidentifier() and isinstance(dataset, str) and bool(dataset),
            "inputs are {argument: dataset}",
            f"'{name}' is {dataset!r}",
            "name a Python argument and a dataset such as f'{suite}/tokenizer'",
        )
        contract.require(
            name not in taken,
            "inputs have names of their own",
            f"'{name}' is an argument of every agent",
            "take another name",
        )
    for keyword, value in contract.call("parts", method.parts, block).items():
        contract.require(
            keyword.isidentifier() and isinstance(value, str),
            "parts are {keyword: registered name}",
            f"'{keyword}' is {value!r}",
            "return names of registered parts",
        )


def check_reward_source(make: Callable[[FrameShape], RewardSource], size: int = 16) -> None:
    """Raise ContractError unless what `RewardMethod.build` returns makes sources that reward frames.

    make: what `build` returned. size: of the environments' frames (size, size, 3); the agent's frames are the same
    with channels first.

    Rules: `step` gives finite float32 (E,); a reward belongs to the frame that its step was given; environments do not
    depend on each other; `restart` begins one episode anew and no other; the same video is rewarded the same twice;
    frames are left as they are; a restored source pays as before. With a window, `rewards` gives finite float32 (B,),
    row by row, `update` learns, and a restored source continues exactly.
    """
    contract = Contract(f"reward source {getattr(make, '__name__', type(make).__name__)}")
    with contract.isolated():
        torch.manual_seed(0)
        source = contract.call("the factory that build returns", make, (3, size, size))
        contract.part = f"reward source {type(source).__name__}"
        window = getattr(source, "window", None)
        whole = isinstance(window, int) and window >= 0
        contract.require(
            whole, "window is a number of frames", f"it is {window!r}", "write 0, or the length of windows"
        )
        contract.call("begin", source.begin, _channels_first)
        _check_steps(contract, source, size)
        if window:
            _check_learning(contract, make, source, size)
        else:
            _check_restored(contract, make, source, size)


def _channels_first(frames: np.ndarray) -> np.ndarray:
    return np.moveaxis(frames, -1, 1)


def _check_steps(contract: Contract, source: RewardSource, size: int) -> None:
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (STEPS + 1, ENVS, size, size, 3), dtype=np.uint8)
    true = rng.random((STEPS + 1, ENVS))
    kept = video.copy()
    given = _play(contract, source, video, true)
    remedy = "work on a copy: the agent's replay stores these frames"
    contract.same("frames are left as they are", kept, video, remedy)
    again = _play(contract, source, video, true)
    remedy = "forget everything in start, and draw no random numbers"
    contract.same("the same video is rewarded the same", given, again, remedy, CLOSE)
    alone = [_play(contract, source, video[:, [i]], true[:, [i]])[:, 0] for i in range(ENVS)]
    remedy = "keep what is remembered of an episode per environment"
    contract.same("a reward does not depend on other environments", given, np.stack(alone, 1), remedy, CLOSE)
    for t in range(1, STEPS):
        other, others = video.copy(), true.copy()
        other[t], others[t] = 255 - video[t], 2 + true[t]
        changed = np.abs(_play(contract, source, other, others) - given).max(1) > CLOSE
        contract.require(
            not changed[: t - 1].any() and (changed[t - 1] or not changed[t:].any()),
            "a reward belongs to the frame that its step was given",
            f"another frame in step {t} changed the reward of step {int(changed.argmax()) + 1} first",
            "r_t belongs to (x_t, a_t, x_{t+1}): return it in the step that brings x_{t+1}",
        )
    begun = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
    restarted = _play(contract, source, video, true, restart={2: (1, begun)})
    fresh = video[2:].copy()
    fresh[0, 1] = begun
    expected = given.copy()
    expected[2:, 1] = _play(contract, source, fresh, true[2:])[:, 1]
    rule, remedy = "restart begins one episode anew and no other", "forget what was seen in this environment alone"
    contract.same(rule, restarted, expected, remedy, CLOSE)


def _play(
    contract: Contract,
    source: RewardSource,
    video: np.ndarray,
    true: np.ndarray,
    restart: Mapping[int, tuple[int, np.ndarray]] | None = None,
) -> np.ndarray:
    """Rewards (T, E) of an episode with frames (T + 1, E, H, W, C); restart: step -> environment, frame."""
    contract.call("start", source.start, video[0])
    rewards = []
    for t in range(1, len(video)):
        given = contract.call("step", source.step, video[t], true[t])
        contract.array("what step returns", given, "float32", (video.shape[1],))
        rewards.append(given.copy())
        for name, values in contract.call("step_metrics", source.step_metrics).items():
            fits = np.shape(values) == (video.shape[1],)
            contract.require(fits, "step_metrics are (E,)", f"'{name}' is {np.shape(values)}", "give one number each")
        if restart and t in restart:
            contract.call("restart", source.restart, *restart[t])
    return np.stack(rewards)


def _check_restored(contract: Contract, make: Callable[[FrameShape], RewardSource], source: Any, size: int) -> None:
    """Sources whose rewards are stored; one that learns does so by itself, between episodes."""
    state = contract.checkpointed(contract.call("state_dict", source.state_dict))
    torch.manual_seed(1)
    again = contract.call("the factory that build returns", make, (3, size, size))
    contract.call("load_state_dict", again.load_state_dict, state)
    contract.call("begin", again.begin, _channels_first)
    rng = np.random.default_rng(4)
    video, true = rng.integers(0, 256, (STEPS + 1, ENVS, size, size, 3), dtype=np.uint8), rng.random((STEPS + 1, ENVS))
    rule, remedy = "a restored source pays as before", "keep in state_dict all that was learned"
    contract.same(rule, _play(contract, source, video, true), _play(contract, again, video, true), remedy, CLOSE)


def _check_learning(contract: Contract, make: Callable[[FrameShape], RewardSource], source: Any, size: int) -> None:
    """Sources that learn beside the agent: batches are relabeled by `rewards`, then given to `update`."""
    shape = (3, size, size)
    windows = np.random.default_rng(1).integers(0, 256, (5, source.window, *shape), dtype=np.uint8)
    kept = windows.copy()
    given = contract.call("rewards", source.rewards, windows)
    contract.array("what rewards returns", given, "float32", (5,))
    contract.same("rewards is deterministic", given, source.rewards(windows), "draw no random numbers")
    alone = np.concatenate([source.rewards(windows[i : i + 1]) for i in range(5)])
    contract.same("a window's reward does not depend on its batch", given, alone, "mix no rows of the batch", CLOSE)
    check_metrics(contract, "update", contract.call("update", source.update, windows, np.random.default_rng(2)))
    contract.same("windows are left as they are", kept, windows, "work on a copy")
    contract.require(
        not np.array_equal(given, source.rewards(windows)),
        "update changes the rewards",
        "they are the same as before",
        "learn in update, or write window = 0",
    )
    state = contract.checkpointed(contract.call("state_dict", source.state_dict))
    again = contract.call("the factory that build returns", make, shape)
    contract.call("load_state_dict", again.load_state_dict, state)
    contract.call("begin", again.begin, _channels_first)
    for one in (source, again):
        torch.manual_seed(3)
        one.update(windows, np.random.default_rng(3))
    remedy = "keep in state_dict all that was learned, the optimizer's state too"
    contract.same("a restored source continues exactly", source.rewards(windows), again.rewards(windows), remedy)


def check_exploration(part: Any, config: ParamsOrConfig, frame_shape: FrameShape = (3, 16, 16)) -> None:
    """Raise ContractError unless a class of EXPLORATION gives a bonus for frames that are new.

    part: its name in EXPLORATION, or the class. config: its block `exploration`: networks small, and limits so wide
    that a bonus can be seen to fall. frame_shape: (C, h, w).

    Rules: `bonus` gives finite float32 (B,), 0 or more, and learns nothing; `update` learns, so that the bonus of
    frames falls when they are seen again; the same seed gives the same bonus; a restored bonus continues exactly;
    frames are left as they are; `config` says its weight and its schedule.
    """
    target, contract = find(part, EXPLORATION)
    with contract.isolated():
        settings = contract.config(target, ExplorationConfig, config)
        if not settings.explores:
            return
        frames = np.random.default_rng(0).integers(0, 64, (6, *frame_shape), dtype=np.uint8)
        frames += np.linspace(0, 191, 6).astype(np.uint8)[:, None, None, None]  # from dark to bright
        kept = frames.copy()
        bonus, twin = (_bonus(contract, target, settings, frame_shape) for _ in range(2))
        check_metrics(contract, "update", contract.call("update", bonus.update, frames))
        twin.update(frames)
        first = contract.call("bonus", bonus.bonus, frames)
        contract.array("what bonus returns", first, "float32", (6,), (0.0, np.inf))
        contract.same("bonus learns nothing", first, bonus.bonus(frames), "learn in update alone")
        rule = "the same seed gives the same bonus"
        contract.same(rule, first, twin.bonus(frames), "draw weights from torch's global generator alone")
        again = _bonus(contract, target, settings, frame_shape)
        state = contract.checkpointed(contract.call("state_dict", bonus.state_dict))
        contract.call("load_state_dict", again.load_state_dict, state)
        for _ in range(3):
            bonus.update(frames)
            again.update(frames)
            one, other = bonus.bonus(frames), again.bonus(frames)
            contract.same("a restored bonus continues exactly", one, other, "keep in state_dict all that was learned")
        for _ in range(SEEN_AGAIN):
            twin.update(frames)
        last = twin.bonus(frames)
        contract.require(
            float(last.mean()) < float(first.mean()),
            "the bonus of a frame falls when it is seen again",
            f"it is {first.mean():.3g} at first and {last.mean():.3g} after {SEEN_AGAIN} times",
            "learn from the frames in update",
        )
        contract.same("frames are left as they are", kept, frames, "work on a copy: the replay stores these frames")
        contract.require(
            isinstance(settings, BonusConfig) and bonus.config is settings,
            "config is the block that it was built with",
            f"Config is {type(settings).__name__}, config a {type(getattr(bonus, 'config', None)).__name__}",
            "let Config inherit rewards.base.BonusConfig, and keep it as self.config",
        )


def _bonus(contract: Contract, target: Any, settings: ExplorationConfig, shape: FrameShape) -> Exploration:
    torch.manual_seed(0)
    return contract.call("to", contract.call("the constructor", target, settings, shape).to, "cpu")
