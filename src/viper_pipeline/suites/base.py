"""What a suite is: a family of tasks whose frames share one tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import gymnasium
import numpy as np

from viper_pipeline.suites.frames import FrameSettings, FrameSpec, Rect


class Suite(Protocol):
    """Tasks, and environments with pixels and state.

    Objects hold no simulator, so that they can be sent to other processes. A suite whose tasks are done by several
    arms also has `class_of(task)`, what a video model is told of a task, and a parameter `held_out_tasks`. One whose
    experts are planned has `make_demos(task, seed, spec)`: an environment whose every episode is a demonstration,
    whatever the actions.
    """

    name: str
    discrete: bool = False
    """True: an action (A,) holds preferences, and the greatest is done. False: positions of actuators."""
    scripted: bool = False
    """True: experts are scripts, and none is learned."""
    imagines: bool = False
    """True: environments have `imagine`, and experts may search (see `oracles/search.py`)."""
    alone: bool = False
    """True: a process can hold one environment at a time."""
    Frames: type[FrameSettings] = FrameSettings
    """The schema of the suite's block `frames`."""

    def tasks(self) -> tuple[str, ...]:
        """The names of all tasks, as used in params.yaml and in paths."""

    def canonical(self, task: str) -> str:
        """The name used in paths for `task`, which may be an alias. Raises BadParams for unknown names."""

    def frame_spec(self, task: str, frames: Mapping[str, Any]) -> FrameSpec:
        """How frames of `task` look under the settings `frames` (see FrameSettings) on this machine."""

    def make(self, task: str, seed: int, spec: FrameSpec, pixels: bool = True) -> gymnasium.Env:
        """An environment, deterministic given `seed`; `env.reset(seed=...)` begins a new stream.

        Observations: uint8 (H, W, C) if `pixels`, else the float32 state (D,). Actions (A,) are in [-1, 1].
        The reward is the sum of the true rewards over the action repeat. `info["state"]` is always the state.
        """

    def idle_action(self, task: str) -> np.ndarray:
        """The action (A,) that does nothing."""

    def masks(self, task: str) -> list[Rect]:
        """What the paper hides of the frame (score boards); usually nothing."""

    def episode_steps(self, task: str, spec: FrameSpec) -> int:
        """Agent steps of a whole episode; its video has one frame more."""
