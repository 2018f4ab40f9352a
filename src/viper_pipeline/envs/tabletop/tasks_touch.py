"""Tasks that a touch does: reach_target, push_button, lamp_on, toilet_seat_down."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from viper_pipeline.envs.tabletop.tasks import (
    OPEN,
    SHUT,
    START,
    Command,
    Simulation,
    TabletopTask,
    put,
    spread,
    towards,
)

if TYPE_CHECKING:
    from mujoco import MjData, MjModel

PRESSED = -0.008
"""Metres below its rest at which a button counts as pressed."""
BUTTON = """
<body name="button" pos="{place}" gravcomp="1">
  <joint name="button" type="slide" axis="0 0 1" range="-.014 0" stiffness="150" damping="3" armature=".02"/>
  <geom name="button" class="part" type="cylinder" size="{radius} .016" mass=".03" rgba="{rgba}"/>
  <site name="button" pos="0 0 .016"/>
</body>
"""


class ReachTarget(TabletopTask):
    """Put the hand where the ball is, anywhere over the table."""

    things = """
    <body name="ball">
      <geom name="ball" class="seen" type="sphere" size=".03" rgba=".85 .1 .75 1"/>
      <site name="ball"/>
    </body>
    """
    places = ("ball",)
    matters = ("ball",)
    settle = 1

    def place(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """The ball, at least 18 cm from where hands begin."""
        place = spread(
            rng, lambda at: float(np.linalg.norm(at - START)) > 0.18, [-0.06, -0.18, 0.05], [0.16, 0.18, 0.26]
        )
        put(model, data, "ball", tuple(place))

    def success(self, now: Simulation) -> bool:
        """The middle between the finger tips is in the ball."""
        return float(np.linalg.norm(now.things()[0] - now.place())) < 0.025

    def waypoint(self, hand: np.ndarray, holds: bool, places: np.ndarray) -> Command:
        """Straight there."""
        return places[0] - hand, OPEN


class PushButton(TabletopTask):
    """Press the button of a box. It turns green."""

    things = (
        """<body name="box"><geom type="box" size=".06 .06 .015" pos="0 0 .015" rgba=".3 .3 .33 1"/>"""
        + BUTTON.format(place="0 0 .04", radius=".034", rgba=".1 .25 .9 1")
        + "</body>"
    )
    places = ("button",)
    matters: ClassVar[tuple[str, ...]] = ("button",)

    def place(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """The box, anywhere on the table."""
        x, y = rng.uniform([-0.06, -0.17], [0.16, 0.17])
        put(model, data, "box", (x, y, 0.0), rng.uniform(-0.7, 0.7))

    def success(self, now: Simulation) -> bool:
        """The button is down."""
        return bool(now.data.joint("button").qpos[0] < PRESSED)

    def show(self, model: MjModel, done: bool) -> None:
        """Blue before, green after."""
        model.geom("button").rgba = (0.1, 0.9, 0.2, 1) if done else (0.1, 0.25, 0.9, 1)

    def waypoint(self, hand: np.ndarray, holds: bool, places: np.ndarray) -> Command:
        """From above, with a shut gripper."""
        return towards(hand, places[0] + [0, 0, -0.005], 0.08), SHUT


class LampOn(PushButton):
    """Press the button on a lamp's foot. The lamp lights up."""

    things = (
        """<body name="box">
          <geom type="box" size=".045 .13 .01" pos="0 0 .01" rgba=".3 .3 .33 1"/>
          <geom type="cylinder" size=".012 .09" pos="0 .085 .1" rgba=".55 .55 .6 1"/>
          <geom name="bulb" type="sphere" size=".042" pos="0 .085 .22"/>"""
        + BUTTON.format(place="0 -.085 .032", radius=".03", rgba=".1 .25 .9 1")
        + "</body>"
    )
    matters = ("button", "bulb")

    def place(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """The lamp, a little turned."""
        x, y = rng.uniform([-0.04, -0.09], [0.15, 0.09])
        put(model, data, "box", (x, y, 0.0), rng.uniform(-0.3, 0.3))

    def show(self, model: MjModel, done: bool) -> None:
        """The bulb: dark before, bright after."""
        model.geom("bulb").rgba = (1, 0.95, 0.3, 1) if done else (0.22, 0.22, 0.25, 1)


class ToiletSeatDown(TabletopTask):
    """Fold a toilet's seat down from behind."""

    things = """
    <body name="toilet">
      <geom type="cylinder" size=".065 .05" pos="0 0 .05" rgba=".92 .93 .95 1"/>
      <geom class="seen" type="cylinder" size=".045 .002" pos="0 0 .1" rgba=".2 .22 .25 1"/>
      <geom type="box" size=".025 .08 .075" pos="-.14 0 .075" rgba=".92 .93 .95 1"/>
      <geom type="box" size=".03 .05 .04" pos="-.085 0 .04" rgba=".85 .86 .88 1"/>
      <site name="bowl" pos="0 0 .1"/>
      <body name="seat" pos="-.065 0 .106">
        <joint name="seat" axis="0 -1 0" range="0 1.9" damping=".05" frictionloss=".15"/>
        <geom name="seat" type="box" size=".066 .06 .006" pos=".07 0 0" mass=".2" rgba=".1 .35 .6 1"/>
        <geom class="seen" type="cylinder" size=".036 .0065" pos=".076 0 0" rgba=".05 .18 .32 1"/>
        <site name="hinge"/>
        <site name="rim" pos=".135 0 0"/>
      </body>
    </body>
    """
    places = ("rim", "hinge", "bowl")
    matters = ("seat",)

    def place(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """The toilet, facing away from the arm give or take 40 degrees, its seat leaning back."""
        x, y = rng.uniform([0.0, -0.13], [0.14, 0.13])
        put(model, data, "toilet", (x, y, 0.0), rng.uniform(-0.7, 0.7))
        data.joint("seat").qpos[0] = 1.9

    def success(self, now: Simulation) -> bool:
        """The seat lies on the bowl, give or take 9 degrees."""
        return bool(now.data.joint("seat").qpos[0] < 0.15)

    def waypoint(self, hand: np.ndarray, holds: bool, places: np.ndarray) -> Command:
        """Behind the seat's rim, push it over, follow it down."""
        rim, hinge, bowl = places
        ahead = (bowl - hinge) * [1, 1, 0]
        ahead /= np.linalg.norm(ahead)
        if rim[2] < hinge[2] + 0.012:  # it lies
            return np.array([0, 0, hinge[2] + 0.10 - hand[2]]), SHUT
        spot = hinge + 0.75 * (rim - hinge)
        off = hand - spot
        along = float(off @ ahead)
        across = float(np.linalg.norm((off - along * ahead)[:2]))
        if float((rim - hinge) @ ahead) > 0.03:  # beyond the vertical: from above
            return towards(hand, spot - [0, 0, 0.02], 0.04), SHUT
        if along < 0 and across < 0.03 and abs(off[2]) < 0.03:
            return 0.02 * ahead + (spot - hand) * [0, 0, 1] - (off - along * ahead) * [1, 1, 0], SHUT
        return towards(hand, spot - 0.045 * ahead, 0.10), SHUT
