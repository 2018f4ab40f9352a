"""A quick look at a stage: is it surely up to date?

DVC parses params.yaml, hashes every dependency and rewrites its table of locks anew for each stage, so that finding
nothing to do at a thousand stages takes minutes. Here a file that many stages read is looked at once, until it changes.
"""

from __future__ import annotations

import os
from typing import Any

from viper_pipeline.graph.project import value_at
from viper_pipeline.graph.stamp import State, state_of


class Glance:
    """What lies in the workspace, as far as it has been looked at."""

    def __init__(self) -> None:
        self.hashes: dict[str, tuple[State, Any]] = {}  # of files, by path
        self.params: dict[str, tuple[State, dict[str, Any]]] = {}  # files of parameters, by path

    def up_to_date(self, stage: Any) -> bool:
        """Whether everything the stage reads and makes is as its lock file says. False may also mean: ask DVC."""
        if not stage.deps or stage.always_changed or stage.changed_stage():
            return False
        return all(map(self._same, stage.deps)) and not any(out.status() for out in stage.outs)

    def _same(self, dep: Any) -> bool:
        if (state := state_of(dep.fs_path)) is None:
            return False
        known = dep.hash_info.value if dep.hash_info else None
        if isinstance(known, dict):  # parameters, by name
            return set(known) == set(dep.params) and all(
                self._value(dep.fs_path, state, name) == value for name, value in known.items()
            )
        if os.path.isdir(dep.fs_path):
            return not dep.status()
        seen, found = self.hashes.get(dep.fs_path, (None, None))
        if seen != state:
            found = dep.get_hash()
            self.hashes[dep.fs_path] = state, found
        return bool(known) and found == dep.hash_info

    def _value(self, path: str, state: State, name: str) -> Any:
        from dvc.utils.serialize import load_yaml  # `on` is no text to other readers of YAML

        seen, values = self.params.get(path, (None, {}))
        if seen != state:
            values = load_yaml(path)
            self.params[path] = state, values
        return value_at(values, name)
