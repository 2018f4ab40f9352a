"""The recipe of the stage that is running: parameters, code and parents, its private folder, and its lineage."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from viper_pipeline.core.errors import BadData, ViperError
from viper_pipeline.core.files import md5_of
from viper_pipeline.graph.lineage import read_steps

_current: ContextVar[Recipe | None] = ContextVar("recipe", default=None)


def current_recipe() -> Recipe | None:
    """The recipe of the node that is running in this thread; None outside of any."""
    return _current.get()


def set_current(recipe: Recipe | None) -> None:
    """Called by the hooks before a node's first dataset is loaded, and after its last has been saved."""
    _current.set(recipe)


@dataclass(frozen=True)
class Recipe:
    """What makes an artifact. Equal recipes make equal artifacts."""

    node: str
    params: Mapping[str, Any]
    parents: Mapping[str, str]  # path -> md5
    outs: tuple[str, ...]
    code: Mapping[str, str]  # path -> md5
    root: Path

    @property
    def key(self) -> str:
        """A hash of everything that decides the result."""
        whole = [self.node, self.params, self.parents, self.code]
        return hashlib.md5(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def scratch(self) -> Path:
        """The stage's private folder, for checkpoints; other settings, code or inputs have another."""
        folder = self.root / ".viper" / "scratch" / self.key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def lineage(self) -> dict[str, Any]:
        """{"steps": {path: {stage, params, parents}}} of the outputs and of everything they come from."""
        steps: dict[str, Any] = {}
        for path in self.parents:
            steps |= read_steps(self.root / path)
        own = {"stage": self.node, "params": dict(self.params), "parents": dict(self.parents)}
        return {"steps": steps | {path: own for path in self.outs}}

    def name(self, path: Path) -> str:
        """A path as lineage calls it: from the project's root, if it is in there."""
        return name_in(self.root, path)

    def lock(self) -> FileLock:
        """Hold the scratch folder. Raises ViperError if a living process holds it; a dead one's lock is free."""
        lock = FileLock(f"{self.scratch}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ViperError(
                f"{self.node}: another process is running this stage with the same inputs; wait for it, or stop it"
            ) from error
        return lock

    def forget(self, lock: FileLock) -> None:
        """The outputs are saved: remove the private folder."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        Path(str(lock.lock_file)).unlink(missing_ok=True)
        lock.release()


def make_recipe(
    node: str,
    params: Mapping[str, Any],
    parents: Collection[Path],
    outs: Collection[Path],
    code: Collection[str],
    root: Path,
) -> Recipe:
    """Hash what there is to hash. Raises BadData naming an input that is missing."""
    for path in parents:
        if not path.exists():
            missing = name_in(root, path)
            raise BadData(f"{node} reads {missing}, which is not there: `viper run` makes it, or `dvc pull` gets it")
    return Recipe(
        node,
        params,
        {name_in(root, path): md5_of(path) for path in sorted(parents)},
        tuple(name_in(root, path) for path in sorted(outs)),
        {file: md5_of(root / file) for file in sorted(code)},
        root,
    )


def name_in(root: Path, path: Path) -> str:
    """A path from the root, or whole if it lies outside."""
    absolute = Path(os.path.abspath(path))
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else str(absolute)
