"""Tasks of the tabletop, and the scene they are played in. A new task is a class and a line here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.registry import Registry, did_you_mean
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.envs.tabletop.arms import Arm, Posture, links, meshes

if TYPE_CHECKING:
    from mujoco import MjData, MjModel

TASKS = Registry(
    "tabletop task",
    {
        "reach_target": "viper_pipeline.envs.tabletop.tasks_touch:ReachTarget",
        "push_button": "viper_pipeline.envs.tabletop.tasks_touch:PushButton",
        "lamp_on": "viper_pipeline.envs.tabletop.tasks_touch:LampOn",
        "toilet_seat_down": "viper_pipeline.envs.tabletop.tasks_touch:ToiletSeatDown",
        "take_lid_off_saucepan": "viper_pipeline.envs.tabletop.tasks_grasp:TakeLidOffSaucepan",
        "take_umbrella_out_of_umbrella_stand": "viper_pipeline.envs.tabletop.tasks_grasp:TakeUmbrellaOut",
        "lift": "viper_pipeline.envs.tabletop.tasks_grasp:Lift",
        "stack": "viper_pipeline.envs.tabletop.tasks_grasp:Stack",
    },
)
"""Each target is a subclass of TabletopTask."""

OPEN, SHUT = -1.0, 1.0
Command = tuple[np.ndarray, float]
"""Where an expert's hand should move, (3,) meters, and the gripper."""


