"""`viper`: the log-likelihood of the next frame under a video model of expert videos (paper Eq 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from viper_pipeline.rewards.base import FrameShape, RewardContext, RewardMethod, Settings


class ViperMethod(RewardMethod):
    """Reads the tokenizer, the video model that `reward.model` names, and the scale that was fitted to its scores."""

    label = "viper"
    color = "#009E73"
    description = "rewarded by the video model"
    seed_label = "viper"

    def inputs(self, block: Mapping[str, Any], suite: str, task: str, tasks: Sequence[str]) -> dict[str, str]:
        """The three models; they are one for all tasks."""
        model = block["reward"]["model"]
        return {
            "tokenizer": f"{suite}/tokenizer",
            "video_model": f"{suite}/{model}/video_model",
            "fitted_reward": f"{suite}/{model}/reward",
        }

    def parts(self, block: Mapping[str, Any]) -> dict[str, str]:
        """The tokenizer and the video model."""
        return {"tokenizer_kind": block["tokenizer"]["kind"], "model": block["reward"]["model"]}

    def build(
        self, context: RewardContext, settings: Settings | None, inputs: Mapping[str, Any]
    ) -> Callable[[FrameShape], Any]:
        """Raises BadData for a reward that is not usable, or whose model was trained on other frames than these."""
        from viper_pipeline.rewards.gate import require_usable
        from viper_pipeline.rewards.viper import load_reward

        tokenizer, video_model, fitted = (inputs[name] for name in ("tokenizer", "video_model", "fitted_reward"))
        require_usable(fitted.config, context.suite, context.task)
        reward = load_reward(tokenizer, video_model, fitted, context.task).to(context.device)
        reward.check(context.frame_spec(context.task))
        stream = reward.stream()
        return lambda shape: stream
