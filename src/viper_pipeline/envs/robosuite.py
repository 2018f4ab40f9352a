"""Tabletop manipulation with two arms, on robosuite; what RLBench is in the paper (4.1 and 4.3, Figs 7 and 8)."""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from pydantic import Field

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.envs.base import EnvSettings, FrameSettings, FrameSpec, Info, Settings, Suite, SuiteEnv, checked
from viper_pipeline.envs.gl import gl_backend


class Shot(NamedTuple):
    """A camera, in meters and degrees: where it is, what it looks at, how much it sees from top to bottom."""

    eye: tuple[float, float, float]
    aim: tuple[float, float, float]
    angle: float


TABLE_SHOT = Shot((0.75, 0.0, 1.30), (-0.02, 0.0, 0.91), 30.0)
"""robosuite's agentview, brought so near that a cube is more than a few pixels wide."""


@dataclass(frozen=True)
class Scene:
    """A task, in robosuite's own names."""

    environment: str
    grasp: str
    """The shape that the hand should hold."""
    places: tuple[str, ...]
    """Observations (3,), in meters: what a script reads beside the hand's place."""
    close: Shot = TABLE_SHOT
    options: ParamsBlock = field(default_factory=dict)
    wrist: float = 0.0
    """Radians by which the hand begins turned about its own axis."""


SCENES = {
    "lift": Scene("Lift", "cube_g0", ("cube_pos",)),
    "stack": Scene("Stack", "cubeA_g0", ("cubeA_pos", "cubeB_pos")),
    # Without a latch. Turned by a quarter, the hand fits between handle and door.
    "door": Scene(
        "Door",
        "Door_handle",
        ("handle_pos", "door_pos"),
        Shot((0.35, 0.45, 1.40), (-0.16, -0.13, 1.08), 38.0),
        {"use_latch": False},
        wrist=-np.pi / 2,
    ),
    "can": Scene("PickPlaceCan", "Can_g0", ("Can_pos",), Shot((0.85, 0.01, 1.75), (0.09, 0.01, 0.90), 47.0)),
}
ARM_MODELS = {"panda": "Panda", "sawyer": "Sawyer"}
TABLETOP_TASKS = {f"{arm}_{scene}": (arm, scene) for arm in ARM_MODELS for scene in SCENES}


CLOSE = "close"
"""A camera of ours: robosuite's agentview, moved to where the scene wants it."""
MOVED = "agentview"


class View:
    """Draws a model that another library simulates.

    dm_control does it: freeing one of its drawing contexts leaves those of others alone. `mujoco.Renderer`, and with
    it robosuite's own, frees into whatever context is current; frames of others are noise from then on, and no error.
    """

    def __init__(self, model: Any, spec: FrameSpec, close: Shot) -> None:
        """model: mujoco.MjModel. Raises BadParams for a camera that is not there, BadEnvironment without OpenGL."""
        if spec.gl_backend == "disabled":
            raise BadEnvironment("MUJOCO_GL=disabled: the simulator runs but cannot draw; unset it to get frames")
        from dm_control.mujoco import Physics, wrapper

        self.model, self.size = model, spec.size
        self.camera = camera_id(model, spec.camera, close)
        visual = model.vis
        visual.global_.offwidth = visual.global_.offheight = spec.size
        self.flags: dict[str, bool] = {}
        if not spec.antialiasing:
            visual.quality.offsamples = 0
        if not spec.shadows:
            visual.quality.shadowsize = 0
            self.flags = {"shadow": False, "reflection": False}
        self.physics = Physics.from_model(wrapper.MjModel(model))
        self.options = wrapper.MjvOption()
        self.options.geomgroup[0] = 0  # shapes for collisions
        self.options.sitegroup[:] = 0  # marks for people

    def draw(self, data: Any) -> np.ndarray:
        """The state of `data`, a mujoco.MjData of the model, as uint8 (H, W, 3)."""
        import mujoco

        what = mujoco.mjtState.mjSTATE_PHYSICS
        state = np.empty(mujoco.mj_stateSize(self.model, what))
        mujoco.mj_getState(self.model, data, state, what)
        mujoco.mj_setState(self.model, self.physics.data.ptr, state, what)
        mujoco.mj_kinematics(self.model, self.physics.data.ptr)
        mujoco.mj_comPos(self.model, self.physics.data.ptr)
        mujoco.mj_camlight(self.model, self.physics.data.ptr)
        picture = self.physics.render(
            self.size,
            self.size,
            camera_id=self.camera,
            scene_option=self.options,
            render_flag_overrides=self.flags,
        )
        return np.ascontiguousarray(picture)

    def close(self) -> None:
        """Free the context."""
        self.physics.free()


