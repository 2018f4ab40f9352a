"""Which source files a node depends on: its module, and all of the package that this imports, however deep."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.graph.project import package_name, registry, source_folder


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
    """The import graph of one package, read from its files: nothing is imported.

    Registry are imported by name at run time, so no import shows them: `opened` says which further modules come with a
    module that holds a registry. Modules in `neutral` (messages, progress bars) cannot change a result.
    """

    def __init__(
        self,
        package: str,
        folder: Path,
        root: Path,
        opened: Mapping[str, Collection[str]] | None = None,
        neutral: Collection[str] = (),
    ) -> None:
        self.package, self.folder, self.root = package, folder, root
        self.opened, self.neutral = opened or {}, neutral
        self._imports: dict[str, frozenset[str]] = {}

    @classmethod
    def of(cls, root: Path) -> Code:
        """The code of the project at `root`."""
        project, package = registry(root), package_name(root)
        opened = {
            holder: tuple(plugs.module(name) for name in plugs.names())
            for holder, plugs in getattr(project, "OPEN_PLUGS", {}).items()
        }
        folder = source_folder(root) / package
        if not folder.is_dir():  # installed, and no checkout
            spec = importlib.util.find_spec(package)
            assert spec is not None and spec.origin is not None
            folder = Path(spec.origin).parent
        return cls(package, folder, root, opened, getattr(project, "NEUTRAL", ()))

    def files(self, function: Callable, plugs: Collection[str] = ()) -> set[str]:
        """Files, relative to the root, that `function` and the modules in `plugs` depend on."""
        modules = self.closure({unwrapped(function).__module__, *plugs})
        sources = [path for module in modules if (path := self._path(module))]
        kept = [path for path in sources if path.name != "__init__.py" or _holds_code(path)]
        return {
            path.relative_to(self.root).as_posix()
            for path in {*kept, *(beside for source in kept for beside in _read_beside(source))}
            if path.is_relative_to(self.root)
        }

    def closure(self, modules: Collection[str]) -> set[str]:
        """The modules, the packages that they lie in, and everything of the package that they import."""
        seen: set[str] = set()
        todo = list(modules)
        while todo:
            module = todo.pop()
            if module in seen or module in self.neutral or not self._path(module):
                continue
            seen.add(module)
            todo += [module.rpartition(".")[0], *self.imports(module), *self.opened.get(module, ())]
        return seen

    def imports(self, module: str) -> frozenset[str]:
        """The modules of the package that one module imports anywhere, also inside functions."""
        if module not in self._imports:
            path = self._path(module)
            self._imports[module] = frozenset(self._imported(module, path)) if path else frozenset()
        return self._imports[module]

    def _imported(self, module: str, path: Path) -> Iterator[str]:
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in _statements(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    base = importlib.util.resolve_name("." * node.level + base, package)
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)

    def _path(self, module: str) -> Path | None:
        """The file of a module of the package; None for everything else."""
        first, *rest = module.split(".")
        if first != self.package:
            return None
        base = self.folder.joinpath(*rest)
        candidates = [base / "__init__.py", *([base.with_suffix(".py")] if rest else [])]
        return next((path for path in candidates if path.is_file()), None)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, but for imports that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.orelse:
                yield statement
                yield from _statements(statement)
            continue
        yield child
        yield from _statements(child)


@functools.cache
def _read_beside(source: Path) -> tuple[Path, ...]:
    """Files and folders of the package that a module names as `Path(__file__).parent / "name"`."""
    names = [
        node.right.value
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant) and isinstance(node.right.value, str)
        if "__file__" in ast.unparse(node.left)
    ]
    return tuple(path for name in names if (path := source.parent / name).exists())


@functools.cache
def _holds_code(path: Path) -> bool:
    """Whether an `__init__.py` does more than say what it is, and name plugs.

    A table of plugs is no code: which of them a stage uses is a dependency of its own. Nor is a module's `__getattr__`,
    which lends names to other people's programs: the package itself imports from where things are.
    """

    def idle(node: ast.stmt) -> bool:
        if isinstance(node, ast.Expr):
            return isinstance(node.value, ast.Constant)
        if isinstance(node, ast.ImportFrom):
            return node.module == "__future__" or [alias.name for alias in node.names] == ["Registry"]
        if isinstance(node, ast.FunctionDef):
            return node.name == "__getattr__"
        if isinstance(node, ast.Assign):
            called = node.value.func if isinstance(node.value, ast.Call) else None
            table = isinstance(called, ast.Name) and called.id == "Registry"
            return table or all(isinstance(t, ast.Name) and t.id.startswith("__") for t in node.targets)
        return False

    return not all(map(idle, ast.parse(path.read_text()).body))


def code_files(code: Code, function: Any, plugs: Mapping[str, Any], names: Callable[[Any], list[str]]) -> set[str]:
    """Source files of a node: of its module, and of the components that its bound values name.

    plugs: keyword -> registry. names: a bound value -> the components that it stands for, several if it is a symbol.
    """
    modules = [
        plugs[keyword].module(name)
        for keyword, value in bound_values(function).items()
        if keyword in plugs
        for name in names(value)
    ]
    return code.files(function, modules)
