"""What a stage needs of a machine: `runtime.resources` in params.yaml. Engines with queues read it; results do not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import Field, ValidationError

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.registry import did_you_mean

DEFAULT = "default"
"""The block for stages that have none of their own."""


class Resources(Config):
    """What one stage asks for. `runtime.compute.threads` and `runtime.workers` say what it uses; ask for no less."""

    cpu: int = Field(1, gt=0, description="cores")
    gpu: int = Field(0, ge=0, description="whole devices")
    memory: float = Field(2.0, gt=0, description="GiB of RAM")
    minutes: int = Field(1440, gt=0, description="time limit of a SLURM job; a stage cut off goes on in the next one")


def of_stages(params: Mapping[str, Any], stages: Collection[str]) -> dict[str, Resources]:
    """Stage name -> what it asks for: its own block on top of `default`. Raises BadParams for a name of no stage."""
    blocks = (params.get("runtime") or {}).get("resources") or {}
    if unknown := sorted({*blocks} - {*stages, DEFAULT}):
        raise BadParams(
            f"params.yaml: runtime.resources.{unknown[0]}: there is no such stage{did_you_mean(unknown[0], stages)}"
        )
    default = blocks.get(DEFAULT) or {}
    try:
        return {stage: Resources.model_validate({**default, **(blocks.get(stage) or {})}) for stage in stages}
    except (TypeError, ValidationError) as error:
        raise BadParams(f"params.yaml: runtime.resources: {error}") from error
