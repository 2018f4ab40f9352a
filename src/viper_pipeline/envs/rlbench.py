"""RLBench: motion-planner demonstrations and live environments for two arms (paper 4.1 and 4.3, Figs 7, 8 and 10).

RLBench itself is imported only when an environment is made; names, frames and imported videos need none of it.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np
from pydantic import Field

from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.envs.base import EnvSettings, FrameSettings, FrameSpec, Info, Settings, Suite, SuiteEnv, checked

PAPER = (
    "lamp_on",
    "push_button",
    "reach_target",
    "take_lid_off_saucepan",
    "take_umbrella_out_of_umbrella_stand",
    "toilet_seat_down",
)
"""The six of Fig 10."""

HELD_OUT = "panda_take_lid_off_saucepan"
"""The arm and task that no model of the experiment with two arms is trained on (Figs 7, 8 and 18)."""

# The paper names none of these: 30 tasks for Panda, 23 for Sawyer, 20 of them for both, is all it says. The choice is
# this project's: the paper's own six and easy tasks, with the two that the paper's pictures settle (the saucepan is
# Sawyer's, the umbrella Panda's).
SHARED = (
    "close_box",
    "close_drawer",
    "close_fridge",
    "close_grill",
    "close_laptop_lid",
    "close_microwave",
    "lamp_off",
    "lamp_on",
    "meat_off_grill",
    "open_box",
    "open_drawer",
    "open_grill",
    "pick_and_lift",
    "pick_up_cup",
    "push_button",
    "put_rubbish_in_bin",
    "reach_target",
    "slide_block_to_target",
    "take_umbrella_out_of_umbrella_stand",
    "toilet_seat_down",
)
PANDA = (
    *SHARED,
    "basketball_in_hoop",
    "close_door",
    "meat_on_grill",
    "open_door",
    "open_microwave",
    "phone_on_base",
    "push_buttons",
    "put_knife_on_chopping_board",
    "sweep_to_dustpan",
    "unplug_charger",
)
SAWYER = (*SHARED, "press_switch", "reach_and_drag", "take_lid_off_saucepan")

TASKS_OF_ARM = {"panda": PANDA, "sawyer": SAWYER}
PAIRS = tuple(f"{arm}_{task}" for arm, tasks in TASKS_OF_ARM.items() for task in tasks)
"""The 53 pairs that the models with two arms are trained on."""
RLBENCH_TASKS = {
    f"{arm}_{task}": (arm, task) for task in sorted({*PAPER, *PANDA, *SAWYER}) for arm in ("panda", "sawyer")
}
"""Every task with either arm: <arm>_<task> -> (arm, RLBench's name)."""


NOT_INSTALLED = (
    "RLBench cannot be imported ({error}). It is in no package index: (1) unpack CoppeliaSim_Edu_V4_1_0_Ubuntu20_04 "
    "and set COPPELIASIM_ROOT to that folder, LD_LIBRARY_PATH=$COPPELIASIM_ROOT and "
    "QT_QPA_PLATFORM_PLUGIN_PATH=$COPPELIASIM_ROOT; (2) pip install git+https://github.com/stepjam/PyRep.git; "
    "(3) pip install git+https://github.com/stepjam/RLBench.git; without a screen start under xvfb-run. To use "
    "demonstrations that RLBench has written already, none of this is needed: give the task a dataset of kind rlbench"
)
CAMERA_NAMES = ("front", "wrist", "overhead", "left_shoulder", "right_shoulder")

_opened: list[str] = []


@dataclass
class Simulator:
    """A running scene. `task` is RLBench's TaskEnvironment; actions that it cannot do raise one of `impossible`."""

    scene: Any
    task: Any
    impossible: tuple[type[Exception], ...]

    def close(self) -> None:
        """Shut CoppeliaSim down."""
        if _opened:
            self.scene.shutdown()
            _opened.clear()


def launch(arm: str, task: str, cameras: tuple[str, ...], size: int) -> Simulator:
    """Open a task of RLBench for an arm, with pictures of some cameras, size x size.

    The hand moves by differences through inverse kinematics, the gripper is open or shut, and what it grasps is
    attached to it. Raises BadEnvironment where RLBench is missing, or is running already in this process.
    """
    try:
        from pyrep.errors import ConfigurationPathError, IKError
        from rlbench.action_modes.action_mode import MoveArmThenGripper
        from rlbench.action_modes.arm_action_modes import EndEffectorPoseViaIK
        from rlbench.action_modes.gripper_action_modes import Discrete
        from rlbench.backend.exceptions import InvalidActionError
        from rlbench.environment import Environment
        from rlbench.observation_config import ObservationConfig
        from rlbench.utils import name_to_task_class
    except ImportError as error:
        raise BadEnvironment(NOT_INSTALLED.format(error=error)) from error
    if _opened:
        raise BadEnvironment(
            f"RLBench runs '{_opened[0]}' in this process already, and CoppeliaSim can be opened once per process; "
            "close that environment first, or give each its own process (runtime.workers, runs.processes)"
        )
    config = ObservationConfig()
    config.set_all_low_dim(True)
    config.gripper_touch_forces = False  # Sawyer's gripper has no such sensors
    config.set_all_high_dim(False)
    for camera in cameras:
        chosen = getattr(config, f"{camera}_camera")
        chosen.rgb, chosen.image_size = True, (size, size)
    scene = Environment(
        action_mode=MoveArmThenGripper(
            arm_action_mode=EndEffectorPoseViaIK(absolute_mode=False),
            gripper_action_mode=Discrete(attach_grasped_objects=True),
        ),
        obs_config=config,
        headless=True,
        robot_setup=arm,
    )
    scene.launch()
    _opened.append(f"{arm} {task}")
    return Simulator(
        scene, scene.get_task(name_to_task_class(task)), (InvalidActionError, IKError, ConfigurationPathError)
    )


RLBENCH_ACTIONS = 4
REACH = 0.03
"""Metres that an action of 1 moves the hand along an axis."""
EPISODE_STEPS = 250


class RLBenchFrames(FrameSettings):
    """Which camera is seen. Default: the paper's reference code."""

    camera: Literal["front", "wrist", "overhead", "left_shoulder", "right_shoulder"] = Field(
        "front", description="the camera whose pictures the models and the agent see"
    )


class RLBenchRules(EnvSettings):
    """How long an episode is. Default: the paper's reference code."""

    action_repeat: Literal[1] = Field(1, description="RLBench draws one frame per action; curation.stride thins them")
    max_steps: int = Field(EPISODE_STEPS, gt=0, description="agent steps of an episode; success ends none")


class RLBench(Suite):
    """The suite `rlbench`: tasks are called <arm>_<task>, for no file of RLBench's says which arm it shows.

    Actions (4,): the hand's step along x, y, z in units of `REACH`, and the gripper: open above 0, shut below. The true
    reward of a step is 1 once the task has been done in this episode, else 0.
    """

    name = "rlbench"
    one_process_only = True
    shared_labels = True
    features = frozenset({"planner"})
    Env = RLBenchRules
    Frames = RLBenchFrames

    def tasks(self) -> tuple[str, ...]:
        """Every task with either arm."""
        return tuple(RLBENCH_TASKS)

    def canonical(self, task: str) -> str:
        """The task's name. Raises BadParams with a suggestion for unknown names."""
        if task not in RLBENCH_TASKS:
            raise BadParams(
                f"suite 'rlbench' has no task '{task}'{did_you_mean(task, RLBENCH_TASKS)}; names begin with the arm"
            )
        return task

    def task_label(self, task: str) -> str:
        """RLBench's task: which arm it is, a video model must see in the frames (section 4.3)."""
        return RLBENCH_TASKS[self.canonical(task)][1]

    def frame_spec(self, task: str, env: Settings, frames: Settings) -> FrameSpec:
        """How frames of `task` look; RLBench need not be installed."""
        self.canonical(task)
        settings = checked(RLBenchFrames, frames).model_dump()
        settings["action_repeat"] = checked(RLBenchRules, env).action_repeat
        return FrameSpec(**settings, gl_backend="coppeliasim", library=_version())

    def make(self, task: str, seed: int, env: Settings, frames: FrameSpec, pixels: bool = True) -> gymnasium.Env:
        """One environment; see `Suite.make`. A process can have one at a time."""
        return RLBenchEnv(self.canonical(task), seed, checked(RLBenchRules, env), frames, pixels)

    def make_demos(self, task: str, seed: int, env: Settings, frames: FrameSpec) -> gymnasium.Env:
        """An environment whose every episode is a demonstration of RLBench's motion planner, whatever the actions.

        It is as long as the planner needs: `max_steps` does not cut it.
        """
        return RLBenchDemos(self.canonical(task), seed, frames)

    def idle_action(self, task: str) -> np.ndarray:
        """The hand stays; the gripper stays open, as every episode begins."""
        self.canonical(task)
        return np.array([0, 0, 0, 1], np.float32)

    def episode_steps(self, task: str, env: Settings) -> int:
        """Agent steps of a live episode; a demonstration is as long as the planner needs."""
        self.canonical(task)
        return checked(RLBenchRules, env).max_steps


def _version() -> str:
    try:
        return f"rlbench {importlib.metadata.version('rlbench')}"
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


class _Scene(SuiteEnv):
    """What live episodes and demonstrations share: one task of a running simulator, and its pictures."""

    def __init__(self, task: str, seed: int, spec: FrameSpec, pixels: bool) -> None:
        arm, name = RLBENCH_TASKS[task]
        self.spec_of_frames, self.camera, self.pixels = spec, str(spec.camera), pixels
        self.views = tuple(dict.fromkeys((self.camera, *CAMERA_NAMES[:3]))) if pixels else ()
        self.simulator: Simulator = launch(arm, name, self.views, spec.size)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (RLBENCH_ACTIONS,), np.float32)
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """RLBench draws places and colors from NumPy's global generator."""
        np.random.seed(seed % 2**32)  # noqa: NPY002

    def observe(self, moment: Any) -> tuple[np.ndarray, Info]:
        """One moment of RLBench's -> the observation, and `info`: the state, and every camera's picture by name."""
        self.moment = moment
        state = np.asarray(moment.get_low_dim_data(), np.float32)
        views = {camera: np.asarray(getattr(moment, f"{camera}_rgb"), np.uint8) for camera in self.views}
        return (views[self.camera] if self.pixels else state), {"state": state, "views": views}

    def render(self) -> np.ndarray:
        """The present frame, uint8 (H, W, 3)."""
        return np.asarray(getattr(self.moment, f"{self.camera}_rgb"), np.uint8)

    def close(self) -> None:
        """Shut the simulator down."""
        self.simulator.close()


