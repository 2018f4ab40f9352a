"""A reward from the folders that the pipeline wrote."""

from __future__ import annotations

from viper_pipeline.rewards.standardise import Scale
from viper_pipeline.rewards.viper import ViperConfig, ViperReward
from viper_pipeline.suites.frames import FrameSpec
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.video_models import VIDEO_MODELS


def load_reward(
    tokenizer: Directory, video_model: Directory, reward: Directory, task: str, batch: int = 64
) -> ViperReward:
    """The reward of `task`, as an agent uses it."""
    kept = reward.config
    return ViperReward(
        load_tokenizer(tokenizer),
        VIDEO_MODELS.get(kept["model"]).from_directory(video_model),
        task,
        ViperConfig.model_validate(kept["reward"]),
        FrameSpec.model_validate(kept["specs"][task]),
        Scale.model_validate(kept["scales"][task]),
        batch,
    )