def camera_id(model: Any, camera: int | str, close: Shot) -> int:
    """The number of a camera of the model; asking for CLOSE moves one to `close`."""
    names = [model.camera(i).name for i in range(model.ncam)]
    if camera == CLOSE:
        number = names.index(MOVED)
        model.cam_pos[number], model.cam_fovy[number] = close.eye, close.angle
        model.cam_quat[number] = looking(np.subtract(close.aim, close.eye))
        return number
    if camera in names:
        return names.index(str(camera))
    if isinstance(camera, int) and 0 <= camera < model.ncam:
        return camera
    raise BadParams(f"frames.camera: there is no camera '{camera}'{did_you_mean(str(camera), [CLOSE, *names])}")


def looking(ahead: np.ndarray) -> np.ndarray:
    """The quaternion (4,) of a camera that looks along `ahead` (3,), upright."""
    import mujoco

    back = -ahead / np.linalg.norm(ahead)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, np.column_stack([right, np.cross(back, right), back]).ravel())
    return quaternion


CONTROL_HZ = 20
TABLETOP_STEPS = 150
TABLETOP_ACTIONS = 4


class TabletopRules(EnvSettings):
    """How long an action and an episode are."""

    action_repeat: int = Field(1, gt=0, description="control steps (1/20 s) per frame")
    control_steps: int = Field(TABLETOP_STEPS, gt=0, description="control steps of an episode; success ends none")


