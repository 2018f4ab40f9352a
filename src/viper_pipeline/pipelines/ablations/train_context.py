"""Stage `train_video_model_context`: the suite's video model with fewer context frames (paper 4.4, Fig 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.pipelines.models.train_video_model import train_video_model
from viper_pipeline.training.artifacts import Directory


def train_context(config: Mapping[str, Any], *, context: int, **rest: Any) -> Directory:
    """As `train_video_model`, with a window of `context` frames and the one that they predict."""
    return train_video_model({**config, "window": int(context) + 1}, **rest)
