"""Values that travel between nodes and datasets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from viper_pipeline.suites.frames import FrameSpec
from viper_pipeline.videos.episode import Episode


@dataclass(frozen=True)
class Recording:
    """Episodes on their way to the disk, group by group; streamed, never all in memory at once."""

    groups: Mapping[str, Iterable[Episode]]
    suite: str
    task: str
    spec: FrameSpec
    payload: str = "frames"


def by_task(prefix: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs called `<prefix>__<task>`, by task, in the order of the task list."""
    return {name.partition("__")[2]: value for name, value in inputs.items() if name.startswith(f"{prefix}__")}
