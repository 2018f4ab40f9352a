"""Experts that look ahead: they imagine many futures in the emulator and play the best (Bellemare et al. 2013).

No reward has to be learned and no memory to be read, so that they play any game whose score rises within seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np
from pydantic import Field, model_validator

from viper_pipeline.core.config import Config
from viper_pipeline.training.checkpoints import derive


class SearchConfig(Config):
    """An expert that is not learned. Longer and more futures cost time in proportion, see `imagined`."""

    algorithm: Literal["search"] = "search"
    futures: int = Field(24, gt=1, description="sequences of random actions imagined at a time; the last best is one")
    horizon: int = Field(24, gt=0, description="agent steps of each")
    hold: int = Field(3, gt=0, description="agent steps for which an action drawn is held: longer ways lead farther")
    follow: int = Field(4, gt=0, description="steps of the best future that are played before looking anew")
    gamma: float = Field(0.97, gt=0, le=1, description="discount per step: points soon are better than points late")

    @property
    def imagined(self) -> float:
        """Steps imagined for every step played."""
        return self.futures * self.horizon / self.follow

    @model_validator(mode="after")
    def _possible(self) -> SearchConfig:
        if self.follow > self.horizon:
            raise ValueError(f"follow {self.follow} is more than is imagined: horizon {self.horizon}")
        return self


class Searching(gymnasium.Wrapper):
    """An environment that plays itself: an action is only added to its own choice, and zeros leave it alone.

    env: acts by preferences (A,) among `numbers`, and can imagine: `imagine(plans (N, H)) -> scores, lives`, both
    (N, H), leaving the game as it was.
    """

    def __init__(self, env: gymnasium.Env, config: SearchConfig, seed: int = 0) -> None:
        super().__init__(env)
        self.config, self.rng = config, np.random.default_rng(derive(seed, "search"))
        self.numbers = np.asarray(env.get_wrapper_attr("numbers"))
        self.imagine: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] = env.get_wrapper_attr("imagine")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin a game; with `seed`, its futures are drawn by it."""
        if seed is not None:
            self.rng = np.random.default_rng(derive(seed, "search"))
        self.plan, self.since = self._drawn(1)[0], self.config.follow
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Play the next step of the best future known; preferences (A,) are added to it."""
        if self.since == self.config.follow:
            self._look_ahead()
        preferences = np.full(np.shape(action), -1.0, np.float32)
        preferences[self.numbers[self.plan[self.since]]] = 1.0
        self.since += 1
        return self.env.step(preferences + action)

    def _look_ahead(self) -> None:
        plans = self._drawn(self.config.futures)
        plans[0, : -self.since] = self.plan[self.since :]
        scores, lives = self.imagine(plans)
        worth = (scores * self.config.gamma ** np.arange(self.config.horizon)).sum(1)
        # To lose a life later is better than sooner, and no score makes up for one. Among equals the first: go on.
        order = np.lexsort((-np.arange(len(plans)), worth, lives.sum(1)))
        self.plan, self.since = plans[order[-1]], 0

    def _drawn(self, n: int) -> np.ndarray:
        hold, horizon = self.config.hold, self.config.horizon
        drawn = self.rng.integers(len(self.numbers), size=(n, -(-horizon // hold)))
        return np.repeat(drawn, hold, 1)[:, :horizon]


@dataclass(frozen=True)
class Searcher:
    """The policy that leaves `Searching` environments alone."""

    config: SearchConfig
    actions: int = 18

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """States (E, D) -> zeros (E, actions)."""
        return np.zeros((len(states), self.actions), np.float32)


def searching(make_env: Callable[[int], gymnasium.Env], config: SearchConfig, seed: int) -> Searching:
    """`make_env(seed)`, playing itself; a function of a module, so that it can be sent to other processes."""
    return Searching(make_env(seed), config, seed)
