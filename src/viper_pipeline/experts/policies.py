"""Acting: a trained actor as a few NumPy matrices, light to send to other processes and to run there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from viper_pipeline.core.config import Config
from viper_pipeline.core.registry import Registry


class Policy(Protocol):
    """Anything that acts on states; it must survive pickling, for it is sent to recording processes."""

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """States (E, D) -> actions (E, A), float32 in [-1, 1]."""


@dataclass(frozen=True)
class MlpPolicy:
    """A Gaussian actor: `tanh(N(mean, std))` if `squash` (SAC), else the sample clipped to [-1, 1] (PPO)."""

    hidden: tuple[tuple[np.ndarray, np.ndarray], ...]
    mean: tuple[np.ndarray, np.ndarray]
    log_std: tuple[np.ndarray, np.ndarray]
    activation: str
    squash: bool
    centre: np.ndarray
    scale: np.ndarray

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """States (E, D) -> actions (E, A), float32 in [-1, 1]."""
        x = np.clip((np.asarray(states, np.float32) - self.centre) * self.scale, -1e6, 1e6)
        for weight, bias in self.hidden:
            x = x @ weight.T + bias
            x = np.maximum(x, 0) if self.activation == "relu" else np.tanh(x)
        action = x @ self.mean[0].T + self.mean[1]
        if not deterministic:
            spread = np.exp(np.clip(x @ self.log_std[0].T + self.log_std[1], -20, 2))
            action = action + spread * rng.standard_normal(action.shape, np.float32)
        return np.tanh(action) if self.squash else np.clip(action, -1, 1)


def policy_from(config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> MlpPolicy:
    """Rebuild the actor from an oracle's config and weights (names as written by `learner.actor_tensors`)."""

    def layer(name: str) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(arrays[f"{name}.weight"], np.float32), np.asarray(arrays[f"{name}.bias"], np.float32)

    return MlpPolicy(
        hidden=tuple(layer(f"hidden.{i}") for i in range(config["hidden_layers"])),
        mean=layer("mean"),
        log_std=layer("log_std"),
        activation=config["activation"],
        squash=config["squash"],
        centre=np.asarray(arrays["states.centre"], np.float32),
        scale=np.asarray(arrays["states.scale"], np.float32),
    )


ORACLES = Registry("oracle", {"sb3": "viper_pipeline.experts.sb3:train_oracle"})


FORMAT = "viper planner 1"


class PlannerConfig(Config):
    """An expert that is not learned: the planner that comes with the suite."""

    algorithm: Literal["planner"] = "planner"


@dataclass(frozen=True)
class Planned:
    """A policy for environments whose episodes are planned already; what it does changes nothing."""

    actions: int

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """States (E, D) -> zeros (E, A)."""
        return np.zeros((len(states), self.actions), np.float32)
