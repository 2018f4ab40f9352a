"""DeepMind Control: the 15 tasks of Fig 12, and two more that the paper's video model saw (section 4.1)."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.envs.base import EnvSettings, FrameSettings, FrameSpec, Info, Settings, Suite, SuiteEnv, checked
from viper_pipeline.envs.gl import gl_backend

CONTROL_STEPS = 1000
DMC_TASKS = {
    "acrobot_swingup": ("acrobot", "swingup"),
    "ball_in_cup_catch": ("ball_in_cup", "catch"),
    "cartpole_balance": ("cartpole", "balance"),
    "cartpole_swingup": ("cartpole", "swingup"),
    "cheetah_run": ("cheetah", "run"),
    "finger_spin": ("finger", "spin"),
    "finger_turn_hard": ("finger", "turn_hard"),
    "hopper_stand": ("hopper", "stand"),
    "manipulator_bring_ball": ("manipulator", "bring_ball"),
    "pendulum_swingup": ("pendulum", "swingup"),
    "point_mass_easy": ("point_mass", "easy"),
    "point_mass_hard": ("point_mass", "hard"),
    "quadruped_run": ("quadruped", "run"),
    "quadruped_walk": ("quadruped", "walk"),
    "reacher_easy": ("reacher", "easy"),
    "reacher_hard": ("reacher", "hard"),
    "walker_walk": ("walker", "walk"),
}
PAPER_NAMES = {
    "ball_in_cup_catch": "cup_catch",
    "point_mass_easy": "pointmass_easy",
    "point_mass_hard": "pointmass_hard",
}
ALIASES = {paper: ours for ours, paper in PAPER_NAMES.items()}
CAMERA_OF_DOMAIN = {"quadruped": 2}
# Drawn anew for every episode and missing from dm_control's observation; without it no policy of the state can play.
HIDDEN_STATE: dict[str, Callable[[Any], np.ndarray]] = {
    "point_mass_hard": lambda physics: physics.model.wrap_prm[:4],  # where the two actuators pull
}


def canonical(task: str) -> str:
    """Our name of a task, given ours or the paper's. Raises BadParams with a suggestion for unknown names."""
    name = ALIASES.get(task, task)
    if name not in DMC_TASKS:
        raise BadParams(f"suite 'dmc' has no task '{task}'{did_you_mean(task, [*DMC_TASKS, *ALIASES])}")
    return name


def paper_name(task: str) -> str:
    """The name of a task in the paper's figures."""
    name = canonical(task)
    return PAPER_NAMES.get(name, name)


class DMC(Suite):
    """The suite `dmc`: every episode is 1000 control steps long and none ends early."""

    name = "dmc"

    def tasks(self) -> tuple[str, ...]:
        """All tasks, by dm_control's names."""
        return tuple(DMC_TASKS)

    def canonical(self, task: str) -> str:
        """Our name of a task, given ours or the paper's."""
        return canonical(task)

    def frame_spec(self, task: str, env: Settings, frames: Settings) -> FrameSpec:
        """The frame specification of a task on this machine; the camera is the paper's (0; quadruped: 2)."""
        settings = checked(FrameSettings, frames)
        camera = CAMERA_OF_DOMAIN.get(DMC_TASKS[canonical(task)][0], 0) if settings.camera is None else settings.camera
        versions = [f"{name} {importlib.metadata.version(name)}" for name in ("dm_control", "mujoco")]
        chosen = settings.model_dump() | {"camera": camera, "action_repeat": checked(EnvSettings, env).action_repeat}
        return FrameSpec(**chosen, gl_backend=gl_backend(), library=" ".join(versions))

    def make(self, task: str, seed: int, env: Settings, frames: FrameSpec, pixels: bool = True) -> gymnasium.Env:
        """One environment; see `Suite.make`. Several of them may live in one process."""
        return DMCEnv(canonical(task), seed, checked(EnvSettings, env), frames, pixels)

    def idle_action(self, task: str) -> np.ndarray:
        """Zero control on every actuator, (A,); not the middle of its range, where the range is lopsided."""
        spec = load_dmc(canonical(task), 0).action_spec()
        middle, half = (spec.maximum + spec.minimum) / 2, (spec.maximum - spec.minimum) / 2
        return (0.0 - middle / half).astype(np.float32)

    def episode_steps(self, task: str, env: Settings) -> int:
        """Agent steps of an episode."""
        canonical(task)
        return math.ceil(CONTROL_STEPS / checked(EnvSettings, env).action_repeat)


