"""`amp` and `amp_multi`: a discriminator of expert and agent videos that learns beside the agent (paper 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from viper_pipeline.core.errors import BadParams
from viper_pipeline.rewards.base import FrameShape, RewardContext, RewardMethod, Settings
from viper_pipeline.rewards.config import AMPConfig

EXPERTS = "experts__"
"""What the names of inputs that are expert sets begin with; the rest is the task."""


class AMPMethod(RewardMethod):
    """The discriminator is shown expert videos of the agent's own task."""

    label = "amp"
    color = "#56B4E9"
    description = "adversarial motion prior of the task's videos"
    seed_label = "amp"
    Config = AMPConfig
    block = "amp"

    def inputs(self, block: Mapping[str, Any], suite: str, task: str, tasks: Sequence[str]) -> dict[str, str]:
        """The expert set of the task."""
        return {f"{EXPERTS}{task}": f"{suite}/{task}/experts"}

    def build(
        self, context: RewardContext, settings: Settings | None, inputs: Mapping[str, Any]
    ) -> Callable[[FrameShape], Any]:
        """Raises BadParams if the videos are made otherwise than the frames that the agent sees."""
        from viper_pipeline.rewards.amp import AMP

        experts = {name.removeprefix(EXPERTS): file for name, file in inputs.items() if name.startswith(EXPERTS)}
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

    def inputs(self, block: Mapping[str, Any], suite: str, task: str, tasks: Sequence[str]) -> dict[str, str]:
        """The expert sets of all tasks."""
        return {f"{EXPERTS}{one}": f"{suite}/{one}/experts" for one in tasks}
