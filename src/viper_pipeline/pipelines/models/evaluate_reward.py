"""Stage `evaluate_reward`: fit the reward's scale, and find out whether it knows an expert (paper 4.2, Fig 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from viper_pipeline.pipelines.values import by_task
from viper_pipeline.rewards.evaluate import EvaluationConfig, arrived, pack, score_kinds
from viper_pipeline.rewards.standardise import fit_scale
from viper_pipeline.rewards.viper import ViperConfig, ViperReward
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.seeding import derive, use_threads
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.videos.store import EpisodeFile


def evaluate_reward(
    reward: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    seed: int,
    threads: int,
    tokenizer: Directory,
    video_model: Directory,
    *,
    suite: str,
    model: str,
    **files: EpisodeFile,
) -> Directory:
    """experts__, codes__, baselines__<task> -> the reward's scale, and nats of every frame of every kind of video.

    Metrics and pictures are made of these by the report's stages, so that a new figure trains no agent anew.
    """
    use_threads(threads)
    config, settings = ViperConfig.model_validate(reward), EvaluationConfig.model_validate(evaluation)
    frozen, network = load_tokenizer(tokenizer), VIDEO_MODELS.get(model).from_directory(video_model)
    experts, codes, baselines = (by_task(prefix, files) for prefix in ("experts", "codes", "baselines"))

    scales, specs = {}, {}
    tensors: dict[str, torch.Tensor] = {}
    for task in codes:
        spec = experts[task].spec
        plain = ViperReward(frozen, network, task, config, spec)
        kinds, returns = videos_of(plain, codes[task], baselines[task], settings.episodes)
        scores = score_kinds(plain, kinds, settings, derive(seed, "perturb", task))
        scale = fit_scale(config.scale, *(arrived(scores[kind]) for kind in ("held_out", "random", "idle")))
        scales[task], specs[task] = scale.model_dump(), spec.model_dump(mode="json")
        tensors |= pack(task, scores, returns)
    return Directory({"model": model, "reward": config.model_dump(), "scales": scales, "specs": specs}, tensors)


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
