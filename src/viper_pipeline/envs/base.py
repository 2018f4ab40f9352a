"""What a suite is: a family of tasks whose frames share one tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import gymnasium
import numpy as np
from pydantic import Field, model_validator

from viper_pipeline.core.config import Config


class Rect(Config):
    """A rectangle of pixels that is painted black: rows top..bottom-1, columns left..right-1."""

    top: int = Field(ge=0, description="first row")
    left: int = Field(ge=0, description="first column")
    bottom: int = Field(gt=0, description="row after the last")
    right: int = Field(gt=0, description="column after the last")

    @model_validator(mode="after")
    def _not_empty(self) -> Rect:
        if self.top >= self.bottom or self.left >= self.right:
            raise ValueError("an empty rectangle: top must be less than bottom, and left less than right")
        return self


class FrameSettings(Config):
    """What a user may choose about the frames of a suite; the suite adds the rest."""

    size: int = Field(64, gt=0, description="height and width, pixels (paper: 64)")
    action_repeat: int = Field(2, gt=0, description="control steps of the simulator per frame")
    camera: int | str | None = Field(None, description="camera of the scene; null: the suite's choice for the task")
    shadows: bool = Field(True, description="shadows and reflections; without them drawing is 4 to 10 times faster")
    antialiasing: bool = Field(True, description="multisampled edges")


class FrameSpec(Config):
    """How frames were made. Two videos may meet in one model only if these agree (see `differences`)."""

    size: int = Field(64, gt=0, description="height and width, pixels")
    camera: int | str = Field(0, description="camera of the scene")
    action_repeat: int = Field(1, gt=0, description="control steps of the simulator per frame")
    shadows: bool = Field(True, description="shadows and reflections")
    antialiasing: bool = Field(True, description="multisampled edges")
    gl_backend: str = Field("unknown", description="what drew the frames: egl, osmesa, ...; `unknown` for imports")
    library: str = Field("unknown", description="the simulator and its version")
    mask: tuple[Rect, ...] = Field((), description="rectangles painted black before any model sees the frame")
    stride: int = Field(1, gt=0, description="every how many-th recorded frame was kept")

    def differences(self, other: FrameSpec) -> list[str]:
        """One line for each field that changes the picture and differs; empty if the frames may meet."""
        fields = ("size", "camera", "action_repeat", "shadows", "antialiasing", "mask", "stride")
        return self._compare(other, fields)

    def warnings(self, other: FrameSpec) -> list[str]:
        """One line for each difference that should change no more than the last bit of a pixel."""
        return self._compare(other, ("gl_backend", "library"))

    def _compare(self, other: FrameSpec, fields: tuple[str, ...]) -> list[str]:
        mine, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        return [f"{name}: {mine[name]} here, {theirs[name]} there" for name in fields if mine[name] != theirs[name]]


def blacken(frames: np.ndarray, mask: tuple[Rect, ...] | list[Rect]) -> np.ndarray:
    """A copy of frames (..., H, W, C) with the mask's rectangles black; the same array without a mask."""
    if not mask:
        return frames
    frames = frames.copy()
    for r in mask:
        frames[..., r.top : r.bottom, r.left : r.right, :] = 0
    return frames


def checked_settings(frames: dict[str, Any] | FrameSettings) -> FrameSettings:
    """The settings of params.yaml as a FrameSettings; its defaults fill what is not said."""
    return frames if isinstance(frames, FrameSettings) else FrameSettings.model_validate(dict(frames))


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
