"""Whether what stages will make fits on the disk: asked before any of them runs.

Lock files note the size of everything that was ever made, also on another machine and with other parameters. A stage
that no lock file knows is taken to be as large as others of its name; of what was never made, nothing is known, and
nothing is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from viper_pipeline.core.files import free_bytes, nearest_existing

if TYPE_CHECKING:
    from viper_pipeline.dvc_bridge.repo import DvcStage

MARGIN = 100 * 2**20
"""Bytes that are to stay free: logs, checkpoints of runs, temporary files."""


def _size(stage: DvcStage) -> int | None:
    """Bytes of all outputs by the stage's lock file; None if it has none."""
    sizes = [out.meta.size if out.meta else None for out in stage.outs]
    return sum(size or 0 for size in sizes) if any(size is not None for size in sizes) else None


def to_be_written(todo: Iterable[DvcStage], every: Iterable[DvcStage]) -> tuple[int, int]:
    """Bytes that `todo` will add to the workspace and to DVC's cache: outputs that are not there, by their sizes.

    every: all stages, which tell the size of one that was never made.
    """
    known: dict[str, list[int]] = {}
    for stage in every:
        if (size := _size(stage)) is not None:
            known.setdefault(_name(stage), []).append(size)
    workspace = cache = 0
    for stage in todo:
        if all(os.path.exists(out.fs_path) for out in stage.outs):
            continue
        size = _size(stage)
        expected = round(fmean(known.get(_name(stage), [0]))) if size is None else size
        workspace += expected
        if any(out.use_cache and not (out.hash_info and os.path.exists(out.cache_path)) for out in stage.outs):
            cache += expected
    return workspace, cache


def shortage(
    root: Path,
    cache_folder: Path,
    todo: Sequence[DvcStage],
    every: Sequence[DvcStage],
    free: Callable[[Path], int] = free_bytes,
) -> str | None:
    """What to say if the outputs of `todo` cannot fit; None if they can, or nothing is known of them."""
    workspace, cache = to_be_written(todo, every)
    places = [(root, workspace), (cache_folder, cache)]
    if nearest_existing(root).stat().st_dev == nearest_existing(cache_folder).stat().st_dev:
        places = [(root, workspace + cache)]
    for place, needed in places:
        if needed and needed + MARGIN > (room := free(place)):
            return (
                f"{place}: the results that are still to be made take about {_said(needed)}, copies of DVC included, "
                f"and {_said(room)} are free; free some room, or name another place for copies with `dvc cache dir`"
            )
    return None


def _name(stage: DvcStage) -> str:
    """The stage without its item."""
    return str(stage.addressing).partition("@")[0]


def _said(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