class TabletopTask(ABC):
    """What stands on the table, where, when the task is done, and how an expert does it. Objects hold nothing."""

    things: ClassVar[str]
    """MJCF of the things; the table's top is at z = 0, the arm stands at x = -0.5 and looks along x."""
    places: ClassVar[tuple[str, ...]]
    """Sites whose places are in the state and are given to `waypoint`, three meters each."""
    matters: ClassVar[tuple[str, ...]]
    """Shapes that a reward must see: at least five pixels wide in the first frame."""
    grasp: ClassVar[str] = ""
    """The body whose touch by both fingers the state and `success` call holding; "": none."""
    settle: ClassVar[int] = 20
    """Physics steps until what is loose has come to rest."""

    @abstractmethod
    def place(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """Put the things to random places; `put` helps."""

    @abstractmethod
    def success(self, now: Simulation) -> bool:
        """Whether the task is done in this state; the environment remembers that it once was."""

    @abstractmethod
    def waypoint(self, hand: np.ndarray, holds: bool, places: np.ndarray) -> Command:
        """What an expert does next, from the hand's place (3,), its hold and `places` (n, 3); it remembers nothing."""

    def show(self, model: MjModel, done: bool) -> None:  # noqa: B027 (most tasks show nothing)
        """Change what looks different once the task is done; by default nothing does."""


def put(model: MjModel, data: MjData, body: str, place: tuple[float, float, float], yaw: float = 0.0) -> None:
    """Put a body that is loose or fixed to the world to a place, turned about the vertical."""
    turn = [np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]
    number = model.body(body).id
    if model.body_jntnum[number]:
        start = model.jnt_qposadr[model.body_jntadr[number]]
        data.qpos[start : start + 7] = [*place, *turn]
    else:
        model.body_pos[number], model.body_quat[number] = place, turn


def spread(rng: np.random.Generator, fits: Callable[..., bool], low: list[float], high: list[float]) -> np.ndarray:
    """A random place between `low` and `high` that fits."""
    while True:
        place = rng.uniform(low, high)
        if fits(place):
            return place


def towards(thing: np.ndarray, place: np.ndarray, clearance: float) -> np.ndarray:
    """The way of `thing` (3,) to `place` (3,) through a funnel: the farther off sideways, the higher above.

    Below the funnel's wall it first rises, so that nothing is swept off the table.
    """
    miss = float(np.linalg.norm((place - thing)[:2]))
    way = place - thing
    way[2] += np.clip((miss - 0.01) * 4, 0, clearance)
    way[:2] *= np.clip(1 - (way[2] - 0.01) / 0.04, 0, 1)
    return way


def pick(hand: np.ndarray, thing: np.ndarray, clearance: float = 0.08) -> Command:
    """Over the thing, down, and shut."""
    off = np.abs(thing - hand)
    return towards(hand, thing, clearance), SHUT if off[:2].max() < 0.012 and off[2] < 0.012 else OPEN


TIMESTEP = 0.005
SUBSTEPS = 10
"""Physics steps of a control step, which so lasts 1/20 s."""
MOVE = 0.03
"""Metres by which an action of 1 moves the hand in a control step."""
LEAD = 0.04
"""Metres by which the place that the hand is sent to may be ahead of it; more would only press harder."""
LOW, HIGH = np.array([-0.22, -0.26, 0.018]), np.array([0.22, 0.26, 0.40])
"""Where the hand may be sent."""
START = np.array([-0.08, 0.0, 0.30])
"""Where the hand begins, give or take JITTER."""
JITTER = 0.02
OPENING = 0.04
"""Metres between a finger and the hand's middle when it is open."""
CAMERAS = ("front", "overhead")

SCENE = """
<mujoco>
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{timestep}" integrator="implicitfast" cone="elliptic" impratio="5"/>
  <statistic extent="1"/>
  <visual>
    <global offwidth="{size}" offheight="{size}"/>
    <quality shadowsize="{shadows}" offsamples="{samples}" numslices="12" numstacks="6" numquads="1"/>
    <headlight ambient=".35 .35 .35" diffuse=".35 .35 .35" specular="0 0 0"/>
    <map znear=".1" zfar="10"/>
  </visual>
  <default>
    <geom friction="1 .01 .001" solref=".01 1"/>
    <default class="seen"><geom contype="0" conaffinity="0" density="1"/></default>
    <default class="hand"><geom contype="3" conaffinity="3"/>
      <default class="finger"><geom type="box" friction="2 .05 .001" condim="4" priority="1" rgba="{finger}"/></default>
    </default>
    <default class="part"><geom contype="2" conaffinity="2"/></default>
  </default>
  <asset>{meshes}</asset>
  <worldbody>
    <light directional="true" dir="-.5 .4 -1" diffuse=".5 .5 .5" specular="0 0 0"/>
    <camera name="front" pos="1.0 0.26 0.72" xyaxes="-0.2516 0.9678 0.0000 -0.4515 -0.1174 0.8845" fovy="27"/>
    <camera name="overhead" pos="0 0 1.3" xyaxes="0 1 0 -1 0 0" fovy="30"/>
    <geom name="table" type="box" size=".75 .8 .02" pos="0 0 -.02" rgba=".76 .66 .52 1"/>
    <geom class="seen" type="box" size=".02 1.5 1" pos="-.8 0 .2" rgba=".55 .62 .66 1"/>
    {links}
    <body name="hand" gravcomp="1">
      <joint name="x" type="slide" axis="1 0 0" damping="60"/>
      <joint name="y" type="slide" axis="0 1 0" damping="60"/>
      <joint name="z" type="slide" axis="0 0 1" damping="60"/>
      {palm}
      <site name="hand"/>
      <body name="left" gravcomp="1">
        <joint name="left" type="slide" axis="0 1 0" range="0 {opening}" damping="20" armature=".1"/>
        <geom class="finger" size=".012 .008 .034" pos="0 .008 .019"/>
      </body>
      <body name="right" gravcomp="1">
        <joint name="right" type="slide" axis="0 -1 0" range="0 {opening}" damping="20" armature=".1"/>
        <geom class="finger" size=".012 .008 .034" pos="0 -.008 .019"/>
      </body>
    </body>
    {things}
  </worldbody>
  <actuator>
    <position joint="x" kp="2500" forcerange="-60 60"/>
    <position joint="y" kp="2500" forcerange="-60 60"/>
    <position joint="z" kp="2500" forcerange="-60 60"/>
    <position joint="left" kp="600" forcerange="-12 12"/>
    <position joint="right" kp="600" forcerange="-12 12"/>
  </actuator>
</mujoco>
"""


class Simulation:
    """MuJoCo's model and data of one pair of arm and task.

    dm_control holds and draws them: freeing one of its drawing contexts leaves those of others alone.
    `mujoco.Renderer` frees into whatever context is current; frames of others are noise from then on, and no error.
    """

    def __init__(self, arm: Arm, task: TabletopTask, frames: FrameSpec) -> None:
        import mujoco
        from dm_control.mujoco import Physics

        self.mujoco, self.task, self.frames = mujoco, task, frames
        shapes, files = meshes(arm)
        text = SCENE.format(
            timestep=TIMESTEP,
            size=frames.size,
            shadows=2048 if frames.shadows else 0,
            samples=4 if frames.antialiasing else 0,
            meshes=shapes,
            links=links(arm),
            palm=arm.palm,
            finger=arm.finger,
            opening=OPENING,
            things=task.things,
        )
        self.physics = Physics.from_xml_string(text, assets=files)
        self.model: Any = self.physics.model.ptr
        self.data: Any = self.physics.data.ptr
        self.posture = Posture(arm)
        self.camera: Any = None
        self.hand = self.model.joint("x").dofadr[0]
        """The first of five: the hand's three joints and the two fingers."""
        self.address = int(self.model.joint("x").qposadr[0])
        self.fingers = [self.model.body(name).id for name in ("left", "right")]
        self.held = self.model.body(task.grasp).id if task.grasp else -1
        self.sites = [self.model.site(name).id for name in task.places]
        self.target = np.zeros(3)

    def reset(self, rng: np.random.Generator) -> None:
        """Put the hand to its start and the things to random places; let what is loose come to rest."""
        self.mujoco.mj_resetData(self.model, self.data)
        self.task.place(self.model, self.data, rng)
        self.task.show(self.model, False)
        self.target = START + rng.uniform(-JITTER, JITTER, 3)
        self.data.qpos[self.address : self.address + 3] = self.target
        self.data.qpos[self.address + 3 : self.address + 5] = OPENING
        self.data.ctrl[:] = [*self.target, OPENING, OPENING]
        self.mujoco.mj_step(self.model, self.data, nstep=self.task.settle)
        self.data.time = 0.0
        self.mujoco.mj_forward(self.model, self.data)
        self.posture.reset(self.place())
        self._move_links()

    def step(self, action: np.ndarray) -> None:
        """One control step with an action (4,) in [-1, 1]: the way of the hand, and the gripper from open to shut."""
        place = self.place()
        sent = np.clip(self.target + MOVE * action[:3], LOW, HIGH)
        self.target = place + np.clip(sent - place, -LEAD, LEAD)
        self.data.ctrl[:3] = self.target
        if action[3] != 0:  # nothing said: as it was
            self.data.ctrl[3:5] = 0.0 if action[3] > 0 else OPENING
        self.mujoco.mj_step(self.model, self.data, nstep=SUBSTEPS)
        self.mujoco.mj_kinematics(self.model, self.data)
        self.posture.follow(self.place())
        self._move_links()

    def _move_links(self) -> None:
        self.data.mocap_pos[:], self.data.mocap_quat[:] = self.posture.places()

    def place(self) -> np.ndarray:
        """Where the hand is, (3,)."""
        return self.data.qpos[self.address : self.address + 3].copy()

    def opening(self) -> float:
        """How far the gripper is open, from 0 to 1."""
        return float(self.data.qpos[self.address + 3 : self.address + 5].sum()) / (2 * OPENING)

    def holds(self) -> bool:
        """Whether both fingers touch what the task wants held."""
        if self.held < 0 or not self.data.ncon:
            return False
        bodies = self.model.geom_bodyid[self.data.contact.geom]
        touched = bodies[(bodies == self.held).any(1)]
        return all((touched == finger).any() for finger in self.fingers)

    def things(self) -> np.ndarray:
        """Places of what the task names, (n, 3)."""
        return self.data.site_xpos[self.sites].copy()

    def draw(self, segmentation: bool = False) -> np.ndarray:
        """The picture, uint8 (H, W, 3); as `segmentation`, int32 (H, W, 2): number and type of what is seen.

        Raises BadParams for a camera that is not there, BadEnvironment without OpenGL.
        """
        if self.camera is None:
            self.camera = self._open()
        mujoco = self.mujoco
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        return np.ascontiguousarray(self.camera.render(segmentation=segmentation))

    def _open(self) -> Any:
        if self.frames.gl_backend == "disabled":
            raise BadEnvironment("MUJOCO_GL=disabled: the simulator runs but cannot draw; unset it to get frames")
        from dm_control.mujoco import Camera

        camera, size = self.frames.camera, self.frames.size
        name = CAMERAS[camera] if isinstance(camera, int) and 0 <= camera < len(CAMERAS) else camera
        if name not in CAMERAS:
            raise BadParams(f"frames.camera: there is no camera '{name}'{did_you_mean(str(name), CAMERAS)}")
        opened = Camera(self.physics, size, size, name, max_geom=200)
        opened.option.sitegroup[:] = 0
        for flag in (self.mujoco.mjtRndFlag.mjRND_SHADOW, self.mujoco.mjtRndFlag.mjRND_REFLECTION):
            opened.scene.flags[flag] = self.frames.shadows
        for flag in (self.mujoco.mjtRndFlag.mjRND_SKYBOX, self.mujoco.mjtRndFlag.mjRND_HAZE):
            opened.scene.flags[flag] = False
        return opened

    def close(self) -> None:
        """Free the drawing context."""
        self.camera = None
        self.physics.free()
