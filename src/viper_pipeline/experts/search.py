"""An expert that looks ahead: it tries many futures in the emulator and plays the best (Bellemare et al. 2013)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import gymnasium
import numpy as np
from pydantic import Field, model_validator

from viper_pipeline.envs.base import FrameSpec, Info, Settings
from viper_pipeline.experts.base import Expert, ExpertConfig
from viper_pipeline.experts.policies import Policy, ZeroPolicy
from viper_pipeline.training.checkpoints import derive

if TYPE_CHECKING:  # recording processes need no torch
    from viper_pipeline.training.artifacts import ModelArtifact


class SearchConfig(ExpertConfig):
    """Longer and more futures cost time in proportion, see `imagined`."""

    algorithm: Literal["search"] = "search"
    futures: int = Field(24, gt=1, description="sequences of random actions tried at a time; the last best is one")
    horizon: int = Field(24, gt=0, description="agent steps of each")
    hold: int = Field(3, gt=0, description="agent steps for which a drawn action is held; longer leads farther")
    follow: int = Field(4, gt=0, description="steps of the best future that are played before the next search")
    gamma: float = Field(0.97, gt=0, le=1, description="discount per step: points soon are better than points late")

    @property
    def imagined(self) -> float:
        """Emulator steps played ahead per agent step."""
        return self.futures * self.horizon / self.follow

    @model_validator(mode="after")
    def _possible(self) -> SearchConfig:
        if self.follow > self.horizon:
            raise ValueError(f"follow {self.follow} is more than is imagined: horizon {self.horizon}")
        return self


class Searching(gymnasium.Wrapper):
    """An environment that plays itself: an action is only added to its own choice, and zeros leave it alone.

    env: acts by preferences (A,), of which those in `useful_actions` have an effect; `imagine(plans (N, H))` gives
    scores and lives, both (N, H), of positions in `useful_actions`, and leaves the game as it was. No other action is
    ever executed, whatever is added.
    """

    def __init__(self, env: gymnasium.Env, config: SearchConfig, seed: int = 0) -> None:
        super().__init__(env)
        self.config, self.rng = config, np.random.default_rng(derive(seed, "search"))
        self.useful = np.asarray(env.get_wrapper_attr("useful_actions"))
        self.imagine: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] = env.get_wrapper_attr("imagine")

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        """Begin a game; with `seed`, futures are drawn by it too."""
        if seed is not None:
            self.rng = np.random.default_rng(derive(seed, "search"))
        self.plan, self.since = self._drawn(1)[0], self.config.follow
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Info]:
        """Play the next step of the best future known; preferences (A,) are added to it."""
        if self.since == self.config.follow:
            self._look_ahead()
        preferences = np.full(np.shape(action), -1.0, np.float32)
        preferences[self.useful[self.plan[self.since]]] = 1.0
        self.since += 1
        allowed = np.full(np.shape(action), -np.inf, np.float32)
        allowed[self.useful] = (preferences + action)[self.useful]
        return self.env.step(allowed)

    def _look_ahead(self) -> None:
        plans = self._drawn(self.config.futures)
        plans[0, : -self.since] = self.plan[self.since :]
        scores, lives = self.imagine(plans)
        worth = (scores * self.config.gamma ** np.arange(self.config.horizon)).sum(1)
        # Lives first: losing one later is better than sooner, and no score makes up for one. Ties: the earlier plan.
        order = np.lexsort((-np.arange(len(plans)), worth, lives.sum(1)))
        self.plan, self.since = plans[order[-1]], 0

    def _drawn(self, n: int) -> np.ndarray:
        hold, horizon = self.config.hold, self.config.horizon
        drawn = self.rng.integers(len(self.useful), size=(n, -(-horizon // hold)))
        return np.repeat(drawn, hold, 1)[:, :horizon]


def searching(make_env: Callable[[int], gymnasium.Env], config: SearchConfig, seed: int) -> Searching:
    """`make_env(seed)`, playing itself; a function of a module, so that it pickles."""
    return Searching(make_env(seed), config, seed)


class SearchExpert(Expert):
    """Plays by looking ahead. Nothing is learned, so that it takes any game whose score rises within seconds."""

    Config = SearchConfig
    needs = frozenset({"emulator"})
    actions = "discrete"

    def policy(self, learned: ModelArtifact) -> Policy:
        """Zero actions: the environment acts by itself."""
        return ZeroPolicy(len(self.suite.idle_action(self.task)))

    def recording_env(self, env: Settings, frames: FrameSpec) -> Callable[[int], gymnasium.Env]:
        """seed -> an environment that plays itself."""
        return partial(searching, super().recording_env(env, frames), self.config)
