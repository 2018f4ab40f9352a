"""The rewards of `REWARDS`: what each reads and how it is drawn. Networks are imported when one is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.errors import BadParams
from viper_pipeline.rewards.base import (
    AMPConfig,
    FrameShape,
    MethodConfig,
    RatioConfig,
    RewardContext,
    RewardMethod,
    StoredReward,
)


class ViperMethod(RewardMethod):
    """Reads the tokenizer, the video model that `reward.model` names, and the scale that was fitted to its scores."""

    label = "viper"
    color = "#009E73"
    description = "rewarded by the video model"
    seed_label = "viper"

    def inputs(self, block: ParamsBlock, suite: str, task: str, tasks: Sequence[str]) -> dict[str, str]:
        """The three models; they are one for all tasks."""
        model = block["reward"]["model"]
        return {
            "tokenizer": f"{suite}/tokenizer",
            "video_model": f"{suite}/{model}/video_model",
            "fitted_reward": f"{suite}/{model}/reward",
        }

    def parts(self, block: ParamsBlock) -> dict[str, str]:
        """The tokenizer and the video model."""
        return {"tokenizer_kind": block["tokenizer"]["kind"], "model": block["reward"]["model"]}

    def build(
        self, context: RewardContext, settings: MethodConfig | None, inputs: ParamsBlock
    ) -> Callable[[FrameShape], Any]:
        """Raises BadData for a reward that is not usable, or whose model was trained on other frames than these."""
        from viper_pipeline.rewards.gate import require_usable
        from viper_pipeline.rewards.viper import assemble_reward

        tokenizer, video_model, fitted = (inputs[name] for name in ("tokenizer", "video_model", "fitted_reward"))
        require_usable(fitted.config, context.suite, context.task)
        reward = assemble_reward(tokenizer, video_model, fitted, context.task).to(context.device)
        reward.check(context.frame_spec(context.task))
        stream = reward.stream()
        return lambda shape: stream


RATIO_MODEL = "videogpt_ratio"
"""The video model of `viper_ratio`, with a block of this name and stages of its own."""
RATIO_METHODS = ("viper_ratio", "viper_ratio_replay")
"""The methods that are paid by it."""


class ViperRatioMethod(ViperMethod):
    """As `viper`, of a model with the classes expert and agent; with `negatives: replay` it reads codes as well."""

    label = "viper, ratio"
    color = "#6A3D9A"
    description = "rewarded by the video model's likelihood ratio of expert and agent"
    seed_label = "viper_ratio"
    Config = RatioConfig
    block = "viper_ratio"

    def inputs(self, block: ParamsBlock, suite: str, task: str, tasks: Sequence[str]) -> dict[str, str]:
        """The three models, and the expert videos that are rehearsed."""
        models = super().inputs(_of_ratio_model(block), suite, task, tasks)
        follows = (block.get(self.block) or {}).get("negatives") == "replay"
        return models | ({"expert_codes": f"{suite}/{task}/codes"} if follows else {})

    def parts(self, block: ParamsBlock) -> dict[str, str]:
        """The tokenizer and the video model."""
        return super().parts(_of_ratio_model(block))

    def build(
        self, context: RewardContext, settings: MethodConfig | None, inputs: ParamsBlock
    ) -> Callable[[FrameShape], Any]:
        """Raises BadData for a reward that is not usable, or whose model was trained on other frames than these."""
        from viper_pipeline.rewards.viper_ratio import FollowingStream

        fixed = super().build(context, settings, inputs)
        config = settings if isinstance(settings, RatioConfig) else RatioConfig()
        if config.negatives == "random":
            return fixed
        experts = [episode.frames for episode in inputs["expert_codes"].group("train")]
        return lambda shape: FollowingStream(fixed(shape).reward, config, experts)


class FollowingRatioMethod(ViperRatioMethod):
    """As `viper_ratio` with `negatives: replay`, whatever its block says: a suite may have both beside each other."""

    label = "viper, ratio, replay"
    color = "#B15928"
    description = "rewarded by the likelihood ratio, whose class agent follows the agent"
    seed_label = "viper_ratio_replay"

    def inputs(self, block: ParamsBlock, suite: str, task: str, tasks: Sequence[str]) -> dict[str, str]:
        """The three models, and the expert videos that are rehearsed."""
        own = {**(block.get(self.block) or {}), "negatives": "replay"}
        return super().inputs({**block, self.block: own}, suite, task, tasks)

    def build(
        self, context: RewardContext, settings: MethodConfig | None, inputs: ParamsBlock
    ) -> Callable[[FrameShape], Any]:
        """See `ViperRatioMethod.build`."""
        config = settings if isinstance(settings, RatioConfig) else RatioConfig()
        return super().build(context, config.model_copy(update={"negatives": "replay"}), inputs)


def _of_ratio_model(block: ParamsBlock) -> ParamsBlock:
    """A suite's block whose reward is that of the ratio's model."""
    return {**block, "reward": {**block.get("reward", {}), "model": RATIO_MODEL}}


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
        self, context: RewardContext, settings: MethodConfig | None, inputs: ParamsBlock
    ) -> Callable[[FrameShape], Any]:
        """A reward of 1 per step of the simulator becomes 1 per action."""
        source = ScaledTaskReward(1 / context.frame_spec(context.task).action_repeat)
        return lambda shape: source


class PlainTaskRewardMethod(TaskRewardMethod):
    """As `TaskRewardMethod`, without the exploration bonus; its runs have the same seeds.

    It is what the paper's figures call the task oracle.
    """

    label = "oracle, no bonus"
    color = "#999999"
    description = "the same agent, trained on the true reward without the bonus"
    bonus = False


class ExplorationMethod(RewardMethod):
    """Shows what the bonus alone is worth: VIPER has to do better."""

    label = "exploration"
    color = "#E69F00"
    description = "the same agent, trained on the exploration bonus alone"
    seed_label = "exploration"

    def build(self, context: RewardContext, settings: MethodConfig | None, inputs: ParamsBlock) -> None:
        """Nothing: every reward is 0."""
        return None


EXPERTS_PREFIX = "experts__"
"""What the names of inputs that are expert sets begin with; the rest is the task."""


class AMPMethod(RewardMethod):
    """The discriminator is shown expert videos of the agent's own task."""

    label = "amp"
    color = "#56B4E9"
    description = "adversarial motion prior of the task's videos"
    seed_label = "amp"
    Config = AMPConfig
    block = "amp"

    def inputs(self, block: ParamsBlock, suite: str, task: str, tasks: Sequence[str]) -> dict[str, str]:
        """The expert set of the task."""
        return {f"{EXPERTS_PREFIX}{task}": f"{suite}/{task}/experts"}

    def build(
        self, context: RewardContext, settings: MethodConfig | None, inputs: ParamsBlock
    ) -> Callable[[FrameShape], Any]:
        """Raises BadParams if the videos are made otherwise than the frames that the agent sees."""
        from viper_pipeline.rewards.amp import AMP

        experts = {
            name.removeprefix(EXPERTS_PREFIX): file for name, file in inputs.items() if name.startswith(EXPERTS_PREFIX)
        }
        for task, file in experts.items():
            if found := file.spec.differences(context.frame_spec(task)):
                suite = f"suites.{context.suite}"
                raise BadParams(
                    f"{file.path}: AMP compares these videos with what the agent sees, and they were made otherwise: "
                    f"{'; '.join(found)}; give {suite}.datasets.{task} videos made as {suite}.frames says, "
                    "unmasked and at stride 1"
                )
        videos = [episode.frames for file in experts.values() for episode in file.group("train")]
        config = settings if isinstance(settings, AMPConfig) else AMPConfig()
        return lambda shape: AMP(config, shape, videos).to(context.device)


class MultiTaskAMPMethod(AMPMethod):
    """The discriminator is shown expert videos of every task that models learn."""

    label = "amp_multi"
    color = "#CC79A7"
    description = "adversarial motion prior of every task's videos"
    seed_label = "amp_multi"

    def inputs(self, block: ParamsBlock, suite: str, task: str, tasks: Sequence[str]) -> dict[str, str]:
        """The expert sets of all tasks."""
        return {f"{EXPERTS_PREFIX}{one}": f"{suite}/{one}/experts" for one in tasks}
