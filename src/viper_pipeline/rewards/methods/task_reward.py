"""`task_reward`, `task_reward_plain`: the environment's own reward, with the exploration bonus and without.

The first differs from method `viper` in its reward alone; the second is what the paper's figures call an oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from viper_pipeline.rewards.base import FrameShape, RewardContext, RewardMethod, Settings, StoredReward


class ScaledTaskReward(StoredReward):
    """The environment's reward times a number."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def step(self, frames: np.ndarray, true_rewards: np.ndarray) -> np.ndarray:
        """frames are not used; true_rewards (E,) -> rewards (E,) float32."""
        return (true_rewards * self.scale).astype(np.float32)


class TaskRewardMethod(RewardMethod):
    """Agents are trained on the true reward; it is the mean over the repeats of an action."""

    label = "oracle"
    color = "#555555"
    description = "the same agent and bonus, trained on the true reward"
    seed_label = "oracle"  # the method's former name, kept so that results do not change

    def build(
        self, context: RewardContext, settings: Settings | None, inputs: Mapping[str, Any]
    ) -> Callable[[FrameShape], Any]:
        """A reward of 1 per step of the simulator becomes 1 per action."""
        source = ScaledTaskReward(1 / context.frame_spec(context.task).action_repeat)
        return lambda shape: source


class PlainTaskRewardMethod(TaskRewardMethod):
    """As `TaskRewardMethod`, without the exploration bonus; its runs have the same seeds."""

    label = "oracle, no bonus"
    color = "#999999"
    description = "the same agent, trained on the true reward without the bonus"
    bonus = False
