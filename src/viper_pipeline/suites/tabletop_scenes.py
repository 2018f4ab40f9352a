"""What stands on robosuite's tables: the scenes of the suite `tabletop`, each with either arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Shot(NamedTuple):
    """A camera, in metres and degrees: where it is, what it looks at, how much it sees from top to bottom."""

    eye: tuple[float, float, float]
    aim: tuple[float, float, float]
    angle: float


TABLE = Shot((0.75, 0.0, 1.30), (-0.02, 0.0, 0.91), 30.0)
"""robosuite's agentview, brought so near that a cube is more than a few pixels wide."""


@dataclass(frozen=True)
class Scene:
    """A task, in robosuite's own names."""

    environment: str
    grasp: str
    """The shape that the hand should hold."""
    places: tuple[str, ...]
    """Observations of three metres each: what a script is told beside the hand's place."""
    close: Shot = TABLE
    options: Mapping[str, Any] = field(default_factory=dict)
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
ARMS = {"panda": "Panda", "sawyer": "Sawyer"}
TASKS = {f"{arm}_{scene}": (arm, scene) for arm in ARMS for scene in SCENES}
