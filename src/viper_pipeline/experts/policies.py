"""Acting: policies as a few NumPy matrices, light to send to other processes, and how episodes vary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import Field, model_validator

from viper_pipeline.core.config import Config
from viper_pipeline.core.files import JsonView
from viper_pipeline.data.episode import Kind


class Policy(Protocol):
    """Anything that acts on states; it must survive pickling, for it is sent to recording processes."""

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """States (E, D) -> actions (E, A), float32 in [-1, 1]."""


Layer = tuple[np.ndarray, np.ndarray]
"""Weight (out, in) and bias (out,)."""


@dataclass(frozen=True)
class MlpPolicy:
    """A Gaussian actor: `tanh(N(mean, std))` if `squash` (SAC), else the sample clipped to [-1, 1] (PPO)."""

    hidden: tuple[Layer, ...]
    mean: Layer
    log_std: Layer
    activation: str
    squash: bool
    center: np.ndarray
    scale: np.ndarray

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """States (E, D) -> actions (E, A), float32 in [-1, 1]."""
        x = np.clip((np.asarray(states, np.float32) - self.center) * self.scale, -1e6, 1e6)
        for weight, bias in self.hidden:
            x = x @ weight.T + bias
            x = np.maximum(x, 0) if self.activation == "relu" else np.tanh(x)
        action = x @ self.mean[0].T + self.mean[1]
        if not deterministic:
            spread = np.exp(np.clip(x @ self.log_std[0].T + self.log_std[1], -20, 2))
            action = action + spread * rng.standard_normal(action.shape, np.float32)
        return np.tanh(action) if self.squash else np.clip(action, -1, 1)


def mlp_policy(config: JsonView, arrays: Mapping[str, np.ndarray]) -> MlpPolicy:
    """Rebuild a Gaussian actor from its config and weights. Raises KeyError if one is missing."""

    def layer(name: str) -> Layer:
        return np.asarray(arrays[f"{name}.weight"], np.float32), np.asarray(arrays[f"{name}.bias"], np.float32)

    return MlpPolicy(
        hidden=tuple(layer(f"hidden.{i}") for i in range(config["hidden_layers"])),
        mean=layer("mean"),
        log_std=layer("log_std"),
        activation=config["activation"],
        squash=config["squash"],
        center=np.asarray(arrays["states.centre"], np.float32),
        scale=np.asarray(arrays["states.scale"], np.float32),
    )


@dataclass(frozen=True)
class CategoricalPolicy:
    """A categorical actor: states (E, D) -> preferences (E, A), 1 for the choice among `numbers`, -1 else.

    It samples even when `deterministic`: the most likely action alone may wait for a button that is never pressed.
    """

    hidden: tuple[Layer, ...]
    logits: Layer
    center: np.ndarray
    scale: np.ndarray
    numbers: np.ndarray
    preferences: int

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """States (E, D) -> preferences (E, A), float32."""
        x = np.clip((np.asarray(states, np.float32) - self.center) * self.scale, -10, 10)
        for weight, bias in self.hidden:
            x = np.tanh(x @ weight.T + bias)
        choice = np.argmax(x @ self.logits[0].T + self.logits[1] + rng.gumbel(size=(len(x), len(self.numbers))), 1)
        preferences = np.full((len(x), self.preferences), -1.0, np.float32)
        preferences[np.arange(len(x)), self.numbers[choice]] = 1.0
        return preferences


def categorical_policy(config: JsonView, arrays: Mapping[str, np.ndarray]) -> CategoricalPolicy:
    """Rebuild a categorical actor from its config and weights. Raises KeyError if one is missing."""

    def layer(name: str) -> Layer:
        return arrays[f"{name}.weight"], arrays[f"{name}.bias"]

    return CategoricalPolicy(
        tuple(layer(f"hidden.{i}") for i in range(config["layers"])),
        layer("logits"),
        arrays["states.centre"],
        arrays["states.scale"],
        np.array(config["numbers"]),
        config["preferences"],
    )


@dataclass(frozen=True)
class ZeroPolicy:
    """For environments that act by themselves: a zero action leaves them alone."""

    size: int

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """States (E, D) -> zeros (E, size)."""
        return np.zeros((len(states), self.size), np.float32)


class Variation(Config):
    """How the episodes of one kind differ from each other."""

    deterministic: float = Field(
        0.25, ge=0, le=1, description="share of expert episodes that take the mean action; the others sample"
    )
    expert_noise: tuple[float, ...] = Field(
        (0.0,),
        min_length=1,
        description="expert: std of the noise on actions, taken in turn by episodes. The videos then show how an "
        "expert recovers, not only how it never errs",
    )
    noise: tuple[float, ...] = Field(
        (0.5, 1.0, 2.0),
        min_length=1,
        description="noisy: std of the noise on actions, taken in turn by episodes",
    )
    replace: tuple[float, ...] = Field(
        (0.0, 0.3, 0.6),
        min_length=1,
        description="noisy: share of actions replaced by random ones, in step with noise",
    )

    @model_validator(mode="after")
    def _in_step(self) -> Variation:
        if len(self.noise) != len(self.replace):
            raise ValueError(f"noise has {len(self.noise)} levels, replace {len(self.replace)}: give as many of each")
        return self


def is_deterministic(index: int, share: float) -> bool:
    """Whether expert episode `index` takes mean actions: `share` of all episodes do, evenly spread."""
    return int((index + 1) * share + 1e-9) > int(index * share + 1e-9)


class EpisodeActor:
    """Acts in one episode: state (D,) -> action (A,). Episodes of a kind differ by index and by seed."""

    def __init__(
        self,
        kind: Kind,
        index: int,
        seed: int,
        size: int,
        policy: Policy | None,
        idle: np.ndarray | None,
        variation: Variation,
    ) -> None:
        """size: of an action. policy: needed by kinds expert and noisy. idle: the action of idle episodes (A,)."""
        self.kind, self.size, self.policy = kind, size, policy
        self.idle = np.zeros(size, np.float32) if idle is None else np.asarray(idle, np.float32)
        self.deterministic = kind != "expert" or is_deterministic(index, variation.deterministic)
        levels = variation.expert_noise if kind == "expert" else variation.noise
        self.noise = levels[index % len(levels)]
        self.replace = variation.replace[index % len(variation.replace)]
        self.rng = np.random.default_rng(seed)

    def __call__(self, state: np.ndarray) -> np.ndarray:
        """The next action, float32 in [-1, 1]."""
        if self.kind == "idle":
            return self.idle
        if self.kind == "random" or (self.kind == "noisy" and self.rng.random() < self.replace):
            return self.rng.uniform(-1, 1, self.size).astype(np.float32)
        assert self.policy is not None
        action = self.policy(state[None], self.deterministic, self.rng)[0]
        if self.noise == 0:
            return action
        noise = self.noise * self.rng.standard_normal(self.size, np.float32)
        return np.clip(action + noise, -1, 1).astype(np.float32)
