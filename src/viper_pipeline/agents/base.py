"""The contract of an agent: what the training loop needs of it, which agents there are, and how long a run lasts.

An agent (`Agent`) learns from a replay and hands out policies (`AgentPolicy`) that act. Rewards are not the agent's
business: they come from a `RewardStream`, an `Exploration` bonus or a `Prior`, whose contracts stand here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np
from pydantic import Field
from torch import Tensor

from viper_pipeline.agents.replay import Replay
from viper_pipeline.core.config import Config
from viper_pipeline.core.registry import Registry
from viper_pipeline.training.checkpoints import StateDict

AGENTS = Registry(
    "agent",
    {
        "drq": "viper_pipeline.agents.drq:DrQ",
        "dreamer": "viper_pipeline.agents.dreamer.agent:Dreamer",
        "dqn": "viper_pipeline.agents.dqn:DQN",
    },
)
"""Agents by name; each is a class like `AgentClass`."""


class TrainingBatch(Protocol):
    """A training batch. Intrinsic rewards and AMP relabel `reward` at sampling time; other fields are the agent's."""

    @property
    def reward(self) -> np.ndarray:
        """Rewards (N,) float32."""

    @property
    def windows(self) -> np.ndarray:
        """(N, n, window, *frame_shape) uint8: the last `window` frames up to each of n steps, if asked for."""

    @property
    def places(self) -> np.ndarray:
        """(N, n) int64: where the frames that the rewards of n steps belong to are in the replay."""

    def with_reward(self, reward: np.ndarray) -> Self:
        """Copy with new rewards (N,)."""

    def relabel(self, reward_fn: Callable[[np.ndarray], np.ndarray]) -> Self:
        """Copy with rewards computed from `windows`; reward_fn: (M, window, *frame_shape) -> (M,)."""

    def add_rewards(self, rewards: np.ndarray) -> Self:
        """Copy with the rewards (N, n) of n steps added, discounted as the batch discounts its own."""


class AgentPolicy(Protocol):
    """An agent acting in E environments, with its memory of their running episodes. Frames are preprocessed.

    Actions are float32 in [-1, 1]. Discrete actions are one-hot: 1 for the chosen one, -1 for the others.
    """

    def start(self, i: int, frame: np.ndarray, seed: int = 0) -> None:
        """Environment `i` starts an episode with `frame`.

        seed: of whatever the policy draws in this episode beside its actions, where it acts without noise.
        """

    def push(self, frames: np.ndarray) -> None:
        """Every environment reached its next frame, (E, *frame_shape)."""

    def act(self, noise: np.ndarray | None = None) -> np.ndarray:
        """Actions (E, A); called once per frame.

        noise: standard normal numbers (E, A) by which the action is sampled; None: the deterministic policy.
        """


class Agent(Protocol):
    """Learns to act from replayed experience. Frames are uint8."""

    frame_shape: tuple[int, int, int]
    """(C, h, w) of preprocessed frames."""

    def to(self, device: str) -> Self:
        """Move to a device; returns itself."""

    def preprocess(self, frames: np.ndarray) -> np.ndarray:
        """Frames (E, H, W, C) of the environment -> frames (E, *frame_shape) as the replay stores them."""

    def policy(self, envs: int) -> AgentPolicy:
        """A policy for `envs` environments whose episodes are about to start. It follows the agent's updates."""

    def prepare(self, replay: Replay) -> None:
        """Called once, between two rounds, after the random steps; may rewrite the frames of `replay`."""

    def sample(self, replay: Replay, rng: np.random.Generator, window: int = 0) -> TrainingBatch:
        """Sample a batch for one update; window: frames per window in `TrainingBatch.windows`, 0 for none."""

    def update(self, batch: Any) -> dict[str, Tensor]:
        """One training step on a batch of its own `sample` -> metrics, as detached scalars (left on the device)."""

    def schedule(self, progress: float) -> None:
        """Set what changes in the course of training, such as learning rates; called before every update.

        progress: the fraction (0 to 1) of training that is done.
        """

    def weights(self) -> dict[str, Tensor]:
        """The weights of the deterministic policy, by name."""

    def state_dict(self) -> StateDict:
        """Everything a resumed run needs: weights, optimizers, counters."""

    def load_state_dict(self, state: StateDict) -> object:
        """Restore a `state_dict`."""


class AgentClass(Protocol):
    """What `AGENTS` holds. What an agent can do is declared on the class and switched on by keyword."""

    Config: type[AgentConfig]
    continuous: bool
    """Whether it can act with continuous actions."""
    discrete: bool
    """Whether it can choose among discrete actions."""
    curious: bool
    """Whether it can explore by its own intrinsic reward; others get an `Exploration` bonus."""

    def __call__(
        self, config: Any, frame_shape: tuple[int, int, int], actions: int, *, discrete: bool, curious: bool
    ) -> Agent:
        """Build one agent.

        config: an instance of its `Config`. frame_shape: (H, W, C) of the environment's frames.
        actions: dimensions of an action, or the number of discrete actions.
        A class that is `curious` gets `rewarded=False` as well if its intrinsic reward is all there is.

        Raises BadParams for settings that do not fit the frames, and for an ability that the class does not declare.
        """


