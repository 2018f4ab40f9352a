"""Stage `train_tokenizer` of suites with arms: it never sees the pairs that are held out (paper 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from viper_pipeline.pipelines.models.train_tokenizer import (
    baseline_frames,
    foreground,
    some_frames,
    spread,
    train_tokenizer,
)
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.tokenizers.foreground import median_backgrounds
from viper_pipeline.tokenizers.reconstructions import picture, quality, reconstruct
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.videos.store import EpisodeFile


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