class Tabletop(Suite):
    """The suite `tabletop`: every task with either arm; the arm shows in the picture alone.

    Actions (4,): the hand's step along x, y, z, in twentieths of a meter, and the gripper, from -1 open to 1 shut. The
    true reward of a control step is 1 once robosuite calls the task done in that step, else 0.
    """

    name = "tabletop"
    shared_labels = True
    features = frozenset({"scripts"})
    Env = TabletopRules

    def tasks(self) -> tuple[str, ...]:
        """Every pair, <arm>_<scene>."""
        return tuple(TABLETOP_TASKS)

    def task_label(self, task: str) -> str:
        """The scene: which arm it is, a video model must see in the frames (section 4.3)."""
        return TABLETOP_TASKS[self.canonical(task)][1]

    def frame_spec(self, task: str, env: Settings, frames: Settings) -> FrameSpec:
        """The frame specification of a task on this machine."""
        self.canonical(task)
        settings = checked(FrameSettings, frames)
        versions = [f"{name} {importlib.metadata.version(name)}" for name in ("robosuite", "mujoco")]
        chosen = settings.model_dump() | {"camera": CLOSE if settings.camera is None else settings.camera}
        chosen["action_repeat"] = checked(TabletopRules, env).action_repeat
        return FrameSpec(**chosen, gl_backend=gl_backend(), library=" ".join(versions))

    def make(self, task: str, seed: int, env: Settings, frames: FrameSpec, pixels: bool = True) -> gymnasium.Env:
        """One environment; see `Suite.make`. Several of them may live in one process."""
        return TabletopEnv(self.canonical(task), seed, checked(TabletopRules, env), frames, pixels)

    def idle_action(self, task: str) -> np.ndarray:
        """The hand stays, the gripper keeps its width."""
        self.canonical(task)
        return np.zeros(TABLETOP_ACTIONS, np.float32)

    def episode_steps(self, task: str, env: Settings) -> int:
        """Agent steps of an episode."""
        self.canonical(task)
        rules = checked(TabletopRules, env)
        return -(-rules.control_steps // rules.action_repeat)


def load_tabletop(task: str) -> Any:
    """The robosuite environment, without a renderer of its own and without a time limit."""
    gl_backend()
    chosen = os.environ.get("MUJOCO_GL", "")
    logging.disable(logging.WARNING)  # on import robosuite warns of what it could do with other packages
    try:
        import robosuite
        from robosuite.controllers import load_composite_controller_config
    finally:
        logging.disable(logging.NOTSET)
        os.environ["MUJOCO_GL"] = chosen  # robosuite writes its own choice there
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    arm, scene = TABLETOP_TASKS[task]
    made = robosuite.make(
        SCENES[scene].environment,
        robots=ARM_MODELS[arm],
        controller_configs=load_composite_controller_config(controller="BASIC", robot=ARM_MODELS[arm]),
        has_renderer=False,
        has_offscreen_renderer=False,
        use_camera_obs=False,
        control_freq=CONTROL_HZ,
        ignore_done=True,
        hard_reset=False,  # the model is made once; a reset only moves what is in it
        seed=0,  # the size of cubes is drawn when the model is made; all environments have the same
        **SCENES[scene].options,
    )
    made.robots[0].init_qpos[-1] += SCENES[scene].wrist
    if arm == "sawyer":  # its first link scrapes along its own foot, whose friction holds the first joint
        foot = made.sim.model.geom_name2id("robot0_base_col")
        made.sim.model.geom_contype[foot] = made.sim.model.geom_conaffinity[foot] = 0
    return made


class TabletopEnv(SuiteEnv):
    """One scene with one arm. State: the hand's place (3,), whether it holds the thing, the scene's places (3 n,)."""

    def __init__(self, task: str, seed: int, rules: TabletopRules, spec: FrameSpec, pixels: bool) -> None:
        self.action_repeat, self.spec_of_frames, self.pixels = rules.action_repeat, spec, pixels
        self.scene = SCENES[TABLETOP_TASKS[task][1]]
        self.simulator = load_tabletop(task)
        self._begin_stream(seed)
        self.steps, self.length = 0, rules.control_steps
        self.view: View | None = None
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (TABLETOP_ACTIONS,), np.float32)
        state = self._state(self.simulator._get_observations(force_update=True))
        self.observation_space = (
            gymnasium.spaces.Box(0, 255, (spec.size, spec.size, 3), np.uint8)
            if pixels
            else gymnasium.spaces.Box(-np.inf, np.inf, state.shape, np.float32)
        )

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Begin an episode; with `seed`, the same one as any other environment reset with it."""
        super().reset(seed=seed)
        if seed is not None:
            self._begin_stream(seed)
        self.steps = 0
        return self._observe(self.simulator.reset())

    def _begin_stream(self, seed: int) -> None:
        # robosuite's samplers share this one generator
        self.simulator.rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        """Hold the action (4,) for `action_repeat` control steps."""
        x, y, z, grip = np.clip(np.asarray(action, np.float64), -1, 1)
        command = np.array([x, y, z, 0, 0, 0, grip])
        reward = 0.0
        for _ in range(min(self.action_repeat, self.length - self.steps)):
            seen = self.simulator.step(command)[0]
            reward += float(self.simulator._check_success())
            self.steps += 1
        observation, info = self._observe(seen)
        return observation, reward, False, self.steps >= self.length, info

    def render(self) -> np.ndarray:
        """The present frame, uint8 (H, W, 3)."""
        if self.view is None:
            self.view = View(self.simulator.sim.model._model, self.spec_of_frames, self.scene.close)
        return self.view.draw(self.simulator.sim.data._data)

    def _state(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        holds = self.simulator._check_grasp(self.simulator.robots[0].gripper, self.scene.grasp)
        places = [seen[name] for name in self.scene.places]
        return np.concatenate([seen["robot0_eef_pos"], [float(holds)], *places]).astype(np.float32)

    def _observe(self, seen: Mapping[str, np.ndarray]) -> tuple[np.ndarray, Info]:
        state = self._state(seen)
        return (self.render() if self.pixels else state), {"state": state}

    def close(self) -> None:
        """Free the pictures' context, then the simulator."""
        if self.view is not None:
            self.view.close()
        self.simulator.close()
