"""Stage `train_video_model`: p(frame | earlier frames) over the codes of the expert sets (paper 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from viper_pipeline.data.episode import strip
from viper_pipeline.data.hdf5 import EpisodeFile, Together
from viper_pipeline.data.sampler import ClipSampler
from viper_pipeline.envs import SUITES
from viper_pipeline.pipelines.datasets import by_task
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import Directory, history_csv
from viper_pipeline.training.checkpoints import derive, seed_everything
from viper_pipeline.training.config import ComputeConfig
from viper_pipeline.training.loop import train
from viper_pipeline.training.progress import Report
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import for_every_task

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


def train_shared_model(
    config: Mapping[str, Any],
    held_out_tasks: Sequence[str],
    seed: int,
    compute: Mapping[str, Any],
    tokenizer: Directory,
    scratch: Path,
    *,
    suite: str,
    model: str,
    **codes: EpisodeFile,
) -> Directory:
    """codes__<task> -> weights that know every task; `rollouts_<task>.png` of all, those held out among them.

    Of tasks in `held_out_tasks` the weights see nothing: they serve the pictures alone.
    """
    tasks = by_task("codes", codes)
    class_of = SUITES.get(suite)().class_of
    classes: dict[str, list[EpisodeFile]] = {}
    for task, file in tasks.items():
        if task not in held_out_tasks:
            classes.setdefault(class_of(task), []).append(file)
    seen = {f"codes__{name}": Together(files) for name, files in classes.items()}
    learned = train_video_model(config, seed, compute, tokenizer, scratch, suite=suite, model=model, **seen)

    kind = VIDEO_MODELS.get(model)
    directory = for_every_task(kind, learned, {task: class_of(task) for task in tasks})
    network, frozen = kind.from_directory(directory), load_tokenizer(tokenizer)
    pictures = {
        f"rollouts_{task}.png": rollouts(network, frozen, file.group("held_out"), i)
        for i, (task, file) in enumerate(tasks.items())
    }
    kept = {name: content for name, content in learned.files.items() if not name.startswith("rollouts_")}
    return Directory(directory.config | {"held_out_tasks": list(held_out_tasks)}, directory.tensors, kept | pictures)
