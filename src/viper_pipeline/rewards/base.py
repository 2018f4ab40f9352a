"""Which rewards and exploration bonuses there are, and what one has to offer.

A reward is chosen by its name in `methods` of params.yaml, a bonus by `exploration.kind`. To add one: a file with a
class, a line in the table below, and a block in params.yaml. Nothing here imports torch, so that figures and the graph
can ask a reward for its label, its color and its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from viper_pipeline.core.config import Config, ParamsBlock
from viper_pipeline.core.files import Json
from viper_pipeline.core.registry import Registry
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.training.checkpoints import StateDict


class ExplorationConfig(Config):
    """What every block `exploration` has; `kind` chooses the class that reads the rest."""

    kind: str = Field("rnd", description="exploration bonus of the agents: rnd, or none")

    @property
    def explores(self) -> bool:
        """False: no bonus, and agents that can explore by themselves do not."""
        return True


class NoExplorationConfig(ExplorationConfig):
    """`kind: none`; nothing else may be said."""

    kind: str = Field("none", description="no exploration bonus")

    @property
    def explores(self) -> bool:
        """No."""
        return False


class BonusConfig(ExplorationConfig):
    """The weight of a bonus, beta of Eq 6, which may change in the course of training."""

    weight: float = Field(1.0, ge=0, description="beta: weight of the bonus beside the reward (Table 4)")
    final_weight: float | None = Field(
        None, ge=0, description="beta at the end, reached linearly; null: as at the beginning"
    )
    final_at: float = Field(1.0, gt=0, le=1, description="fraction of training after which beta is final_weight")
    batch_size: int | None = Field(
        None, gt=0, description="frames per update of the bonus; null: as many as the agent's batch has returns"
    )
    update_every: int = Field(1, gt=0, description="updates of the agent per update of the bonus")

    def weight_at(self, progress: float) -> float:
        """Beta when a fraction `progress` (0 to 1) of training is done."""
        first, last = self.weight, self.final_weight
        return first if last is None else first + (last - first) * min(progress / self.final_at, 1.0)


class RNDConfig(BonusConfig):
    """Sizes of RND's two networks and weight of its bonus; the defaults are the paper's Table 4."""

    channels: tuple[int, ...] = Field((32, 64, 64), description="of the convolutions (Table 4)")
    kernels: tuple[int, ...] = Field((6, 4, 3), description="of the convolutions; not given in the paper")
    strides: tuple[int, ...] = Field((3, 2, 1), description="of the convolutions; not given in the paper")
    hidden: tuple[int, ...] = Field((512, 512), description="layers of the MLP (Table 4)")
    outputs: int = Field(512, gt=0, description="outputs of both networks; not given in the paper")
    learning_rate: float = Field(3e-4, gt=0, description="of Adam (Table 4)")
    clip: float = Field(5.0, gt=0, description="largest bonus, in running standard deviations")
    decay: float = Field(0.999, gt=0, lt=1, description="of the running standard deviation")


class AMPConfig(Config):
    """Sizes of the discriminator and weight of its penalty. The paper gives none; defaults are its code's."""

    window: int = Field(5, gt=1, description="consecutive frames that the discriminator sees at once")
    channels: tuple[int, ...] = Field((32, 64, 64), description="of the convolutions")
    kernels: tuple[int, ...] = Field((6, 4, 3), description="of the convolutions")
    strides: tuple[int, ...] = Field((3, 2, 1), description="of the convolutions")
    hidden: tuple[int, ...] = Field((512, 512), description="layers of the MLP")
    learning_rate: float = Field(1e-4, gt=0, description="of Adam")
    penalty: float = Field(
        0.5, ge=0, description="weight of the squared gradient at expert windows, summed over pixels"
    )
    low: float = Field(-2.0, description="smallest reward of a window")
    high: float = Field(2.0, description="largest reward of a window; the formula gives at most 1")
    batch_size: int = Field(64, gt=0, description="expert windows, and agent windows, per update of the discriminator")


class RatioConfig(Config):
    """Where the second class of the likelihood ratio comes from; the model's own block is `videogpt_ratio`."""

    negatives: Literal["random", "replay"] = Field(
        "random",
        description="what the class agent knows. random: the random baselines, for good; replay: these at first, then "
        "the agent's own recent episodes",
    )
    every: int = Field(2000, gt=0, description="replay: agent steps between two groups of updates")
    updates: int = Field(50, gt=0, description="replay: updates in a group")
    batch_size: int = Field(16, gt=1, description="replay: clips per update, half of them expert videos")
    learning_rate: float = Field(3e-4, gt=0, description="replay: of these updates")
    recent: int = Field(20_000, gt=0, description="replay: newest frames of the agent that the class learns from")


REWARDS = Registry(
    "reward",
    {
        "viper": "viper_pipeline.rewards.methods:ViperMethod",
        "viper_ratio": "viper_pipeline.rewards.methods:ViperRatioMethod",
        "viper_ratio_replay": "viper_pipeline.rewards.methods:FollowingRatioMethod",
        "task_reward": "viper_pipeline.rewards.methods:TaskRewardMethod",
        "task_reward_plain": "viper_pipeline.rewards.methods:PlainTaskRewardMethod",
        "exploration": "viper_pipeline.rewards.methods:ExplorationMethod",
        "amp": "viper_pipeline.rewards.methods:AMPMethod",
        "amp_multi": "viper_pipeline.rewards.methods:MultiTaskAMPMethod",
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

MethodConfig = Config
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

    def inputs(self, block: ParamsBlock, suite: str, task: str, tasks: Sequence[str]) -> dict[str, str]:
        """Argument -> the dataset that an agent of `task` reads, beside the environment and `block`.

        block: the suite's parameters. tasks: every task that models learn.
        """
        return {}

    def parts(self, block: ParamsBlock) -> dict[str, str]:
        """Registered parts whose code it runs, by the keyword of their registry, such as `model`: `videogpt`."""
        return {}

    def build(
        self, context: RewardContext, settings: MethodConfig | None, inputs: ParamsBlock
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

    def step(self, frames: np.ndarray, true_rewards: np.ndarray) -> np.ndarray:
        """frames (E, H, W, C), true rewards (E,) -> rewards (E,) float32 of the transitions that led to the frames."""
        raise NotImplementedError

    def steps(self, frames: np.ndarray, true_rewards: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """T steps, one after the other; a source that is faster on many frames overrides this."""
        rewards, metrics = [], []
        for now, true in zip(frames, true_rewards, strict=True):
            rewards.append(self.step(now, true))
            metrics.append(self.step_metrics())
        return np.stack(rewards), {name: np.stack([row[name] for row in metrics]) for name in metrics[0]}

    def step_metrics(self) -> dict[str, np.ndarray]:
        """More numbers (E,) of the last step, for the learning curve."""
        return {}

    def begin(self, preprocess: Callable[[np.ndarray], np.ndarray]) -> None:
        """Learning begins; preprocess: frames (T, H, W, C) -> as the agent sees them."""

    def rewards(self, windows: np.ndarray) -> np.ndarray:
        """Never called: rewards are those of `step`."""
        raise NotImplementedError

    def update(self, windows: np.ndarray, rng: np.random.Generator) -> Json:
        """Never called: nothing is learned."""
        raise NotImplementedError

    def state_dict(self) -> StateDict:
        """Nothing is learned."""
        return {}

    def load_state_dict(self, state: ParamsBlock) -> None:
        """Undo `state_dict`."""
