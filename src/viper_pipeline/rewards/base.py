"""Which rewards and exploration bonuses there are, and what one has to offer.

A reward is chosen by its name in `methods` of params.yaml, a bonus by `exploration.kind`. To add one: a file with a
class, a line in the table below, and a block in params.yaml. Nothing here imports torch, so that figures and the graph
can ask a reward for its label, its color and its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from viper_pipeline.core.config import Config
from viper_pipeline.core.registry import Registry
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.rewards.config import NoExplorationConfig

REWARDS = Registry(
    "reward",
    {
        "viper": "viper_pipeline.rewards.methods.viper:ViperMethod",
        "task_reward": "viper_pipeline.rewards.methods.task_reward:TaskRewardMethod",
        "task_reward_plain": "viper_pipeline.rewards.methods.task_reward:PlainTaskRewardMethod",
        "exploration": "viper_pipeline.rewards.methods.exploration:ExplorationMethod",
        "amp": "viper_pipeline.rewards.methods.amp:AMPMethod",
        "amp_multi": "viper_pipeline.rewards.methods.amp:MultiTaskAMPMethod",
    },
)
"""Name of a method -> a subclass of `RewardMethod`."""

EXPLORATION = Registry(
    "exploration bonus",
    {"rnd": "viper_pipeline.rewards.rnd:RND", "none": "viper_pipeline.rewards.base:NoExploration"},
)
"""`exploration.kind` -> a class with an attribute `Config`, a subclass of `ExplorationConfig`.

Its `Config` is a `BonusConfig`, unless it explores nothing. It is built as `Target(config, frame shape of the agent)`
and offers `config`, `to`, `bonus`, `update`, `state_dict` and `load_state_dict`; see `agents.base.Exploration`.
"""

Settings = Config
"""A block of params.yaml, read by the `Config` of the class that it belongs to."""
FrameShape = tuple[int, int, int]
"""(C, h, w) of the frames as the agent sees them."""


class NoExploration:
    """`exploration.kind: none`. Its configuration explores nothing, so it is never built."""

    Config = NoExplorationConfig


@dataclass(frozen=True)
class RewardContext:
    """Where an agent is trained: what a reward may need to know of it."""

    suite: str
    task: str
    device: str
    frame_spec: Callable[[str], FrameSpec]
    """A task of the suite -> how the frames are made that its agents see."""


class RewardMethod:
    """One of REWARDS: what an agent is trained on. Subclasses say what they read, and build the source of rewards."""

    label: ClassVar[str]
    """Its name in figures and tables."""
    color: ClassVar[str]
    """Its color in figures, `#RRGGBB`."""
    description: ClassVar[str]
    """A few words for the report's list of methods."""
    seed_label: ClassVar[str]
    """A word that the seeds of its runs are derived from; it never changes, so that results do not."""
    Config: ClassVar[type[Config] | None] = None
    """Schema of its own block in a suite's parameters; None: it has none."""
    block: ClassVar[str] = ""
    """The name of that block. Several methods may share one."""
    bonus: ClassVar[bool] = True
    """Whether its agents get the suite's exploration bonus, too: all do, unless the method's name says otherwise."""

    def inputs(self, block: Mapping[str, Any], suite: str, task: str, tasks: Sequence[str]) -> dict[str, str]:
        """Argument -> the dataset that an agent of `task` reads, beside the environment and `block`.

        block: the suite's parameters. tasks: every task that models learn.
        """
        return {}

    def parts(self, block: Mapping[str, Any]) -> dict[str, str]:
        """Registered parts whose code it runs, by the keyword of their registry, such as `model`: `videogpt`."""
        return {}

    def build(
        self, context: RewardContext, settings: Settings | None, inputs: Mapping[str, Any]
    ) -> Callable[[FrameShape], Any] | None:
        """Return what makes the source of rewards, given the frame shape of an agent; None: every reward is 0.

        settings: its own block. inputs: the datasets of `inputs`, loaded, and the names of `parts`.

        What is made is an `agents.base.RewardSource`. It is made right after the agent, whose weights are drawn first,
        so the initial weights of a reward that learns follow from the seed of the run.
        """
        raise NotImplementedError


class StoredReward:
    """A source whose rewards are computed as frames arrive, and that learns nothing: the base of most.

    A subclass needs `step(frames, true_rewards)`; see `agents.base.RewardSource`.
    """

    window = 0

    def start(self, frames: np.ndarray) -> None:
        """All environments begin episodes with frames (E, H, W, C)."""

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` alone begins a new episode with frame (H, W, C)."""

    def step_metrics(self) -> dict[str, np.ndarray]:
        """More numbers (E,) of the last step, for the learning curve."""
        return {}

    def begin(self, preprocess: Callable[[np.ndarray], np.ndarray]) -> None:
        """Learning begins; preprocess: frames (T, H, W, C) -> as the agent sees them."""

    def rewards(self, windows: np.ndarray) -> np.ndarray:
        """Never called: rewards are those of `step`."""
        raise NotImplementedError

    def update(self, windows: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
        """Never called: nothing is learned."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Nothing is learned."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""
