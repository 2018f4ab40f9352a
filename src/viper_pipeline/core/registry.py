"""Registry: a name in params.yaml -> a class, imported only when it is used."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from viper_pipeline.core.errors import BadParams


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)`, or the list of known words where none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean '{near[0]}'?)" if near else f" (known: {', '.join(known)})"


class Registry:
    """The implementations of one kind of component, by name.

    A target is `"package.module:Object"`, so that naming a component costs no import, or the object itself.
    """

    def __init__(self, kind: str, targets: Mapping[str, object]) -> None:
        self.kind = kind
        self._targets: dict[str, object] = dict(targets)

    def names(self) -> tuple[str, ...]:
        """Every registered name, in the order of registration."""
        return tuple(self._targets)

    def register(self, name: str, target: object) -> None:
        """Add one implementation; a name is never taken twice."""
        if name in self._targets:
            raise ValueError(f"{self.kind} '{name}' is registered already")
        self._targets[name] = target

    def unregister(self, name: str) -> None:
        """Forget one implementation (for tests that register a toy)."""
        del self._targets[name]

    def module(self, name: str) -> str:
        """The module that implements `name`: what a stage that uses it depends on."""
        target = self._target(name)
        return target.partition(":")[0] if isinstance(target, str) else target.__module__

    def get(self, name: str) -> Any:
        """The object registered as `name`. Raises BadParams with a suggestion for unknown names."""
        target = self._target(name)
        if not isinstance(target, str):
            return target
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def _target(self, name: str) -> object:
        if name not in self._targets:
            raise BadParams(f"there is no {self.kind} '{name}'{did_you_mean(name, self._targets)}")
        return self._targets[name]
