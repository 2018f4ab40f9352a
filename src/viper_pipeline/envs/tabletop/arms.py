"""The arms of the tabletop: what they look like, and the posture that puts their last link over the hand."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ASSETS = Path(__file__).parent / "assets"
DAMPING = 1e-3
"""Added to the diagonal of J Jᵀ, so that steps stay short where the arm is stretched."""
PULL = 0.05
"""Share of the way home that joints go where the hand's place leaves them free."""


@dataclass(frozen=True)
class Arm:
    """One arm of ASSETS and its gripper. The hand's place is the middle between the finger tips."""

    name: str
    base: tuple[float, float, float]
    """Where the foot stands, meters."""
    home: tuple[float, ...]
    """Angles of the joints from which the posture is sought, radians."""
    turn: tuple[tuple[float, ...], ...]
    """Attitude of the last link's flange while the hand points down, 3 x 3."""
    reach: float
    """Height of the flange over the hand's place, meters."""
    palm: str
    """MJCF: the shapes of the hand without its fingers, relative to the hand's place."""
    finger: str
    """MJCF: color of the fingers."""


ARMS = {
    "panda": Arm(
        "panda",
        (-0.48, 0.0, -0.02),
        (0.0, 0.196, 0.0, -2.618, 0.0, 2.942, 0.785),
        ((0.7071, -0.7071, 0.0), (-0.7071, -0.7071, 0.0), (0.0, 0.0, -1.0)),
        0.112,
        '<geom class="hand" type="box" size=".032 .1 .025" pos="0 0 .078" rgba=".93 .95 .97 1"/>',
        ".3 .32 .35 1",
    ),
    "sawyer": Arm(
        "sawyer",
        (-0.5, -0.1, -0.02),
        (0.0, -1.18, 0.0, 2.18, 0.0, 0.57, 3.3161),
        ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
        0.112,
        '<geom class="hand" type="cylinder" size=".034 .062" zaxis="0 1 0" pos="0 0 .078" rgba=".75 .08 .1 1"/>',
        ".1 .1 .12 1",
    ),
}
"""Arm of a pair's name -> what it is."""


@cache
def _tree(name: str) -> ET.Element:
    return ET.parse(ASSETS / f"{name}.xml").getroot()


def meshes(arm: Arm) -> tuple[str, dict[str, bytes]]:
    """MJCF of the arm's meshes, and the contents of their files by name."""
    found = [element for element in _tree(arm.name).iter("mesh")]
    text = "".join(ET.tostring(element, encoding="unicode") for element in found)
    return text, {element.attrib["file"]: (ASSETS / element.attrib["file"]).read_bytes() for element in found}


def links(arm: Arm) -> str:
    """MJCF of the arm's links, each a mocap body: they are moved like a puppet, weigh nothing and touch nothing."""
    text = []
    for body in _tree(arm.name).iter("body"):
        shapes = "".join(ET.tostring(shape, encoding="unicode") for shape in body.findall("geom"))
        text.append(f'<body name="{body.attrib["name"]}" mocap="true">{shapes}</body>')
    return "".join(text).replace("<geom ", '<geom class="seen" ')


class Posture:
    """The arm's joints, which follow the hand by damped least squares. Only the picture depends on them."""

    def __init__(self, arm: Arm) -> None:
        import mujoco

        self.mujoco, self.arm = mujoco, arm
        self.model = mujoco.MjModel.from_xml_path(str(ASSETS / f"{arm.name}.xml"))
        self.data: Any = mujoco.MjData(self.model)
        self.base, self.turn = np.array(arm.base), np.array(arm.turn)
        self.home = np.array(arm.home)
        self.low, self.high = self.model.jnt_range.T
        self.jacobian = np.zeros((6, self.model.nv))

    def reset(self, hand: np.ndarray) -> None:
        """Begin at home and go to the hand's place (3,)."""
        self.data.qpos[:] = self.home
        self.follow(hand, 60)

    def follow(self, hand: np.ndarray, steps: int = 2) -> None:
        """Move the joints so that the flange is over the hand's place (3,)."""
        mujoco, data, jacobian = self.mujoco, self.data, self.jacobian
        wanted = hand - self.base
        wanted[2] += self.arm.reach
        for _ in range(steps):
            mujoco.mj_kinematics(self.model, data)
            mujoco.mj_comPos(self.model, data)
            mujoco.mj_jacSite(self.model, data, jacobian[:3], jacobian[3:], 0)
            turn = data.site_xmat[0].reshape(3, 3)
            axes = turn[:, 0], turn[:, 1], turn[:, 2]
            off = np.empty(6)
            off[:3] = wanted - data.site_xpos[0]
            off[3:] = 0.5 * sum(_cross(axis, self.turn[:, i]) for i, axis in enumerate(axes))
            home = PULL * (self.home - data.qpos)
            square = jacobian @ jacobian.T
            square.flat[::7] += DAMPING
            data.qpos += home + jacobian.T @ np.linalg.solve(square, off - jacobian @ home)
            np.clip(data.qpos, self.low, self.high, out=data.qpos)
        mujoco.mj_kinematics(self.model, data)

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Places (L, 3) and attitudes (L, 4) of the links, in the order of `links`."""
        return self.data.xpos[1:] + self.base, self.data.xquat[1:]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # np.cross takes ten times as long for two vectors
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
