"""Which source files a node depends on: its module, and all of the package that this imports, however deep."""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.graph.project import package_name, registry


def unwrapped(function: Callable) -> Callable:
    """The function inside partials and decorators."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            return function


def bound_values(function: Callable) -> dict[str, Any]:
    """The keywords that a partial holds."""
    return dict(function.keywords) if isinstance(function, functools.partial) else {}


class Code:
    """The import graph of one package.

    Plugs are imported by name at run time, so no import shows them: `opened` says which further modules come with a
    module that holds a registry.
    """

    def __init__(self, package: str, root: Path, opened: Mapping[str, tuple[str, ...]]) -> None:
        self.package, self.root, self.opened = package, root, opened
        self._imports: dict[str, frozenset[str]] = {}

    @classmethod
    def of(cls, root: Path) -> Code:
        """The code of the project at `root`."""
        opened = {
            holder: tuple(plugs.module(name) for name in plugs.names())
            for holder, plugs in getattr(registry(root), "OPEN_PLUGS", {}).items()
        }
        return cls(package_name(root), root, opened)

    def files(self, function: Callable, plugs: Iterator[str] | tuple[str, ...] = ()) -> set[str]:
        """Files, relative to the root, that `function` and the modules in `plugs` depend on."""
        module = inspect.getmodule(unwrapped(function))
        assert module is not None
        return {
            file
            for name in self.closure({module.__name__, *plugs})
            if (file := self._file(name)) and not file.endswith("/__init__.py")
        }

    def closure(self, modules: set[str]) -> set[str]:
        """The modules, and everything of the package that they import."""
        seen: set[str] = set()
        todo = [m for m in modules if self._ours(m)]
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo += [m for m in (*self.imports(module), *self.opened.get(module, ())) if self._ours(m)]
        return seen

    def imports(self, module: str) -> frozenset[str]:
        """The modules that one module imports anywhere, also inside functions."""
        if module not in self._imports:
            spec = importlib.util.find_spec(module)
            source = Path(spec.origin) if spec and spec.origin else None
            self._imports[module] = frozenset(_imported(module, source)) if source else frozenset()
        return self._imports[module]

    def _ours(self, module: str) -> bool:
        return module == self.package or module.startswith(self.package + ".")

    def _file(self, module: str) -> str | None:
        spec = importlib.util.find_spec(module)
        path = Path(spec.origin).resolve() if spec and spec.origin else None
        return path.relative_to(self.root).as_posix() if path and path.is_relative_to(self.root) else None


def _imported(module: str, source: Path) -> Iterator[str]:
    package = module if source.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = importlib.util.resolve_name("." * node.level + base, package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if _is_module(inner) else base


@functools.cache
def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ModuleNotFoundError, AttributeError, ValueError):
        return False
