"""DVC, as `viper run` uses it: which stages are there, which are stale, and committing what they made.

Only one process talks to DVC, and holds its lock for moments only. Written against dvc 3.67; see requirements.lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.graph.glance import Glance

PATIENCE = 120.0
"""Seconds to wait for another DVC command; a result that took hours is not thrown away for a `dvc status`."""


class Verdict(Enum):
    """What is to be done about a stage."""

    UP_TO_DATE = "up to date"
    RESTORED = "restored"
    STALE = "stale"


class Repository:
    """The DVC repository of a project."""

    def __init__(self, root: Path) -> None:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        logging.getLogger("dvc").setLevel(logging.WARNING)
        try:
            self.repo = Repo(str(root))
        except DvcException as error:
            raise BadEnvironment(f"{root}: {error}") from error
        self.inputs: dict[str, dict[str, Any]] = {}  # of the stages that run: what they read, by hash
        self.glance = Glance()

    def needs(self, targets: Sequence[str]) -> dict[Any, set[Any]]:
        """The stages that `targets` take (all, if there are none), each with the stages that it reads from."""
        import networkx
        from dvc.exceptions import DvcException

        with self.locked():
            try:
                graph = self.repo.index.graph
                picked = [s for target in targets for s in self.repo.stage.collect(target)] or list(graph)
            except DvcException as error:
                raise BadParams(f"{error}") from error
            wanted = set(picked).union(*(networkx.descendants(graph, stage) for stage in picked))
            return {stage: set(graph.successors(stage)) for stage in wanted}

    def stages(self) -> list[Any]:
        """Every stage of every dvc.yaml."""
        return [stage for stage in self.repo.index.stages if stage.cmd]

    def judge(self, stage: Any) -> Verdict:
        """Whether a stage must run; if its result was computed before, it is put back instead.

        What lies in its outputs' place is removed, as `dvc repro` does; a stale stage's inputs are noted for `commit`.
        """
        from dvc.stage.cache import RunCacheNotFoundError

        with self.locked():
            if not stage.cmd or self.glance.up_to_date(stage) or not stage.changed():
                return Verdict.UP_TO_DATE
            stage.remove_outs(ignore_remove=False, force=False)  # what restore meets and DVC has no copy of stops it
            try:
                # before save_deps: afterwards DVC would take the outputs in the lock file for those of the new inputs
                self.repo.stage_cache.restore(stage)
            except RunCacheNotFoundError:
                stage.save_deps()
                self.inputs[stage.addressing] = _inputs(stage)
                return Verdict.STALE
            self._record(stage, run_cache=False)  # restore has filled the workspace, and told `stage` nothing of it
            return Verdict.RESTORED

    def commit(self, stage: Any) -> list[str]:
        """Record what a stage has made. Returns the inputs that changed while it ran: then nothing is recorded."""
        from dvc.exceptions import DvcException

        with self.locked():
            try:
                stage.save_deps()
                before, after = self.inputs.pop(stage.addressing), _inputs(stage)
                if changed := sorted(name for name in {*before, *after} if before.get(name) != after.get(name)):
                    return changed
                self._record(stage)
            except (DvcException, OSError) as error:
                return [str(error)]
        return []

    @staticmethod
    def _record(stage: Any, run_cache: bool = True) -> None:
        """Hash what lies there, put it into the cache, and write the lock file."""
        stage.save(run_cache=run_cache)
        stage.commit()
        stage.dump(update_pipeline=False)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold DVC's lock, and wait for whoever else does. Raises BadEnvironment after PATIENCE."""
        from dvc.lock import LockError

        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.repo.lock.lock()
                break
            except LockError as error:
                if time.monotonic() > end:
                    raise BadEnvironment("another DVC command holds the repository; let it end, then again") from error
        try:
            yield
        finally:
            self.repo.lock.unlock()


def _inputs(stage: Any) -> dict[str, Any]:
    """Everything that a stage reads: name -> hash, or value for parameters."""
    found: dict[str, Any] = {}
    for dep in stage.deps:
        value = dep.hash_info.value if dep.hash_info else None
        if isinstance(value, dict):
            found |= value
        else:
            found[str(dep.def_path)] = value
    return found
