"""Stage `evaluate_reward`: fit the reward's scale, and find out whether it knows an expert (paper 4.2, Fig 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from viper_pipeline.data.episode import gif, strip
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.envs.base import blacken
from viper_pipeline.pipelines.datasets import by_task
from viper_pipeline.rewards.evaluation import (
    EvaluationConfig,
    pack,
    score_kinds,
    surprise,
    surprise_film,
    surprise_rows,
    transition_scores,
)
from viper_pipeline.rewards.viper import ViperConfig, ViperReward, fit_scale
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.checkpoints import derive
from viper_pipeline.training.config import ComputeConfig
from viper_pipeline.video_models import VIDEO_MODELS


def evaluate_reward(
    reward: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    seed: int,
    compute: Mapping[str, Any],
    tokenizer: Directory,
    video_model: Directory,
    *,
    suite: str,
    model: str,
    **files: EpisodeFile,
) -> Directory:
    """experts__, codes__, baselines__<task> -> the reward's scale, nats of every frame of every kind of video, and maps
    of what surprises the model (Figs 16 to 18).

    Metrics and pictures are made of these by the report's stages, so that a new figure trains no agent anew.
    """
    device = ComputeConfig.model_validate(compute).begin()
    config, settings = ViperConfig.model_validate(reward), EvaluationConfig.model_validate(evaluation)
    if model != config.model:  # scoring is chosen for the model that rewards agents; others are scored by full windows
        config = config.model_copy(update={"scoring": "full_window"})
    frozen = load_tokenizer(tokenizer).to(device)
    network = VIDEO_MODELS.get(model).from_directory(video_model).to(device)
    experts, codes, baselines = (by_task(prefix, files) for prefix in ("experts", "codes", "baselines"))

    scales, specs, maps = {}, {}, {}
    tensors: dict[str, torch.Tensor] = {}
    for task in codes:
        spec = experts[task].spec
        plain = ViperReward(frozen, network, task, config, spec)
        kinds, returns = videos_of(plain, codes[task], baselines[task], settings.episodes)
        penalties = penalties_of(plain, kinds, experts[task], baselines[task]) if config.reconstruction else None
        scores = score_kinds(plain, kinds, settings, derive(seed, "perturb", task), penalties)
        scale = fit_scale(config.scale, *(transition_scores(scores[kind]) for kind in ("held_out", "random", "idle")))
        scales[task], specs[task] = scale.model_dump(), spec.model_dump(mode="json")
        tensors |= pack(task, scores, returns)
        pair = two_videos(experts[task], baselines[task])
        surprises = {kind: surprise(plain, video) for kind, video in pair.items()}
        maps[f"maps_{task}.png"] = strip(surprise_rows(pair, surprises))
        maps[f"maps_{task}.gif"] = gif(surprise_film(pair, surprises), milliseconds=120, zoom=1)
    return Directory({"model": model, "reward": config.model_dump(), "scales": scales, "specs": specs}, tensors, maps)


def two_videos(experts: EpisodeFile, baselines: EpisodeFile) -> dict[str, np.ndarray]:
    """The first held-out expert and the first random video, (T, H, W, C) at the model's stride."""
    everything = baselines.group("episodes")
    random = everything[list(everything.kinds).index("random")].frames[:: experts.spec.stride]
    return {"held_out": experts.group("held_out")[0].frames, "random": blacken(random, experts.spec.mask)}


def videos_of(
    reward: ViperReward, codes: EpisodeFile, baselines: EpisodeFile, most: int
) -> tuple[dict[str, list[torch.Tensor]], dict[str, np.ndarray]]:
    """Codes (T, h, w) of every kind of video, and the true return of each."""
    kinds, returns = {}, {}
    for name in ("train", "held_out", "contrast"):
        group = codes.group(name)
        chosen = [group[i] for i in range(min(len(group), most))]
        if chosen:
            kinds[name] = [torch.as_tensor(episode.frames) for episode in chosen]
            returns[name] = np.array([episode.ret for episode in chosen])
    everything = baselines.group("episodes")
    for kind in ("random", "idle"):
        rows = [i for i, k in enumerate(everything.kinds) if k == kind][:most]
        chosen = [everything[i] for i in rows]
        kinds[kind] = [reward.encode(episode.frames[:: reward.spec.stride]) for episode in chosen]
        returns[kind] = np.array([episode.ret for episode in chosen])
    return kinds, returns


def penalties_of(
    reward: ViperReward, kinds: Mapping[str, list[torch.Tensor]], experts: EpisodeFile, baselines: EpisodeFile
) -> dict[str, list[np.ndarray]]:
    """Reconstruction penalties (T,) of the videos of `videos_of`, whose codes are `kinds`."""
    everything = baselines.group("episodes")
    penalties = {}
    for kind, videos in kinds.items():
        rows = [i for i, k in enumerate(everything.kinds) if k == kind]
        group, stride = (everything, reward.spec.stride) if rows else (experts.group(kind), 1)
        shown = [group[i].frames[::stride] for i in (rows or range(len(videos)))[: len(videos)]]
        penalties[kind] = [
            reward.reconstruction_penalty(frames, codes) for frames, codes in zip(shown, videos, strict=True)
        ]
    return penalties
