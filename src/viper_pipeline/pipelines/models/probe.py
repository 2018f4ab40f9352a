"""Stage probe_tokenizer: is a game's ball, chicken or player still where it was in what a tokenizer makes of a frame?

It stands apart from train_tokenizer, so that suites without such figures know nothing of it, and another way to look
for one trains nothing again.
"""

from __future__ import annotations

import numpy as np

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.files import Json
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.pipelines.datasets import by_task
from viper_pipeline.pipelines.models.nodes import baseline_frames, some_frames
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.tokenizers.probe import FIGURES, found_again
from viper_pipeline.tokenizers.quality import median_background, reconstruct
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.training.config import ComputeConfig


def is_probed(suite: str) -> bool:
    """Whether figures of a suite's tasks are known."""
    return suite in FIGURES


def probe_tokenizer(
    compute: ParamsBlock,
    tokenizer: ModelArtifact,
    *,
    suite: str,
    tokenizer_kind: str | None = None,
    **files: EpisodeFile,
) -> Json:
    """Look up each game's figure in frames and in their reconstructions; see `tokenizers.probe`.

    files: experts__, baselines__<task>; tasks whose figure is not known are left out. Frames are those of held-out
    experts, and of random and idle play, at most FRAMES_MEASURED of each, as the models see them.
    Returns {task: {figure, codes: [h, w], held_out: {frames, found, kept}, random: {...}}}.
    """
    frozen = load_tokenizer(tokenizer, tokenizer_kind).to(ComputeConfig.model_validate(compute).begin())
    experts, baselines = by_task("experts", files), by_task("baselines", files)
    found: Json = {}
    for task, file in experts.items():
        if (figure := FIGURES[suite].get(task)) is None:
            continue
        kinds = {"held_out": some_frames(file, "held_out"), "random": baseline_frames(file, baselines[task])}
        background = median_background(np.concatenate([some_frames(file, "train"), kinds["random"]]))
        found[task] = {"figure": figure.name, "codes": list(frozen.grid)}
        for kind, frames in kinds.items():
            found[task][kind] = found_again(frames, reconstruct(frozen, frames), background, figure)
    return found
