"""Stage `encode_experts`: the expert set as codes, so that no later stage sees pixels it does not need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.pipelines.datasets import Recording
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.config import ComputeConfig


def encode_experts(
    compute: Mapping[str, Any], tokenizer: Directory, experts: EpisodeFile, *, suite: str, task: str
) -> Recording:
    """Frames (T, H, W, C) of every episode -> codes (T, h, w) of the same episode, group by group."""
    frozen = load_tokenizer(tokenizer).to(ComputeConfig.model_validate(compute).begin())

    def encoded(group: str) -> Iterator[Episode]:
        for episode in experts.group(group):
            codes = frozen.encode(episode.frames).cpu().numpy().astype("int16")
            yield Episode(codes, episode.rewards, episode.seed, episode.kind)

    return Recording({name: encoded(name) for name in experts.groups}, suite, task, experts.spec, payload="codes")