class RewardSource(Protocol):
    """Where an agent's rewards come from; r_t belongs to (x_t, a_t, x_{t+1}).

    With `window` 0, rewards are those of `step`, stored in the replay as the frames arrive. Otherwise the source learns
    beside the agent: each sampled batch is relabeled by `rewards`, and then given to `update`.
    """

    window: int
    """Frames, up to the one that a reward belongs to, that `rewards` sees; 0: it is never called."""

    def start(self, frames: np.ndarray) -> None:
        """All environments begin episodes with frames (E, H, W, C)."""

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` alone begins a new episode with frame (H, W, C)."""

    def step(self, frames: np.ndarray, true_rewards: np.ndarray) -> np.ndarray:
        """Rewards (E,) float32 of the transitions that led to frames (E, H, W, C).

        true_rewards: the environments' own (E,); used by the method `task_reward` alone.
        """

    def steps(self, frames: np.ndarray, true_rewards: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """T steps at once: frames (T, E, H, W, C), true_rewards (T, E) -> rewards, and `step_metrics`, (T, E) each."""

    def step_metrics(self) -> dict[str, np.ndarray]:
        """More numbers (E,) of the last step, for the learning curve."""

    def begin(self, preprocess: Callable[[np.ndarray], np.ndarray]) -> None:
        """Learning begins, or goes on after a checkpoint.

        preprocess: frames (T, H, W, C) -> frames (T, *frame_shape) as the agent sees them.
        """

    def rewards(self, windows: np.ndarray) -> np.ndarray:
        """windows (B, window, *frame_shape) uint8 -> rewards (B,) float32."""

    def update(self, windows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """One step of learning on the agent's windows (B, window, *frame_shape) -> detached scalars."""

    def state_dict(self) -> StateDict:
        """What it has learned; episodes are not in it, for checkpoints are written between them."""

    def load_state_dict(self, state: StateDict) -> Any:
        """Undo `state_dict`."""


class BonusSettings(Protocol):
    """What `rewards.base.BonusConfig` says of a bonus."""

    @property
    def batch_size(self) -> int | None:
        """Frames per update of the bonus; None: as many as a batch of the agent has returns."""

    @property
    def update_every(self) -> int:
        """Batches of the agent per update of the bonus."""

    def weight_at(self, progress: float) -> float:
        """Weight of the bonus; progress: the fraction (0 to 1) of training that is done."""


class Exploration(Protocol):
    """A bonus for arriving at frames that are new."""

    def to(self, device: str) -> Exploration:
        """Itself, moved."""

    @property
    def config(self) -> BonusSettings:
        """Its weight, and how often and on how many frames it is trained."""

    def bonus(self, frames: np.ndarray) -> np.ndarray:
        """frames (B, *frame_shape) uint8 -> unweighted bonus (B,) float32, at least 0; learns nothing.

        It is kept until the bonus has had a tenth more updates than when it was computed.
        """

    def update(self, frames: np.ndarray) -> dict[str, Tensor]:
        """One step of learning on frames (B, *frame_shape) uint8 -> detached scalars."""

    def state_dict(self) -> StateDict:
        """What it has learned."""

    def load_state_dict(self, state: StateDict) -> Any:
        """Undo `state_dict`."""


class RunConfig(Config):
    """Length of an agent's training and evaluation. Steps are agent steps, summed over the environments."""

    steps: int = Field(gt=0, description="agent steps of training")
    envs: int = Field(1, gt=0, description="environments that are stepped together")
    processes: bool = Field(
        False, description="one process per environment: the same results, sooner where cores are free"
    )
    round_steps: int = Field(gt=0, description="steps per environment and round; then all episodes are cut")
    final_round_steps: int | None = Field(
        None, gt=0, description="the same at the end of training, reached linearly; null: as in the beginning"
    )
    noise_correlation: float = Field(
        0.0, ge=0, lt=1, description="of the exploration noise from one step to the next; 0: white, as usual"
    )
    random_steps: int = Field(
        1000, ge=0, description="steps of random actions before learning; rounded up to whole rounds"
    )
    update_every: int = Field(
        1,
        gt=0,
        description="steps of each environment between two groups of updates. Frames of these steps are rewarded "
        "together, and can be learned from after them; the policy stands still meanwhile",
    )
    updates_per_step: float = Field(1.0, gt=0, description="updates per agent step after these")
    capacity: int = Field(1_000_000, gt=0, description="frames the replay holds")
    eval_every: int = Field(gt=0, description="agent steps between evaluations")
    eval_episodes: int = Field(5, gt=0, description="episodes per evaluation during training")
    final_episodes: int = Field(30, gt=0, description="episodes of the final evaluation, which is reported")
    checkpoint_every: int = Field(2000, gt=0, description="agent steps between checkpoints")

    def round_length(self, step: int) -> int:
        """Steps per environment in a round that starts after `step` steps.

        Short rounds show more episode starts, long ones more of what comes late.
        """
        first, last = self.round_steps, self.final_round_steps or self.round_steps
        return round(first + (last - first) * step / self.steps)


class AgentConfig(Config):
    """What the configuration of every agent has."""

    runs: RunConfig | None = Field(
        None, description="instead of the suite's `runs`, where this agent needs other numbers of steps and updates"
    )
    average: float = Field(
        0.0, ge=0, lt=1, description="decay of the moving average of the policy, which is evaluated; 0: none"
    )
