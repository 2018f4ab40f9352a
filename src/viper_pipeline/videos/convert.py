"""`viper import`: somebody's videos -> a checked episodes file."""

from __future__ import annotations

from pathlib import Path

from viper_pipeline.suites.frames import FrameSpec
from viper_pipeline.videos.importers import read
from viper_pipeline.videos.store import EpisodeFile, write_groups
from viper_pipeline.videos.verify import verify


def import_videos(kind: str, path: Path, suite: str, task: str, out: Path, spec: FrameSpec) -> str:
    """Convert everything at `path`; says in one line what was written. Raises BadData and writes nothing otherwise.

    spec: how frames of this suite and task are made. Nobody knows what drew an imported video; an episodes file
    knows it, and keeps what it says, so that a reward can refuse frames of another kind.
    """
    if kind == "episodes":
        verify(path)
        spec = EpisodeFile(path).spec.model_copy(update={"size": spec.size})
    else:
        spec = spec.model_copy(update={"gl_backend": "unknown", "library": "unknown"})
    lineage = {"steps": {}, "imported": {"kind": kind, "path": Path(path).name}}
    write_groups(
        out,
        {"episodes": read(kind, Path(path), spec.size, camera=spec.camera, task=task)},
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
