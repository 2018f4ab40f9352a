"""Tasks that need a grasp: take_lid_off_saucepan, take_umbrella_out_of_umbrella_stand, lift, stack.

What is held is held by friction alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from viper_pipeline.envs.tabletop.tasks import OPEN, SHUT, Command, TabletopTask, pick, put, spread, towards

if TYPE_CHECKING:
    from mujoco import MjData, MjModel

    from viper_pipeline.envs.tabletop.tasks import Simulation

HALF = 0.025
"""Half the edge of a cube."""
CUBE = """
<body name="{name}">
  <freejoint/>
  <geom name="{name}" type="box" size=".025 .025 .025" mass=".08" rgba="{rgba}"/>
  <site name="{name}"/>
</body>
"""


def raised(hand: np.ndarray, height: float) -> Command:
    """Straight up, shut."""
    return np.array([0, 0, height - hand[2]]), SHUT


def carried(hand: np.ndarray, holds: bool, thing: np.ndarray, rest: float) -> bool:
    """Whether the thing is in the hand; contacts flicker, a thing above its rest at the hand's place does not."""
    return bool(holds) or (thing[2] > rest and float(np.linalg.norm(hand - thing)) < 0.03)


class Lift(TabletopTask):
    """Lift a cube 10 cm off the table."""

    things = CUBE.format(name="cube", rgba=".1 .65 .2 1")
    places = ("cube",)
    matters = ("cube",)
    grasp = "cube"

    def place(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """The cube, anywhere on the table."""
        x, y = rng.uniform([-0.08, -0.18], [0.17, 0.18])
        put(model, data, "cube", (x, y, HALF), rng.uniform(-0.4, 0.4))

    def success(self, now: Simulation) -> bool:
        """The cube is held, 10 cm above where it lay."""
        return bool(now.things()[0, 2] > HALF + 0.10 and now.holds())

    def waypoint(self, hand: np.ndarray, holds: bool, places: np.ndarray) -> Command:
        """Pick it up and hold it high."""
        if carried(hand, holds, places[0], HALF + 0.01):
            return raised(hand, HALF + 0.16)
        return pick(hand, places[0])


class Stack(TabletopTask):
    """Put the green cube on the yellow one."""

    things = CUBE.format(name="cube", rgba=".1 .65 .2 1") + CUBE.format(name="base", rgba=".9 .75 .1 1")
    places = ("cube", "base")
    matters = ("cube", "base")
    grasp = "cube"

    def place(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """Two cubes, at least 12 cm apart."""
        low, high = [-0.08, -0.17], [0.15, 0.17]
        base = rng.uniform(low, high)
        cube = spread(rng, lambda at: float(np.linalg.norm(at - base)) > 0.12, low, high)
        put(model, data, "base", (*base, HALF), rng.uniform(-0.4, 0.4))
        put(model, data, "cube", (*cube, HALF), rng.uniform(-0.4, 0.4))

    def success(self, now: Simulation) -> bool:
        """One cube rests on the other and is let go."""
        off = np.abs(np.subtract(*now.things()) - [0, 0, 2 * HALF])
        return bool(off[:2].max() < HALF and off[2] < 0.01 and not now.holds())

    def waypoint(self, hand: np.ndarray, holds: bool, places: np.ndarray) -> Command:
        """Pick it up, carry it over, let go, leave upwards."""
        cube, there = places[0], places[1] + [0, 0, 2 * HALF + 0.003]
        off = np.abs(cube - there)
        if off[:2].max() < 0.02 and off[2] < 0.012:
            return np.array([0, 0, 0 if holds else there[2] + 0.10 - hand[2]]), OPEN
        if carried(hand, holds, cube, HALF + 0.01):
            return towards(cube, there, 0.08), SHUT
        return pick(hand, cube)


class TakeLidOffSaucepan(TabletopTask):
    """Lift a saucepan's lid by its knob."""

    things = """
    <body name="pan">
      <geom type="cylinder" size=".068 .03" pos="0 0 .03" rgba=".35 .37 .42 1"/>
      <geom class="seen" type="cylinder" size=".058 .002" pos="0 0 .0595" rgba=".08 .08 .1 1"/>
      <geom type="capsule" size=".01" fromto=".03 -.06 .05 .06 -.15 .055" rgba=".12 .12 .14 1"/>
    </body>
    <body name="lid">
      <freejoint/>
      <geom name="lid" type="cylinder" size=".07 .005" mass=".08" rgba=".75 .8 .88 1"/>
      <geom name="knob" type="cylinder" size=".022 .02" pos="0 0 .025" mass=".02" rgba=".1 .25 .9 1"/>
      <site name="knob" pos="0 0 .027"/>
    </body>
    """
    places = ("knob",)
    matters = ("lid", "knob")
    grasp = "lid"

    def place(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """The saucepan, with its lid on."""
        x, y = rng.uniform([-0.04, -0.13], [0.14, 0.15])
        put(model, data, "pan", (x, y, 0.0), rng.uniform(-0.6, 0.6))
        put(model, data, "lid", (x, y, 0.0665))

    def success(self, now: Simulation) -> bool:
        """The knob is held, 10 cm above where it was."""
        return bool(now.things()[0, 2] > 0.0935 + 0.10 and now.holds())

    def waypoint(self, hand: np.ndarray, holds: bool, places: np.ndarray) -> Command:
        """Take the knob, and up."""
        if carried(hand, holds, places[0], 0.105):
            return raised(hand, 0.25)
        return pick(hand, places[0])


class TakeUmbrellaOut(TabletopTask):
    """Pull a folded umbrella out of its stand, upwards."""

    things = """
    <body name="stand">
      <geom type="box" size=".04 .04 .005" pos="0 0 .005" rgba=".45 .28 .15 1"/>
      <geom type="box" size=".004 .04 .04" pos=".036 0 .045" rgba=".5 .32 .18 1"/>
      <geom type="box" size=".004 .04 .04" pos="-.036 0 .045" rgba=".5 .32 .18 1"/>
      <geom type="box" size=".04 .004 .04" pos="0 .036 .045" rgba=".55 .35 .2 1"/>
      <geom type="box" size=".04 .004 .04" pos="0 -.036 .045" rgba=".55 .35 .2 1"/>
    </body>
    <body name="umbrella">
      <freejoint/>
      <geom name="canopy" type="cylinder" size=".024 .06" pos="0 0 .06" mass=".06" rgba=".15 .2 .75 1"/>
      <geom type="cylinder" size=".009 .02" pos="0 0 .14" mass=".01" rgba=".2 .2 .22 1"/>
      <geom name="handle" type="cylinder" size=".022 .02" pos="0 0 .175" mass=".02" rgba=".95 .6 .1 1"/>
      <site name="handle" pos="0 0 .177"/>
      <site name="tip"/>
    </body>
    """
    places = ("handle", "tip")
    matters = ("canopy", "handle")
    grasp = "umbrella"
    settle = 100

    def place(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """The stand, with the umbrella in it."""
        x, y = rng.uniform([-0.06, -0.15], [0.14, 0.15])
        put(model, data, "stand", (x, y, 0.0), rng.uniform(-0.6, 0.6))
        put(model, data, "umbrella", (x, y, 0.011))

    def success(self, now: Simulation) -> bool:
        """The umbrella is held, its tip above the stand."""
        return bool(now.things()[1, 2] > 0.095 and now.holds())

    def waypoint(self, hand: np.ndarray, holds: bool, places: np.ndarray) -> Command:
        """Take the handle, and up."""
        if carried(hand, holds, places[0], 0.198):
            return raised(hand, 0.32)
        return pick(hand, places[0], 0.05)
