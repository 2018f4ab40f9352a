"""The planner that comes with a suite as an expert (paper 4.1: RLBench)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import gymnasium

from viper_pipeline.data.episode import Kind
from viper_pipeline.envs.base import FrameSpec, Settings
from viper_pipeline.experts.base import Expert, ExpertConfig
from viper_pipeline.experts.policies import Policy, ZeroPolicy

if TYPE_CHECKING:  # recording processes need no torch
    from viper_pipeline.training.artifacts import Directory


class PlannerConfig(ExpertConfig):
    """The planner has no settings."""

    algorithm: Literal["planner"] = "planner"


class PlannerExpert(Expert):
    """Records the demonstrations of `Suite.make_demos`. Nothing is learned, and actions change nothing."""

    Config = PlannerConfig
    needs = frozenset({"planner"})
    kinds: ClassVar[tuple[Kind, ...]] = ("expert",)

    def policy(self, learned: Directory) -> Policy:
        """Zero actions: the planner has acted already."""
        return ZeroPolicy(len(self.suite.idle_action(self.task)))

    def recording_env(self, env: Settings, frames: FrameSpec) -> Callable[[int], gymnasium.Env]:
        """seed -> an environment that plays demonstrations."""
        return partial(self.suite.make_demos, self.task, env=env, frames=frames)