class RLBenchEnv(_Scene):
    """A live task: the hand moves by differences, and never above the height it began at (as the reference code)."""

    def __init__(self, task: str, seed: int, rules: RLBenchRules, spec: FrameSpec, pixels: bool) -> None:
        super().__init__(task, seed, spec, pixels)
        self.length = rules.max_steps
        first, _ = self.reset()
        low, high = (0, 255) if pixels else (-np.inf, np.inf)
        self.observation_space = gymnasium.spaces.Box(low, high, first.shape, np.uint8 if pixels else np.float32)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Begin an episode; with `seed`, things lie as in any other environment reset with it."""
        super().reset(seed=seed)
        if seed is not None:
            self.seed(seed)
        _, moment = self.simulator.task.reset()
        self.steps, self.done, self.ceiling = 0, 0.0, float(moment.gripper_pose[2])
        return self.observe(moment)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        """Move the hand, then the gripper; where no joint angles lead there, nothing happens."""
        self.steps += 1
        try:
            moment, reward, _ = self.simulator.task.step(self.command(action))
            self.done = max(self.done, float(reward >= 1))
        except self.simulator.impossible:
            moment = self.moment
        observation, info = self.observe(moment)
        return observation, self.done, False, self.steps >= self.length, info | {"success": self.done > 0}

    def command(self, action: np.ndarray) -> np.ndarray:
        """An action (4,) as RLBench's (8,): a step in meters, no turn (x, y, z, w), and the gripper, 1 open, 0 shut."""
        action = np.clip(np.asarray(action, np.float64), -1, 1)
        step = REACH * action[:3]
        if self.moment.gripper_pose[2] + step[2] >= self.ceiling:
            step[2] = 0
        return np.concatenate([step, [0, 0, 0, 1], [float(action[3] > 0)]])


class RLBenchDemos(_Scene):
    """Demonstrations as episodes: the planner has acted already, and steps only show what it did."""

    def __init__(self, task: str, seed: int, spec: FrameSpec) -> None:
        super().__init__(task, seed, spec, pixels=True)
        self.observation_space = gymnasium.spaces.Box(0, 255, (spec.size, spec.size, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Let the planner solve the task anew. Things lie by the seed; the planner's own chance has none."""
        super().reset(seed=seed)
        if seed is not None:
            self.seed(seed)
        (self.demo,) = self.simulator.task.get_demos(1, live_demos=True)
        self.steps = 0
        return self.observe(self.demo[0])

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        """The next moment; the reward of the last is 1, since RLBench gives out only demonstrations that succeed."""
        self.steps += 1
        last = self.steps == len(self.demo) - 1
        observation, info = self.observe(self.demo[self.steps])
        return observation, float(last), last, False, info
