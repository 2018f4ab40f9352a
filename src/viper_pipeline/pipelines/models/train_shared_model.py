"""Stage `train_video_model` of suites with arms: told the task, not the arm; some pairs are never seen (paper 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from viper_pipeline.pipelines.models.train_video_model import rollouts, train_video_model
from viper_pipeline.pipelines.values import by_task
from viper_pipeline.suites import SUITES
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.shared import for_every_task
from viper_pipeline.videos.store import EpisodeFile
from viper_pipeline.videos.together import Together


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
