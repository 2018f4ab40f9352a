"""What an agent is to the run loop, and which there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from pydantic import Field
from torch import Tensor

from viper_pipeline.agents.replay import Replay
from viper_pipeline.core.config import Config
from viper_pipeline.core.registry import Registry

AGENTS = Registry(
    "agent",
    {"drq": "viper_pipeline.agents.drq:DrQ", "dreamer": "viper_pipeline.agents.dreamer.agent:Dreamer"},
)
"""Each has an attribute `Config`, and is built as `Target(config, environment's frame shape, actions)`.

One that is `discrete` can press buttons and one that is `curious` can explore by itself; told to, by `discrete=True`
or `curious=True`, it does.
"""


class Batch(Protocol):
    """Some experience. Those who pay anew change `reward`; the rest is the agent's."""

    reward: np.ndarray
    arrived: np.ndarray
    windows: np.ndarray

    def with_reward(self, reward: np.ndarray) -> Batch:
        """The same experience, paid otherwise."""

    def repaid(self, pay: Callable[[np.ndarray], np.ndarray]) -> Batch:
        """The same experience, each step of it paid by its window: pay takes (N, window, *frame), gives (N,)."""


class Player(Protocol):
    """An agent at play in E environments, with what it remembers of their episodes. Frames are as the agent sees them.

    Actions are float32 in [-1, 1]; buttons are 1 for the one that is pressed, -1 for the others.
    """

    def start(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` begins an episode with `frame`."""

    def push(self, frames: np.ndarray) -> None:
        """Every environment arrived at a frame (E, *frame_shape)."""

    def act(self, noise: np.ndarray | None = None) -> np.ndarray:
        """Actions (E, A), once for each frame.

        noise: standard normal numbers (E, A) that make the choice; None: the deterministic policy.
        """


class Agent(Protocol):
    """Learns to act from replayed experience. Frames are uint8."""

    discrete: bool
    curious: bool
    frame_shape: tuple[int, int, int]

    def to(self, device: str) -> Agent:
        """Itself, moved."""

    def see(self, frames: np.ndarray) -> np.ndarray:
        """frames (E, H, W, C) of the environment -> frames (E, *frame_shape) as the agent sees them."""

    def player(self, envs: int) -> Player:
        """Itself at play in `envs` environments, whose episodes are about to begin."""

    def prepare(self, replay: Replay) -> None:
        """Called once, between two rounds, after the random steps; may rewrite the frames of `replay`."""

    def sample(self, replay: Replay, rng: np.random.Generator, window: int = 0) -> Batch:
        """Draw what one update needs; with `window`, also that many frames up to each frame that is paid for."""

    def update(self, batch: Any) -> dict[str, Tensor]:
        """One step of learning -> detached scalars (left on the device)."""

    def anneal(self, done: float) -> None:
        """Told before every update which share of training (0 to 1) lies behind."""

    def weights(self) -> dict[str, Tensor]:
        """What is needed to act deterministically, by name."""

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs: weights, optimisers, counters."""

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        """Undo `state_dict`."""


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

    def state_dict(self) -> dict[str, Any]:
        """What it has learned; episodes are not in it, for checkpoints are written between them."""

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        """Undo `state_dict`."""


class Exploration(Protocol):
    """A bonus for arriving at frames that are new."""

    def to(self, device: str) -> Exploration:
        """Itself, moved."""

    def explore(self, frames: np.ndarray, progress: float) -> np.ndarray:
        """frames (B, *frame_shape) uint8 -> weighted bonus (B,) float32; also trains the bonus on these frames.

        progress: the fraction (0 to 1) of training that is done.
        """

    def state_dict(self) -> dict[str, Any]:
        """What it has learned."""

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        """Undo `state_dict`."""


class RunConfig(Config):
    """How long an agent lives and how it is judged. Steps are agent steps, summed over the environments."""

    steps: int = Field(gt=0, description="agent steps of training")
    envs: int = Field(1, gt=0, description="environments that step together")
    processes: bool = Field(
        False, description="each environment in a process of its own: the same results, sooner where cores are free"
    )
    round_steps: int = Field(gt=0, description="steps an environment plays before all are cut and begin anew")
    final_round_steps: int | None = Field(
        None, gt=0, description="the same at the end of training, reached linearly; null: as in the beginning"
    )
    noise_correlation: float = Field(
        0.0, ge=0, lt=1, description="of the exploration noise of one step with that of the next; 0: white, as usual"
    )
    random_steps: int = Field(
        1000, ge=0, description="steps of random actions before learning; rounded up to whole rounds"
    )
    updates_per_step: float = Field(1.0, gt=0, description="updates for every agent step after these")
    capacity: int = Field(1_000_000, gt=0, description="frames the replay holds")
    eval_every: int = Field(gt=0, description="agent steps between evaluations")
    eval_episodes: int = Field(5, gt=0, description="episodes of an evaluation on the way")
    final_episodes: int = Field(30, gt=0, description="episodes of the one at the end, which is reported")
    checkpoint_every: int = Field(2000, gt=0, description="agent steps between checkpoints")

    def round_length(self, step: int) -> int:
        """Steps of a round that begins after `step` steps. Short ones see more beginnings, long ones more ends."""
        first, last = self.round_steps, self.final_round_steps or self.round_steps
        return round(first + (last - first) * step / self.steps)
