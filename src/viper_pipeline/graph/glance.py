"""A quick look at a stage: is it surely up to date?

DVC parses params.yaml, hashes every dependency and rewrites its table of locks anew for each stage, so that finding
nothing to do at a thousand stages takes minutes. Here a file that many stages read is looked at once, until it changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from viper_pipeline.graph.project import value_at
from viper_pipeline.graph.stamp import State, state_of


class Glance:
    """What lies in the workspace, as far as it has been looked at."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], tuple[State, Any]] = {}  # what was found (hash, values) of a file, and when

    def up_to_date(self, stage: Any) -> bool:
        """Whether everything the stage reads and makes is as its lock file says. False may also mean: ask DVC."""
        if not stage.deps or stage.always_changed or stage.changed_stage():
            return False
        return all(map(self._same, stage.deps)) and not any(out.status() for out in stage.outs)

    def _same(self, dep: Any) -> bool:
        from dvc.utils.serialize import load_yaml  # `on` is no text to other readers of YAML

        if (state := state_of(dep.fs_path)) is None:
            return False
        known = dep.hash_info.value if dep.hash_info else None
        if isinstance(known, dict):  # parameters, by name
            values = self._once("values", dep.fs_path, state, lambda: load_yaml(dep.fs_path))
            return set(known) == set(dep.params) and all(value_at(values, name) == v for name, v in known.items())
        if os.path.isdir(dep.fs_path):
            return not dep.status()
        return bool(known) and self._once("hash", dep.fs_path, state, dep.get_hash) == dep.hash_info

    def _once(self, what: str, path: str, state: State, look: Callable[[], Any]) -> Any:
        """What `look` finds of a file; it looks again only when the file is another."""
        seen = self.seen.get((what, path))
        if seen is None or seen[0] != state:
            seen = self.seen[what, path] = state, look()
        return seen[1]
