"""The one place that imports RLBench: its simulator, opened for one task and one arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from viper_pipeline.errors import BadEnvironment

MISSING = (
    "RLBench cannot be imported ({error}). It is in no package index: (1) unpack CoppeliaSim_Edu_V4_1_0_Ubuntu20_04 "
    "and set COPPELIASIM_ROOT to that folder, LD_LIBRARY_PATH=$COPPELIASIM_ROOT and "
    "QT_QPA_PLATFORM_PLUGIN_PATH=$COPPELIASIM_ROOT; (2) pip install git+https://github.com/stepjam/PyRep.git; "
    "(3) pip install git+https://github.com/stepjam/RLBench.git; without a screen start under xvfb-run. To use "
    "demonstrations that RLBench has written already, none of this is needed: give the task a dataset of kind rlbench"
)
CAMERAS = ("front", "wrist", "overhead", "left_shoulder", "right_shoulder")

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
        raise BadEnvironment(MISSING.format(error=error)) from error
    if _opened:
        raise BadEnvironment(
            f"RLBench runs '{_opened[0]}' in this process already, and CoppeliaSim can be opened once a process; "
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
