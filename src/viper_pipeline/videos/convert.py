"""`viper import`: somebody's videos -> a checked episodes file."""

from __future__ import annotations

from pathlib import Path

from viper_pipeline.suites.frames import FrameSpec
from viper_pipeline.videos.importers import read
from viper_pipeline.videos.store import EpisodeFile, write_groups


def import_videos(kind: str, path: Path, suite: str, task: str, out: Path, spec: FrameSpec) -> str:
    """Convert everything at `path`; says in one line what was written. Raises BadData and writes nothing otherwise."""
    lineage = {"steps": {}, "imported": {"kind": kind, "path": Path(path).name}}
    write_groups(
        out,
        {"episodes": read(kind, Path(path), spec.size)},
        suite=suite,
        task=task,
        spec=spec,
        lineage=lineage,
    )
    file = EpisodeFile(out)
    group = file.group("episodes")
    line = f"{out}: {len(group)} episodes, {int(group.starts[-1])} frames of {spec.size}x{spec.size}"
    file.close()
    return line
