"""Tasks of the tabletop: what a task is, the table of them, how hands move. A new task is a class and a line here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from viper_pipeline.core.registry import Registry

if TYPE_CHECKING:
    from viper_pipeline.envs.tabletop.simulation import Simulation

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
"""Where an expert's hand should move, (3,) metres, and the gripper."""


class TabletopTask(ABC):
    """What stands on the table, where, when the task is done, and how an expert does it. Objects hold nothing."""

    things: ClassVar[str]
    """MJCF of the things; the table's top is at z = 0, the arm stands at x = -0.5 and looks along x."""
    places: ClassVar[tuple[str, ...]]
    """Sites whose places are in the state and are told to `waypoint`, three metres each."""
    matters: ClassVar[tuple[str, ...]]
    """Shapes that a reward must see: at least five pixels wide in the first frame."""
    grasp: ClassVar[str] = ""
    """The body whose touch by both fingers the state and `success` call holding; "": none."""
    settle: ClassVar[int] = 20
    """Physics steps until what is loose has come to rest."""

    @abstractmethod
    def place(self, model: Any, data: Any, rng: np.random.Generator) -> None:
        """Put the things to random places; `put` helps."""

    @abstractmethod
    def success(self, now: Simulation) -> bool:
        """Whether the task is done in this state; the environment remembers that it once was."""

    @abstractmethod
    def waypoint(self, hand: np.ndarray, holds: bool, places: np.ndarray) -> Command:
        """What an expert does next, from the hand's place (3,), its hold and `places` (n, 3); it remembers nothing."""

    def show(self, model: Any, done: bool) -> None:  # noqa: B027 (most tasks show nothing)
        """Change what looks different once the task is done; by default nothing does."""


def put(model: Any, data: Any, body: str, place: tuple[float, float, float], yaw: float = 0.0) -> None:
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
