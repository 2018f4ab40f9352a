"""Stage `curate_experts`: a task's videos, wherever they come from, as the models read them (paper 3.3 and 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.curation import CurationConfig, choose, shown
from viper_pipeline.data.importers import read_source
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import Rect
from viper_pipeline.pipelines.datasets import Recording


def curate_experts(
    source: Path,
    dataset: Mapping[str, Any],
    frames: Mapping[str, Any],
    curation: Mapping[str, Any],
    *,
    suite: str,
    task: str,
) -> Recording:
    """Keep the best, hold some out by episode, mask and stride. Episodes of other kinds go to group `contrast`."""
    simulator = SUITES.get(suite)()
    config = CurationConfig.model_validate(curation)
    spec = simulator.frame_spec(task, frames)
    kind = "episodes" if dataset["kind"] == "oracle" else dataset["kind"]
    videos, made = read_source(kind, source, spec.size, camera=spec.camera, task=task)
    if made is not None and (differences := spec.differences(made)):
        raise BadData(f"{source}: made otherwise than suites.{suite}.frames says: " + "; ".join(differences))
    wanted = dataset.get("mask", True)
    mask = simulator.masks(task) if wanted is True else [Rect.model_validate(r) for r in wanted or []]
    experts = [i for i, k in enumerate(videos.kinds) if k == "expert"]
    train, held_out = choose([float(videos.returns[i]) for i in experts], config, str(source))
    chosen = {
        "train": [experts[i] for i in train],
        "held_out": [experts[i] for i in held_out],
        "contrast": [i for i, k in enumerate(videos.kinds) if k == "noisy"],
    }
    return Recording(
        {
            name: shown(videos, indices, config, mask, str(source), config.starts(name))
            for name, indices in chosen.items()
            if indices
        },
        suite,
        task,
        spec.model_copy(update={"mask": tuple(mask), "stride": config.stride}),
    )
