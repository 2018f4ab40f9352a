"""Stage `train_video_model`: p(frame | earlier frames) over the codes of the expert sets (paper 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from viper_pipeline.pipelines.values import by_task
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.compute import ComputeConfig
from viper_pipeline.training.curves import history_csv
from viper_pipeline.training.loop import train
from viper_pipeline.training.progress import Report
from viper_pipeline.training.seeding import derive, seed_everything
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.videos.clips import ClipSampler
from viper_pipeline.videos.pictures import strip

ROLLOUT = 12  # frames of an open-loop rollout after its first frame


def train_video_model(
    config: Mapping[str, Any],
    seed: int,
    compute: Mapping[str, Any],
    tokenizer: Directory,
    scratch: Path,
    *,
    suite: str,
    model: str,
    **codes: Any,
) -> Directory:
    """codes__<task>: code files -> weights, training curve, held-out loss and open-loop rollouts (Fig 4)."""
    place = ComputeConfig.model_validate(compute)
    place.begin()
    tasks = by_task("codes", codes)
    frozen = load_tokenizer(tokenizer)
    kind = VIDEO_MODELS.get(model)
    settings = kind.Config.model_validate(config)
    seed = derive(seed, "video_model", suite, model)
    seed_everything(seed)
    network = kind(settings, frozen.codebook, frozen.grid, tuple(tasks))
    clips = ClipSampler(
        [file.group("train") for file in tasks.values()], settings.window, settings.training.batch_size, seed
    )
    history = train(
        network,
        clips,
        settings.training,
        seed=seed,
        scratch=scratch,
        progress=Report(f"{model} {suite}"),
        compute=place,
    )

    held_out, files = {}, {"curve.csv": history_csv(history)}
    for i, (task, file) in enumerate(tasks.items()):
        group = file.group("held_out")
        sampler = ClipSampler([group], settings.window, 64, derive(seed, "held_out"))
        with torch.no_grad():
            batch, _ = sampler(0)
            _, metrics = network.loss((torch.as_tensor(batch), torch.full((len(batch),), i)), "model")
        held_out[task] = {name: float(value) for name, value in metrics.items()}
        files[f"rollouts_{task}.png"] = rollouts(network, frozen, group, i)
    directory = network.to_directory()
    return Directory(directory.config | {"held_out": held_out}, directory.tensors, files)


def rollouts(network: Any, tokenizer: Any, group: Any, task: int) -> bytes:
    """A picture: held-out videos (odd rows) and what the model makes of their first frame alone (even rows).

    Videos may be shorter than a rollout: then their row is shorter.
    """
    torch.manual_seed(0)
    real = [torch.as_tensor(group[i].frames[: ROLLOUT + 1]).long() for i in range(min(3, len(group)))]
    first = torch.stack([video[:1] for video in real])
    dreamt = network.sample(first, torch.full((len(real),), task), ROLLOUT)
    rows = [video for pair in zip(real, dreamt, strict=True) for video in pair]
    return strip([tokenizer.decode(video) for video in rows])
