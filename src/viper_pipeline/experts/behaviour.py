"""How an episode is acted: like an expert, like a clumsy one, at random, or not at all."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from viper_pipeline.core.config import Config
from viper_pipeline.experts.policies import Policy

Kind = Literal["expert", "noisy", "random", "idle"]
KINDS: tuple[Kind, ...] = ("expert", "noisy", "random", "idle")


class Behaviour(Config):
    """What varies between the episodes of one kind."""

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
    def _in_step(self) -> Behaviour:
        if len(self.noise) != len(self.replace):
            raise ValueError(f"noise has {len(self.noise)} levels, replace {len(self.replace)}: give as many of each")
        return self


def is_deterministic(index: int, share: float) -> bool:
    """Whether expert episode `index` takes mean actions: `share` of all episodes do, evenly spread."""
    return int((index + 1) * share + 1e-9) > int(index * share + 1e-9)


class Actor:
    """One episode's behaviour: state (D,) -> action (A,). Episodes of a kind differ by index and by seed."""

    def __init__(
        self,
        kind: Kind,
        index: int,
        seed: int,
        size: int,
        policy: Policy | None,
        idle: np.ndarray | None,
        behaviour: Behaviour,
    ) -> None:
        self.kind, self.size, self.policy = kind, size, policy
        self.idle = np.zeros(size, np.float32) if idle is None else np.asarray(idle, np.float32)
        self.deterministic = kind != "expert" or is_deterministic(index, behaviour.deterministic)
        levels = behaviour.expert_noise if kind == "expert" else behaviour.noise
        self.noise = levels[index % len(levels)]
        self.replace = behaviour.replace[index % len(behaviour.replace)]
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
