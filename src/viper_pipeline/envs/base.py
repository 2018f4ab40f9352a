"""What a suite is: a family of tasks whose frames share one tokenizer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import gymnasium
import numpy as np
from pydantic import Field, model_validator

from viper_pipeline.core.config import Config, ParamsBlock
from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.registry import did_you_mean


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


class EnvSettings(Config):
    """Block `env`: the rules of play. Experts are trained and recorded, and agents play, under the same ones.

    A suite with more rules adds fields in a subclass. Nothing here may change how a given state looks: that is
    FrameSettings.
    """

    action_repeat: int = Field(2, gt=0, description="control steps of the simulator per agent step")


class FrameSettings(Config):
    """Block `frames`: how a state is drawn."""

    size: int = Field(64, gt=0, description="height and width, pixels (paper: 64)")
    camera: int | str | None = Field(None, description="camera of the scene; null: the suite's choice for the task")
    shadows: bool = Field(True, description="shadows and reflections; without them drawing is 4 to 10 times faster")
    antialiasing: bool = Field(True, description="multisampled edges")


class FrameSpec(Config):
    """How the frames of a video were made; stored with it. Videos fit one model if these agree (`differences`).

    `action_repeat` is a rule of play, but it also decides how far apart in time two frames are.
    """

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
        """One line per field that changes the picture and differs; empty if one model can read both."""
        fields = ("size", "camera", "action_repeat", "shadows", "antialiasing", "mask", "stride")
        return self._compare(other, fields)

    def warnings(self, other: FrameSpec) -> list[str]:
        """One line per difference that should change no more than the last bit of a pixel."""
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


Info: TypeAlias = dict[str, Any]
"""What an environment says beside its observation, and the options that it is reset with."""
S = TypeVar("S", bound=Config)
Settings = ParamsBlock | Config
"""A block of params.yaml as it was read, or as a checked configuration."""


def checked(kind: type[S], settings: Settings) -> S:
    """A block as `kind`, whose defaults fill in what it does not say. Raises pydantic's ValidationError."""
    values = settings.model_dump() if isinstance(settings, Config) else dict(settings)
    return kind.model_validate(values)


Feature = Literal["training", "emulator", "scripts", "planner"]
"""What an expert may need of a suite:

training: state and true reward are such that an RL agent learns the task.
emulator: environments have `imagine` (see experts/search.py), which plays ahead and returns to the same state.
scripts: there are hand-written experts.
planner: `make_demos` makes demonstrations.
"""


class SuiteEnv(gymnasium.Env):
    """What environments of suites have in common. `info["state"]` of reset and step is the state (D,), float32."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (gymnasium's convention)
    render_mode = "rgb_array"
    spec_of_frames: FrameSpec
    """How `render()` draws; wrappers compare it with what a reward was trained on."""

    def render(self) -> np.ndarray:  # type: ignore[override]
        """The present frame, uint8 (H, W, 3)."""
        raise NotImplementedError


class Suite(ABC):
    """Tasks, and environments with pixels and state.

    Objects hold no simulator, so that they can be sent to other processes. A new suite implements the abstract methods
    and overrides the attributes and methods whose defaults do not fit.
    """

    name: ClassVar[str]
    discrete: ClassVar[bool] = False
    """True: an action (A,) holds preferences, and the greatest is executed. False: positions of actuators.

    Environments of discrete suites have `useful_actions`: the indices, ascending, of the actions that have an effect.
    """
    one_process_only: ClassVar[bool] = False
    """True: a process can hold one environment at a time."""
    shared_labels: ClassVar[bool] = False
    """True: several tasks have one `task_label`, so that tasks can be held out (`held_out_tasks`)."""
    features: ClassVar[frozenset[Feature]] = frozenset({"training"})
    """Which kinds of experts can be made; see EXPERTS."""
    Env: ClassVar[type[EnvSettings]] = EnvSettings
    """The schema of the suite's block `env`."""
    Frames: ClassVar[type[FrameSettings]] = FrameSettings
    """The schema of the suite's block `frames`."""

    @abstractmethod
    def tasks(self) -> tuple[str, ...]:
        """The names of all tasks, as used in params.yaml and in paths."""

    @abstractmethod
    def frame_spec(self, task: str, env: Settings, frames: Settings) -> FrameSpec:
        """How frames of `task` look on this machine under the blocks `env` and `frames`."""

    @abstractmethod
    def make(self, task: str, seed: int, env: Settings, frames: FrameSpec, pixels: bool = True) -> gymnasium.Env:
        """An environment (see SuiteEnv), deterministic given `seed`; `env.reset(seed=...)` begins a new stream.

        env: the rules of play; `action_repeat` counts from here. frames: what `render()` draws, see `frame_spec`.
        Observations: uint8 (H, W, C) if `pixels`, else the float32 state (D,). Actions (A,) are in [-1, 1].
        The reward is the sum of the true rewards over the action repeat.
        """

    @abstractmethod
    def idle_action(self, task: str) -> np.ndarray:
        """The action (A,) that does nothing, float32."""

    @abstractmethod
    def episode_steps(self, task: str, env: Settings) -> int:
        """Agent steps of a whole episode under the block `env`; its video has one frame more."""

    def canonical(self, task: str) -> str:
        """The name used in paths for `task`, which may be an alias. Raises BadParams for unknown names."""
        if task not in self.tasks():
            raise BadParams(f"suite '{self.name}' has no task '{task}'{did_you_mean(task, self.tasks())}")
        return task

    def task_label(self, task: str) -> str:
        """What a video model knows of a task: its own name, or one that several tasks share."""
        return self.canonical(task)

    def masks(self, task: str) -> list[Rect]:
        """What the paper hides of the frame (scoreboards); by default nothing."""
        self.canonical(task)
        return []

    def make_demos(self, task: str, seed: int, env: Settings, frames: FrameSpec) -> gymnasium.Env:
        """An environment whose every episode is a demonstration, whatever the actions; feature `planner`."""
        raise BadEnvironment(f"suite '{self.name}' has no planner; use another algorithm in experts.{task}")
