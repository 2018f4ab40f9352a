"""A stand-in for RLBench and PyRep with the calls that the adapter makes, and the refusals that the real ones have.

A hand in a box: the task is done where it reaches x >= 0.35. Written from RLBench's published source; no part of it.
"""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np

CAMERAS = ("left_shoulder", "right_shoulder", "overhead", "wrist", "front")
START = np.array([0.3, 0.0, 1.2])


class IKError(Exception):
    """pyrep.errors."""


class ConfigurationPathError(Exception):
    """pyrep.errors."""


class InvalidActionError(Exception):
    """rlbench.backend.exceptions."""


class CameraConfig:
    def __init__(self):
        self.rgb = self.depth = self.mask = self.point_cloud = True
        self.image_size = (128, 128)

    def set_all(self, value):
        self.rgb = self.depth = self.mask = self.point_cloud = value


LOW = ("joint_velocities", "joint_positions", "joint_forces", "gripper_open", "gripper_pose", "gripper_matrix")
LOW = (*LOW, "gripper_joint_positions", "gripper_touch_forces", "wrist_camera_matrix", "task_low_dim_state")


class ObservationConfig:
    def __init__(self):
        for camera in CAMERAS:
            setattr(self, f"{camera}_camera", CameraConfig())
        self.set_all_low_dim(True)

    def set_all_high_dim(self, value):
        for camera in CAMERAS:
            getattr(self, f"{camera}_camera").set_all(value)

    def set_all_low_dim(self, value):
        for name in LOW:
            setattr(self, name, value)


class EndEffectorPoseViaIK:
    def __init__(self, absolute_mode=True, frame="world", collision_checking=False):
        assert frame in ("world", "end effector")
        self.absolute = absolute_mode


class Discrete:
    def __init__(self, attach_grasped_objects=True, detach_before_open=True):
        self.attach = attach_grasped_objects


class MoveArmThenGripper:
    def __init__(self, arm_action_mode, gripper_action_mode):
        self.arm, self.gripper = arm_action_mode, gripper_action_mode


class Observation:
    def __init__(self, task):
        config = task.scene.config
        self.gripper_pose = np.array([*task.hand, 0, 1, 0, 0])
        for i, camera in enumerate(CAMERAS):
            wanted = getattr(config, f"{camera}_camera")
            shade = int(255 * (task.hand[0] % 1)) // 8 * 8 + i
            picture = np.full((*wanted.image_size, 3), shade, np.uint8) if wanted.rgb else None
            setattr(self, f"{camera}_rgb", picture)
            assert not (wanted.depth or wanted.mask), "pictures that nobody asked for cost time"

    def get_low_dim_data(self):
        return self.gripper_pose.astype(np.float64)


class TaskEnvironment:
    def __init__(self, scene, name):
        self.scene, self.name, self.ready = scene, name, False

    def reset(self):
        self.ready, self.open = True, 1.0
        self.hand = START + np.array([0, np.random.uniform(-0.1, 0.1), 0])  # noqa: NPY002 (as RLBench draws)
        return [f"do {self.name}"], Observation(self)

    def step(self, action):
        assert self.ready, "call reset first"
        if np.shape(action) != (8,):
            raise InvalidActionError("wrong shape")
        if not np.isclose(np.linalg.norm(action[3:7]), 1):
            raise InvalidActionError("Action contained non unit quaternion!")
        assert 0 <= action[7] <= 1 and not self.scene.mode.arm.absolute
        np.testing.assert_array_equal(action[3:7], [0, 0, 0, 1])  # x, y, z, w: no turn
        if abs(self.hand[1] + action[1]) > 0.2:
            raise InvalidActionError("Could not perform IK via Jacobian")
        if self.hand[0] + action[0] < 0.2:
            raise ConfigurationPathError("no path")
        self.hand = self.hand + action[:3]
        self.open = float(action[7] > 0.5)
        success = float(self.hand[0] >= 0.35)
        return Observation(self), success, bool(success)

    def get_demos(self, amount, live_demos=False, image_paths=False, callable_each_step=None, max_attempts=10):
        if not live_demos:
            raise RuntimeError("Can't ask for stored demo when no dataset root provided.")
        demos = []
        for _ in range(amount):
            _, first = self.reset()
            seen = [first]
            while not seen[1:] or self.hand[0] < 0.35:
                self.hand = self.hand + np.array([0.004, 0, 0])
                seen.append(Observation(self))
            demos.append(Demo(seen))
        return demos


class Demo:
    def __init__(self, observations):
        self._observations = observations

    def __len__(self):
        return len(self._observations)

    def __getitem__(self, i):
        return self._observations[i]


class Environment:
    running = 0

    def __init__(self, action_mode, dataset_root="", obs_config=None, headless=False, static_positions=False,
                 robot_setup="panda"):  # fmt: skip
        if robot_setup not in ("panda", "jaco", "mico", "sawyer", "ur5"):
            raise ValueError("robot_configuration must be one of ...")
        self.mode, self.config, self.arm, self.headless = action_mode, obs_config, robot_setup, headless

    def launch(self):
        assert not Environment.running, "CoppeliaSim runs once a process"
        Environment.running += 1

    def get_task(self, task_class):
        assert Environment.running
        return TaskEnvironment(self, task_class.__name__)

    def shutdown(self):
        Environment.running -= 1


def name_to_task_class(name):
    """reach_target -> the class ReachTarget."""
    return type("".join(word.capitalize() for word in name.split("_")), (), {})


MODULES = {
    "pyrep": {},
    "pyrep.errors": {"IKError": IKError, "ConfigurationPathError": ConfigurationPathError},
    "rlbench": {},
    "rlbench.action_modes": {},
    "rlbench.action_modes.action_mode": {"MoveArmThenGripper": MoveArmThenGripper},
    "rlbench.action_modes.arm_action_modes": {"EndEffectorPoseViaIK": EndEffectorPoseViaIK},
    "rlbench.action_modes.gripper_action_modes": {"Discrete": Discrete},
    "rlbench.backend": {},
    "rlbench.backend.exceptions": {"InvalidActionError": InvalidActionError},
    "rlbench.environment": {"Environment": Environment},
    "rlbench.observation_config": {"ObservationConfig": ObservationConfig},
    "rlbench.utils": {"name_to_task_class": name_to_task_class},
}


def install(monkeypatch):
    """Put the stand-in where `import rlbench` finds it, until the test ends."""
    for name, content in MODULES.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return SimpleNamespace(Environment=Environment)