def load_dmc(task: str, seed: int) -> Any:
    """The dm_control environment without a time limit of its own, which rounding could cut short."""
    gl_backend()  # dm_control chooses for good when it is first imported
    from dm_control import suite

    domain, name = DMC_TASKS[task]
    return suite.load(domain, name, task_kwargs={"random": seed, "time_limit": math.inf})


class DMCEnv(SuiteEnv):
    """A dm_control task with pixels or state, action repeat, and a fixed length."""

    def __init__(self, task: str, seed: int, env: EnvSettings, spec: FrameSpec, pixels: bool) -> None:
        self.action_repeat, self.spec_of_frames, self.pixels = env.action_repeat, spec, pixels
        self.simulator = load_dmc(task, seed)
        self.hidden = HIDDEN_STATE.get(task)
        self.steps = 0
        self.flags: dict[str, bool] = {}
        self.camera: Any = None
        self._set_quality()
        actions = self.simulator.action_spec()
        self.middle, self.half = (
            (actions.maximum + actions.minimum) / 2,
            (actions.maximum - actions.minimum) / 2,
        )
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, actions.shape, np.float32)
        if pixels:
            self.observation_space = gymnasium.spaces.Box(0, 255, (spec.size, spec.size, 3), np.uint8)
        else:
            size = sum(math.prod(v.shape) for v in self.simulator.observation_spec().values()) + self._hidden().size
            self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)

    def _set_quality(self) -> None:
        # Must happen before the first picture: the drawing context reads these once, when it is made.
        visual = self.simulator.physics.model.vis
        visual.global_.offwidth = visual.global_.offheight = self.spec_of_frames.size
        if not self.spec_of_frames.antialiasing:
            visual.quality.offsamples = 0
        if not self.spec_of_frames.shadows:
            visual.quality.shadowsize = 0
            self.flags = {"shadow": False, "reflection": False}

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Begin an episode; with `seed`, the same one as any other environment reset with it."""
        super().reset(seed=seed)
        if seed is not None:
            self.simulator.task.random.seed(seed % 2**32)
        self.steps = 0
        return self._observe(self.simulator.reset())

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        """Hold the action (A,) for `action_repeat` control steps."""
        command = self.middle + self.half * np.clip(np.asarray(action, np.float64), -1, 1)
        reward = 0.0
        for _ in range(min(self.action_repeat, CONTROL_STEPS - self.steps)):
            moment = self.simulator.step(command)
            reward += float(moment.reward or 0.0)
            self.steps += 1
        observation, info = self._observe(moment)
        return observation, reward, False, self.steps >= CONTROL_STEPS, info

    def render(self) -> np.ndarray:
        """The present frame, uint8 (H, W, 3)."""
        if self.camera is None:  # kept: `physics.render` makes one camera per picture, half the time of a small one
            from dm_control.mujoco import Camera

            spec = self.spec_of_frames
            self.camera = Camera(self.simulator.physics, spec.size, spec.size, camera_id=spec.camera)
        picture = self.camera.render(render_flag_overrides=self.flags)
        return np.ascontiguousarray(picture)  # a copy: dm_control gives a view of its buffer, upside down

    def _observe(self, moment: Any) -> tuple[np.ndarray, Info]:
        parts = [np.ravel(np.asarray(value, np.float64)) for value in moment.observation.values()]
        state = np.concatenate([*parts, self._hidden()]).astype(np.float32)
        if not self.pixels:
            return state, {"state": state}
        if self.spec_of_frames.gl_backend == "disabled":
            raise BadEnvironment("MUJOCO_GL=disabled: the simulator runs but cannot draw; unset it to get frames")
        return self.render(), {"state": state}

    def _hidden(self) -> np.ndarray:
        return self.hidden(self.simulator.physics) if self.hidden else np.empty(0)

    def close(self) -> None:
        """Free the simulator."""
        self.camera = None
        self.simulator.close()
