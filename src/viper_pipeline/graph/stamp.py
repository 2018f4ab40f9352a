"""A stamp on a project in which everything is up to date: the next `viper run` need not ask DVC.

At a thousand stages DVC takes half a minute to read its own files. As in git's index, the stamp is the time, size and
inode of every file that stages read and make, of DVC's files, and of its copies in the cache. Whatever differs sends
`viper run` to DVC.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from viper_pipeline.core.files import atomic_write

State = tuple[int, int, int]


class Stamp:
    """The stamp of one project, for one choice of targets."""

    def __init__(self, root: Path, targets: Sequence[str]) -> None:
        self.root, self.targets, self.path = root, list(targets), root / ".viper" / "up_to_date.json"

    def holds(self) -> int | None:
        """The number of stages, if nothing has changed since all of them were up to date; else None."""
        try:
            kept = json.loads(self.path.read_text())
            same = kept["targets"] == self.targets and all(
                state_of(path) == (tuple(state) if state else None) for path, state in kept["files"].items()
            )
            return int(kept["stages"]) if same else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, stages: Sequence[Any], begun: int) -> None:
        """Note that `stages` are up to date, unless something they read was touched since `begun` (ns of the clock)."""
        made = {out.fs_path for stage in stages for out in stage.outs}
        read = {dep.fs_path for stage in stages for dep in stage.deps} - made
        files = {path for stage in stages for path in (stage.path, *self._around(Path(stage.path)))}
        sources = [*files, *(self.root / ".dvc" / name for name in ("config", "config.local")), *everything(read)]
        if any(os.stat(path).st_ctime_ns >= begun for path in sources if os.path.exists(path)):
            return
        locks = {str(Path(stage.path).parent / "dvc.lock") for stage in stages}
        cached = {str(out.cache_path) for stage in stages for out in stage.outs if out.use_cache and out.hash_info}
        watched = {str(path) for path in [*sources, *everything(made), *locks, *cached]}
        states = {path: state_of(path) for path in sorted(watched)}
        kept = {"targets": self.targets, "stages": len(stages), "files": states}
        atomic_write(self.path, json.dumps(kept).encode())

    def _around(self, pipeline: Path) -> Iterator[str]:
        """The folders in which another dvc.yaml would appear."""
        yield from (str(folder) for folder in list(pipeline.parents)[:2] if folder.is_relative_to(self.root))


def everything(paths: Iterable[str]) -> Iterator[str]:
    """Files, and folders with all that lies in them."""
    for path in paths:
        yield path
        for folder, folders, files in os.walk(path):
            yield from (os.path.join(folder, name) for name in (*folders, *files))


def state_of(path: str | os.PathLike[str]) -> State | None:
    """Another, if the file is another; None if there is none."""
    try:
        now = os.stat(path)
    except OSError:
        return None
    return now.st_mtime_ns, now.st_size, now.st_ino
