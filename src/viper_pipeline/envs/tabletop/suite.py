"""Tabletop manipulation with two arms on plain MuJoCo; what RLBench is in the paper (4.1 and 4.3, Figs 7, 8 and 10)."""

from __future__ import annotations

import importlib.metadata

import gymnasium
import numpy as np
from pydantic import Field

from viper_pipeline.envs.base import (
    EnvSettings,
    FrameSettings,
    FrameSpec,
    Info,
    Settings,
    Suite,
    SuiteEnv,
    checked,
)
from viper_pipeline.envs.gl import gl_backend
from viper_pipeline.envs.tabletop.arms import ARMS
from viper_pipeline.envs.tabletop.tasks import CAMERAS, TASKS, Simulation, TabletopTask

ACTIONS = 4
PROPRIOCEPTION = 6
"""Numbers of a state before the places of things: hand (3,), opening, hold, clock."""
CLOCK = 100
"""Control steps since the reset that make the clock 1."""


class TabletopRules(EnvSettings):
    """How long an action and an episode are."""

    action_repeat: int = Field(1, gt=0, description="control steps (1/20 s) per frame")
    max_steps: int = Field(100, gt=0, description="control steps of an episode; success ends none")


def pair(task: str) -> tuple[str, str]:
    """The arm and the task of a pair's name, `<arm>_<task>`."""
    arm, _, name = task.partition("_")
    return arm, name


class Tabletop(Suite):
    """The suite `tabletop`: every task with either arm; the arm shows in the picture alone.

    Actions (4,): the hand's way along x, y, z, in units of 3 cm a control step, and the gripper: below 0 open, above 0
    shut, 0 as it was. The hand keeps its attitude. The true reward of a control step is 1 from success on, else 0.
    """

    name = "tabletop"
    shared_labels = True
    features = frozenset({"scripts"})
    Env = TabletopRules

    def tasks(self) -> tuple[str, ...]:
        """Every pair, <arm>_<task>."""
        return tuple(f"{arm}_{task}" for arm in ARMS for task in TASKS.names())

    def task_label(self, task: str) -> str:
        """The task alone: which arm it is, a video model must see in the frames (section 4.3)."""
        return pair(self.canonical(task))[1]

    def frame_spec(self, task: str, env: Settings, frames: Settings) -> FrameSpec:
        """The frame specification of a task on this machine."""
        self.canonical(task)
        settings = checked(FrameSettings, frames)
        chosen = settings.model_dump() | {"camera": CAMERAS[0] if settings.camera is None else settings.camera}
        chosen["action_repeat"] = checked(TabletopRules, env).action_repeat
        library = f"mujoco {importlib.metadata.version('mujoco')}"
        return FrameSpec(**chosen, gl_backend=gl_backend(), library=library)

    def make(self, task: str, seed: int, env: Settings, frames: FrameSpec, pixels: bool = True) -> gymnasium.Env:
        """One environment; see `Suite.make`. Several of them may live in one process."""
        gl_backend()
        return TabletopEnv(self.canonical(task), seed, checked(TabletopRules, env), frames, pixels)

    def idle_action(self, task: str) -> np.ndarray:
        """The hand stays, the gripper too."""
        self.canonical(task)
        return np.zeros(ACTIONS, np.float32)

    def episode_steps(self, task: str, env: Settings) -> int:
        """Agent steps of an episode."""
        self.canonical(task)
        rules = checked(TabletopRules, env)
        return -(-rules.max_steps // rules.action_repeat)


class TabletopEnv(SuiteEnv):
    """One task with one arm.

    State: the hand's place (3,), how far the gripper is open (0 to 1), whether it holds the thing, the clock (control
    steps over CLOCK), and the places of things (3 n,), meters. `info["success"]`: whether the task was done by now.
    """

    def __init__(self, task: str, seed: int, rules: TabletopRules, spec: FrameSpec, pixels: bool) -> None:
        arm, name = pair(task)
        self.action_repeat, self.length, self.spec_of_frames, self.pixels = (
            rules.action_repeat,
            rules.max_steps,
            spec,
            pixels,
        )
        kind: type[TabletopTask] = TASKS.get(name)
        self.task = kind()
        self.simulation = Simulation(ARMS[arm], self.task, spec)
        self.rng = np.random.default_rng(seed)
        self.steps, self.done = 0, False
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)
        numbers = PROPRIOCEPTION + 3 * len(self.task.places)
        self.observation_space = (
            gymnasium.spaces.Box(0, 255, (spec.size, spec.size, 3), np.uint8)
            if pixels
            else gymnasium.spaces.Box(-np.inf, np.inf, (numbers,), np.float32)
        )

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Begin an episode; with `seed`, the same one as any other environment reset with it."""
        super().reset(seed=seed)
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.steps, self.done = 0, False
        self.simulation.reset(self.rng)
        return self._observe()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        """Hold the action (4,) for `action_repeat` control steps."""
        action = np.clip(np.asarray(action, np.float64), -1, 1)
        reward = 0.0
        for _ in range(min(self.action_repeat, self.length - self.steps)):
            self.simulation.step(action)
            self.steps += 1
            if not self.done and self.task.success(self.simulation):
                self.done = True
                self.task.show(self.simulation.model, True)
            reward += float(self.done)
        observation, info = self._observe()
        return observation, reward, False, self.steps >= self.length, info

    def render(self) -> np.ndarray:
        """The present frame, uint8 (H, W, 3)."""
        return self.simulation.draw()

    def _observe(self) -> tuple[np.ndarray, Info]:
        now = self.simulation
        own = [*now.place(), now.opening(), float(now.holds()), self.steps / CLOCK]
        state = np.concatenate([own, now.things().ravel()]).astype(np.float32)
        return (self.render() if self.pixels else state), {"state": state, "success": self.done}

    def close(self) -> None:
        """Free the drawing context."""
        self.simulation.close()
