"""Stage `train_tokenizer`: one VQ-GAN for all tasks of a suite (paper 4.1, Table 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.data.sampler import ClipSampler
from viper_pipeline.envs.base import blacken
from viper_pipeline.pipelines.datasets import by_task
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.tokenizers.base import picture, quality, reconstruct
from viper_pipeline.tokenizers.vqgan import VQGAN, Foreground, VQGANConfig, median_backgrounds
from viper_pipeline.training.artifacts import Directory, history_csv
from viper_pipeline.training.checkpoints import derive, seed_everything
from viper_pipeline.training.config import ComputeConfig
from viper_pipeline.training.loop import train
from viper_pipeline.training.progress import Report

SHOWN = 500  # frames of a kind that are measured; evenly spaced


def train_tokenizer(
    config: Mapping[str, Any],
    seed: int,
    compute: Mapping[str, Any],
    scratch: Path,
    *,
    suite: str,
    **files: EpisodeFile,
) -> Directory:
    """experts__, baselines__<task> -> weights, training curve, reconstructions of familiar and strange frames."""
    place = ComputeConfig.model_validate(compute)
    place.begin()
    settings = VQGANConfig.model_validate(config)
    experts, baselines = by_task("experts", files), by_task("baselines", files)
    seed = derive(seed, "tokenizer", suite)
    strange = {task: baseline_frames(experts[task], baselines[task]) for task in experts}
    familiar = {task: some_frames(file, "train") for task, file in experts.items()}
    backgrounds = median_backgrounds([np.concatenate([familiar[t], strange[t]]) for t in experts])
    seed_everything(seed)
    size = next(iter(experts.values())).spec.size
    module = VQGAN(settings, tuple(experts), size, backgrounds)
    history = train(
        module,
        batches(experts, strange, settings, seed),
        settings.training,
        seed=seed,
        scratch=scratch,
        progress=Report(f"tokenizer {suite}"),
        compute=place,
    )

    metrics, pictures = {}, {}
    for i, task in enumerate(experts):
        held_out = some_frames(experts[task], "held_out")
        kinds = {"train": familiar[task], "held_out": held_out, "random": strange[task]}
        again = {kind: reconstruct(module, frames) for kind, frames in kinds.items()}
        metrics[task] = {k: quality(f, again[k], foreground(f, backgrounds[i])) for k, f in kinds.items()}
        rows = [spread(kinds[kind], again[kind]) for kind in ("held_out", "random")]
        pictures[f"reconstructions_{task}.png"] = picture(rows)
    directory = module.to_directory()
    return Directory(
        directory.config | {"metrics": metrics},
        directory.tensors,
        pictures | {"curve.csv": history_csv(history)},
    )


def batches(
    experts: Mapping[str, EpisodeFile], strange: Mapping[str, np.ndarray], settings: VQGANConfig, seed: int
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Step -> frames (B, H, W, C) and task ids (B,): experts, and the wanted share of baseline frames."""
    size = settings.training.batch_size
    mixed = round(size * settings.baseline_share)
    sampler = ClipSampler([file.group("train") for file in experts.values()], 1, size - mixed, seed)
    if not mixed:
        return lambda step: (sampler(step)[0][:, 0], sampler(step)[1])
    pools = list(strange.values())

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        clips, ids = sampler(step)
        rng = np.random.default_rng([seed, step])
        tasks = (step * mixed + np.arange(mixed)) % len(pools)
        others = np.stack([pools[t][rng.integers(len(pools[t]))] for t in tasks])
        return np.concatenate([clips[:, 0], others]), np.concatenate([ids, tasks])

    return batch


def some_frames(file: EpisodeFile, group: str) -> np.ndarray:
    """At most SHOWN frames of a group, a few of every episode: (N, H, W, C)."""
    episodes = file.group(group)
    each = max(1, SHOWN // len(episodes))
    chosen = []
    for i in range(len(episodes)):
        frames = episodes[i].frames
        chosen.append(frames[np.linspace(0, len(frames) - 1, min(each, len(frames))).astype(int)])
    return np.concatenate(chosen)[:SHOWN]


def foreground(frames: np.ndarray, background: Tensor) -> np.ndarray:
    """Which pixels (N, H, W) differ from the task's background."""
    mask = Foreground(background[None]).mask(torch.as_tensor(frames), torch.zeros(len(frames)))
    return mask[:, 0].numpy()


def spread(frames: np.ndarray, again: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ten evenly spaced frames, and what came back of them."""
    chosen = np.linspace(3, len(frames) - 1, 10).astype(int)
    return frames[chosen], again[chosen]


def baseline_frames(experts: EpisodeFile, baselines: EpisodeFile) -> np.ndarray:
    """Frames of random and idle episodes, masked as the expert set is."""
    return blacken(some_frames(baselines, "episodes"), experts.spec.mask)


def train_shared_tokenizer(
    config: Mapping[str, Any],
    held_out_tasks: Sequence[str],
    seed: int,
    compute: Mapping[str, Any],
    scratch: Path,
    *,
    suite: str,
    **files: EpisodeFile,
) -> Directory:
    """experts__, baselines__<task> -> weights of the tasks that are not in `held_out_tasks`, and pictures of all."""
    kept = {name: file for name, file in files.items() if name.partition("__")[2] not in held_out_tasks}
    learned = train_tokenizer(config, seed, compute, scratch, suite=suite, **kept)
    module = load_tokenizer(learned)
    metrics, pictures = dict(learned.config["metrics"]), dict(learned.files)
    for task in held_out_tasks:
        experts, baselines = files[f"experts__{task}"], files[f"baselines__{task}"]
        kinds = {"held_out": some_frames(experts, "held_out"), "random": baseline_frames(experts, baselines)}
        background = median_backgrounds([kinds["random"]])[0]
        again = {kind: reconstruct(module, frames) for kind, frames in kinds.items()}
        metrics[task] = {k: quality(f, again[k], foreground(f, background)) for k, f in kinds.items()}
        pictures[f"reconstructions_{task}.png"] = picture([spread(f, again[kind]) for kind, f in kinds.items()])
    return Directory(learned.config | {"metrics": metrics}, learned.tensors, pictures)
