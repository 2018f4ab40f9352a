"""One source file as units of meaning: its definitions, what each of them says, and which names each of them uses.

A unit is a function, a class, an assignment or another statement at the top level of a module. What it says is its
syntax tree without comments, positions, docstrings, imports and annotations that nothing evaluates. Names that it
takes from outside of itself are left out of the text and listed as references, in order: `code_digest.py` finds out
what they mean, so that an alias, a renamed module or a moved definition changes nothing. Nothing is imported.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

SKIPPED = {"ctx", "type_comment", "kind", "type_ignores"}
"""Fields of syntax trees that say nothing."""
BLIND = {
    "abstractmethod", "cache", "cached_property", "classmethod", "contextmanager", "final", "inference_mode",
    "lru_cache", "no_grad", "override", "property", "setter", "staticmethod", "wraps",
}  # fmt: skip
"""Decorators that do not look at a function's annotations."""
WHOLE_MODULE = {"globals", "locals", "vars", "eval", "exec"}
"""Functions by which code can reach any name of its own module."""
WHOLE_PACKAGE = {"__self__", "__subclasses__", "iter_modules", "walk_packages"}
"""Attributes by which code can reach any module."""
RESOURCES = ("importlib.resources", "pkgutil.get_data", "importlib_resources")
"""Readers of a package's data files whose arguments are not followed."""
TARGET = re.compile(r"[A-Za-z_]\w*(\.\w+)+:\w+")


class Ref(NamedTuple):
    """A use of a name. root: `name:x` at the top level of the module, `module:a.b`, or `from:a.b:x`."""

    root: str
    attributes: tuple[str, ...] = ()
    asked: str = ""  # of `x.get(...).label`: label


class Unit(NamedTuple):
    """One statement at the top level of a module. Plain values only, so that it can be kept as JSON."""

    names: tuple[str, ...]  # what it defines
    text: str  # a hash of what it says
    refs: tuple[Ref, ...]
    imports: tuple[str, ...] = ()  # modules that its functions import
    effect: bool = False  # whether it does something when the module is imported
    unclear: str = ""  # "module", "package" or "import": how much of the code it may reach by computed names
    data: tuple[tuple[str, ...], ...] = ()  # paths from the module's file to a file or folder that it reads
    table: tuple[tuple[str, str], ...] = ()  # of a registry: name -> "module:object"
    bases: tuple[Ref, ...] | None = None  # of a class whose attributes are what its body says; None: anything else
    constants: tuple[tuple[str, str], ...] = ()  # names in that body -> a literal, or nothing if it is not one


class Source(NamedTuple):
    """One file."""

    units: tuple[Unit, ...]
    bindings: dict[str, list[str]]  # names that imports bind -> roots
    imports: tuple[str, ...]  # modules that are imported with this one
    stars: tuple[str, ...]


def parse_source(text: str, module: str, is_package: bool, package: str) -> Source:
    """The units of a file's text. Raises SyntaxError."""
    reader = _Reader(module if is_package else module.rpartition(".")[0], package, "__file__" in text)
    return reader.read(ast.parse(text))


def from_json(kept: list[Any]) -> Source:
    """A source that `json` has written and read."""
    units, bindings, imports, stars = kept
    return Source(tuple(map(_unit, units)), bindings, tuple(imports), tuple(stars))


def _unit(kept: list[Any]) -> Unit:
    names, text, refs, imports, effect, unclear, data, table, bases, constants = kept
    return Unit(
        tuple(names), text, _refs(refs), tuple(imports), effect, unclear, tuple(map(tuple, data)),
        tuple(map(tuple, table)), None if bases is None else _refs(bases), tuple(map(tuple, constants)),
    )  # fmt: skip


def _refs(kept: Iterable[tuple[str, Iterable[str], str]]) -> tuple[Ref, ...]:
    return tuple(Ref(root, tuple(attributes), asked) for root, attributes, asked in kept)


class _Scope:
    """Names of one function, class or comprehension."""

    def __init__(self, names: Iterable[str], imports: dict[str, list[str]], is_class: bool = False) -> None:
        self.names, self.imports, self.is_class = set(names), imports, is_class
        self.used: set[str] = set()


class _Reader:
    """Writes syntax trees as text, and notes what they use."""

    def __init__(self, folder: str, package: str, reads_files: bool) -> None:
        """folder: the module's package; package: the outermost one."""
        self.folder, self.package, self.reads_files = folder, package, reads_files
        self.named = re.compile(rf"\b{re.escape(package)}(?:\.\w+)+(?::\w+)?")
        self.computed = re.compile(rf"\b{re.escape(package)}\.$")  # what follows is put together at run time
        self.scopes: list[_Scope] = []
        self.left_out: ast.AST | None = None
        self.asked: dict[ast.AST, str] = {}  # of `x.get(...).label`: x.get -> label
        self.bindings: dict[str, list[str]] = {}  # of the module's imports
        self.defined: set[str] = set()  # functions of the module
        self._begin()

    def _begin(self) -> None:
        self.out: list[str] = []
        self.refs: list[Ref] = []
        self.inner_imports: list[str] = []
        self.unclear: set[str] = set()
        self.data: list[tuple[str, ...]] = []
        self.globals: set[str] = set()  # names that functions declare so

    def read(self, tree: ast.Module) -> Source:
        bindings = self.bindings
        imports: list[str] = []
        stars: list[str] = []
        units = []
        self.defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
        for node in _top_level(tree.body):
            found = list(_imports(node)) if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else []
            for one in found:
                self._note_import(one, bindings, imports, stars)
            if not isinstance(node, (ast.Import, ast.ImportFrom)) and (unit := self._unit(node)) is not None:
                units.append(unit)
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for name, roots in sorted(bindings.items()):  # imported for nothing but what the import does
            if name not in used:
                outside = [root for root in roots if not self._ours(root.split(":")[1])]
                units += [Unit((), _hash(root), (), effect=True) for root in sorted(outside)]
        return Source(tuple(units), bindings, tuple(dict.fromkeys(imports)), tuple(stars))

    def _ours(self, module: str) -> bool:
        return module == self.package or module.startswith(f"{self.package}.")

    def _note_import(
        self, node: ast.Import | ast.ImportFrom, bindings: dict[str, list[str]], imports: list[str], stars: list[str]
    ) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = f"module:{alias.name}" if alias.asname else f"module:{alias.name.partition('.')[0]}"
                bindings.setdefault(alias.asname or alias.name.partition(".")[0], []).append(bound)
                imports.append(alias.name)
            return
        base = node.module or ""
        if node.level:
            base = importlib.util.resolve_name("." * node.level + base, self.folder)
        if base == "__future__":
            return
        imports.append(base)
        for alias in node.names:
            if alias.name == "*":
                stars.append(base)
            else:
                bindings.setdefault(alias.asname or alias.name, []).append(f"from:{base}:{alias.name}")

    def _unit(self, node: ast.stmt) -> Unit | None:
        self._begin()
        names: set[str] = set()
        effect = True
        table: tuple[tuple[str, str], ...] = ()
        literal: ast.Dict | None = None
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names, effect = {node.name}, self._acts(node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = set(_Names().of(targets))
            if names == {"__all__"} or (isinstance(node, ast.AnnAssign) and node.value is None):
                return None
            effect = not all(map(_plain, targets))
            table, literal = _table(node.value)
            calls = [one for one in ast.walk(node) if isinstance(one, ast.Call)] if not table else []
            effect = effect or any(self._ours_by_name(one.func) and _last_name(one)[:1].islower() for one in calls)
        elif (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) or (
            isinstance(node, ast.If) and isinstance(node.test, ast.Compare) and ast_text(node.test.left) == "__name__"
        ):
            return None
        elif hasattr(ast, "TypeAlias") and isinstance(node, ast.TypeAlias):
            names, effect = {node.name.id}, False
        else:
            names = set(_Names().of([node]))
        self.left_out = literal
        self.visit(node)
        names |= self.globals
        unclear = next((how for how in ("package", "import", "module") if how in self.unclear), "")
        unit = Unit(
            tuple(sorted(names)), _hash(" ".join(self.out)), tuple(self.refs), tuple(dict.fromkeys(self.inner_imports)),
            effect, unclear, tuple(self.data), table,
        )  # fmt: skip
        if isinstance(node, ast.ClassDef) and not unclear and self._is_plain_class(node):
            chains = [ast_text(base).split(".") for base in node.bases]
            bases = tuple(Ref(f"name:{name}", tuple(rest)) for name, *rest in chains)
            return unit._replace(bases=bases, constants=tuple(_constants(node.body)))
        return unit

    def _is_plain_class(self, node: ast.ClassDef) -> bool:
        """Whether nothing but its body and its bases can give it attributes."""
        for one in node.body:
            if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
                if not all(self._is_plain(decorator, BLIND) for decorator in one.decorator_list):
                    return False
            elif any(isinstance(inner, (ast.Call, ast.Import, ast.ImportFrom)) for inner in ast.walk(one)):
                return False
        return not node.decorator_list and not node.keywords and all(map(ast_text, node.bases))

    def _acts(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
        """Whether defining it may do more than that: a decorator may enter it into a table, a metaclass too."""
        known = BLIND | {"dataclass", "total_ordering", "hook_impl", "runtime_checkable", "jit", "script", "compile"}
        if not all(self._is_plain(decorator, known) for decorator in node.decorator_list):
            return True
        return isinstance(node, ast.ClassDef) and any(word.arg == "metaclass" for word in node.keywords)

    def _is_plain(self, decorator: ast.expr, known: Collection[str]) -> bool:
        """Whether it is one of the well-known decorators, and none of this package that has such a name."""
        return _last_name(decorator) in known and not self._ours_by_name(decorator)

    def _ours_by_name(self, node: ast.expr) -> bool:
        """Whether a call or a chain of attributes begins at something of this package."""
        name = ast_text(node.func if isinstance(node, ast.Call) else node).partition(".")[0]
        roots = self.bindings.get(name, ())
        return name in self.defined or any(self._ours(root.split(":")[1]) for root in roots)

    # syntax trees as text

    def visit(self, node: ast.AST) -> None:
        """Add a node's text and references."""
        if node is self.left_out:
            self.out.append("<table>")
            return
        if self.reads_files and isinstance(node, ast.expr) and (steps := _path_from_file(node)) is not None:
            self.data.append(steps)
            self.out.append(f"<file {steps}>")
            return
        method = getattr(self, f"_visit_{type(node).__name__}", None)
        if method is not None:
            method(node)
        else:
            self._generic(node)

    def _generic(self, node: ast.AST, but: Iterable[str] = ()) -> None:
        self.out.append(f"({type(node).__name__}")
        for name in node._fields:
            if name in SKIPPED or name in but:
                continue
            value = getattr(node, name, None)
            if value is None or value == []:
                continue
            self.out.append(f"{name}=")
            self._value(value)
        self.out.append(")")

    def _value(self, value: object) -> None:
        if isinstance(value, list):
            if value and isinstance(value[0], ast.stmt):
                self._body(value)
                return
            self.out.append("[")
            for one in value:
                self._value(one)
            self.out.append("]")
        elif isinstance(value, ast.AST):
            self.visit(value)
        else:
            self.out.append(repr(value))

    def _body(self, body: Iterable[ast.stmt]) -> None:
        """Statements, without strings that stand alone, imports, and what only a type checker sees."""
        self.out.append("{")
        for node in _top_level(body):
            if not (isinstance(node, ast.Expr) and _is_text(node.value)):
                self.visit(node)
        self.out.append("}")

    def _visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        """The names it binds are resolved where they are used; one that nothing uses is there for what it does."""
        imports: list[str] = []
        stars: list[str] = []
        self._note_import(node, {}, imports, stars)
        self.inner_imports += imports
        base = imports[0] if imports and isinstance(node, ast.ImportFrom) else ""
        self.inner_imports += [f"{base}.{alias.name}" for alias in node.names if base]  # it may be a module
        if stars:
            self.unclear.add("package")

    _visit_ImportFrom = _visit_Import

    def _visit_Constant(self, node: ast.Constant) -> None:
        self.out.append(f"{type(node.value).__name__}:{node.value!r}")
        if isinstance(node.value, str) and self.package in node.value:
            for found in self.named.findall(node.value):
                module, _, name = found.partition(":")
                self.refs.append(Ref(f"text:{module}", (name,) if name else ()))
            if self.computed.search(node.value):
                self.unclear.add("package")

    def _visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load) and self.scopes and self.scopes[-1].is_class:
            self.out.append(node.id)
        else:
            self._use(node.id, ())

    def _visit_Attribute(self, node: ast.Attribute) -> None:
        attributes = [node.attr]
        value: ast.expr = node.value
        while isinstance(value, ast.Attribute):
            attributes.append(value.attr)
            value = value.value
        if node.attr in WHOLE_PACKAGE:
            self.unclear.add("package")
        if isinstance(value, ast.Name):
            chain = (value.id, *reversed(attributes))
            if chain[:2] == ("sys", "modules"):
                self.unclear.add("package")
            self._use(value.id, chain[1:], self.asked.get(node, ""))
        else:
            if isinstance(value, ast.Call) and _last_name(value) == "get":
                self.asked[value.func] = attributes[-1]
            self._generic(node)

    def _visit_Call(self, node: ast.Call) -> None:
        called = _last_name(node.func)
        first = node.args[0] if node.args else None
        literal = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
        if called in ("import_module", "__import__"):
            if literal is None:
                self.unclear.add("import")
            elif literal.startswith("."):
                self.unclear.add("package")
            elif self._ours(literal):
                self.refs.append(Ref(f"module:{literal}"))
                self.inner_imports.append(literal)
        elif called in WHOLE_MODULE and isinstance(node.func, ast.Name) and (called != "vars" or first is None):
            self.unclear.add("module")
        elif called in WHOLE_PACKAGE:
            self.unclear.add("package")
        if ast_text(node.func) == "sys.modules.get" and literal is not None and not self._ours(literal):
            self.out.append(f"(module {literal}")
            for one in node.args[1:]:
                self.visit(one)
            self.out.append(")")
            return
        self._generic(node)

    def _use(self, name: str, attributes: tuple[str, ...], asked: str = "") -> None:
        """A name, local or not."""
        for depth, scope in enumerate(reversed(self.scopes)):
            if scope.is_class and depth:
                continue
            if name in scope.imports:
                scope.used.add(name)
                for root in scope.imports[name]:
                    self.refs.append(Ref(root, attributes, asked))
                self.out.append("<import>")
                return
            if name in scope.names and not scope.is_class:
                self.out.append(".".join((name, *attributes)))
                return
        self.refs.append(Ref(f"name:{name}", attributes, asked))
        self.out.append("<name>")

    def _visit_Global(self, node: ast.Global) -> None:
        self.globals.update(node.names)
        self._generic(node)

    # scopes

    def _visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.out.append(f"({type(node).__name__} {node.name}")
        if node.name == "__init_subclass__":
            self.unclear.add("package")
        for decorator in node.decorator_list:
            self.visit(decorator)
        seen = not all(self._is_plain(decorator, BLIND) for decorator in node.decorator_list)
        self._arguments(node.args, annotated=seen)
        if seen and node.returns:
            self.visit(node.returns)
        inner = _Names()
        names = set(inner.of(node.body)) | set(_argument_names(node.args)) | set(_type_parameters(node))
        self._inside(_Scope(names - inner.outer, self._local_imports(node.body)), lambda: self._body(node.body))
        self.out.append(")")

    _visit_AsyncFunctionDef = _visit_FunctionDef

    def _visit_Lambda(self, node: ast.Lambda) -> None:
        self.out.append("(Lambda")
        self._arguments(node.args, annotated=False)
        names = {*_argument_names(node.args), *_Names().of([node.body])}
        self._inside(_Scope(names, {}), lambda: self.visit(node.body))
        self.out.append(")")

    def _visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.out.append(f"(ClassDef {node.name}")
        self._value(node.decorator_list)
        self._value(node.bases)
        self._value(node.keywords)
        names = {*_Names().of(node.body), *_type_parameters(node)}
        scope = _Scope(names, self._local_imports(node.body), is_class=True)
        self._inside(scope, lambda: self._body(node.body))
        self.out.append(")")

    def _visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """A class's annotations are fields; elsewhere nothing evaluates them."""
        in_class = bool(self.scopes) and self.scopes[-1].is_class
        if not in_class:
            if node.value is not None:
                self._generic(node, but=("annotation", "simple"))
            return
        annotation: ast.AST = node.annotation
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            with contextlib.suppress(SyntaxError):
                annotation = ast.parse(annotation.value, mode="eval").body
        self.out.append("(AnnAssign")
        self.visit(node.target)
        self.visit(annotation)
        if node.value is not None:
            self.visit(node.value)
        self.out.append(")")

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.out.append(f"({type(node).__name__}")
        first, *others = node.generators
        self.visit(first.iter)

        def inside() -> None:
            self.visit(first.target)
            self._value(first.ifs)
            self._value(others)
            for part in ("key", "value", "elt"):
                if hasattr(node, part):
                    self.visit(getattr(node, part))

        targets = [name for generator in node.generators for name in _Names().of([generator.target])]
        self._inside(_Scope(targets, {}), inside)
        self.out.append(")")

    _visit_ListComp = _visit_SetComp = _visit_DictComp = _visit_GeneratorExp = _comprehension

    def _arguments(self, arguments: ast.arguments, annotated: bool) -> None:
        self.out.append("(arguments")
        for kind in ("posonlyargs", "args", "vararg", "kwonlyargs", "kwarg"):
            value = getattr(arguments, kind)
            for argument in value if isinstance(value, list) else [value] if value else []:
                self.out.append(f"{kind}:{argument.arg}")
                if annotated and argument.annotation:
                    self.visit(argument.annotation)
        for default in (*arguments.defaults, "|", *arguments.kw_defaults):
            if isinstance(default, ast.AST):
                self.visit(default)
            else:
                self.out.append(str(default))
        self.out.append(")")

    def _inside(self, scope: _Scope, visit: Callable[[], None]) -> None:
        self.scopes.append(scope)
        visit()
        self.scopes.pop()
        for name in sorted({*scope.imports} - scope.used):  # imported for what the import does
            self.out.append(f"import {sorted(scope.imports[name])}")

    def _local_imports(self, body: Iterable[ast.stmt]) -> dict[str, list[str]]:
        bindings: dict[str, list[str]] = {}
        for node in _top_level(body):
            for one in _imports(node):
                self._note_import(one, bindings, [], [])
        return bindings


class _Names:
    """Names that statements bind in their own scope; `outer` are those that they declare global or nonlocal."""

    def __init__(self) -> None:
        self.outer: set[str] = set()

    def of(self, nodes: Iterable[ast.AST]) -> Iterator[str]:
        todo: list[tuple[ast.AST, bool]] = [(node, False) for node in nodes]
        while todo:
            node, walrus_only = todo.pop()
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield node.name
                continue
            if isinstance(node, (ast.Lambda, ast.Import, ast.ImportFrom)):
                continue
            if isinstance(node, ast.NamedExpr):
                yield node.target.id
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and not walrus_only:
                yield node.id
            elif isinstance(node, (ast.Global, ast.Nonlocal)):
                self.outer.update(node.names)
            elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
                yield node.name
            elif isinstance(node, ast.MatchMapping) and node.rest:
                yield node.rest
            inside = isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp))
            todo += [(child, walrus_only or inside) for child in ast.iter_child_nodes(node)]


def ast_text(node: ast.AST) -> str:
    """`a.b.c` of a chain of attributes; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    before = ast_text(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{before}.{node.attr}" if isinstance(node, ast.Attribute) and before else ""


def _hash(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _plain(target: ast.expr) -> bool:
    """Whether an assignment to it only gives names to values."""
    if isinstance(target, (ast.Tuple, ast.List)):
        return all(map(_plain, target.elts))
    return isinstance(target, ast.Name) and target.id != "_"


def _last_name(node: ast.expr) -> str:
    """`c` of `a.b.c` and of `a.b.c(...)`."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements; of `if TYPE_CHECKING:` only what runs."""
    for node in body:
        if isinstance(node, ast.If) and ast_text(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            yield from _top_level(node.orelse)
        else:
            yield node


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports of a statement's own scope."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.expr)):
        return
    if isinstance(node, ast.If) and ast_text(node.test).rpartition(".")[2] == "TYPE_CHECKING":
        for statement in node.orelse:
            yield from _imports(statement)
        return
    for child in ast.iter_child_nodes(node):
        yield from _imports(child)


def _argument_names(arguments: ast.arguments) -> Iterator[str]:
    more = [one for one in (arguments.vararg, arguments.kwarg) if one]
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *more):
        yield argument.arg


def _type_parameters(node: ast.AST) -> Iterator[str]:
    for parameter in getattr(node, "type_params", []):
        yield parameter.name


def _table(value: ast.expr | None) -> tuple[tuple[tuple[str, str], ...], ast.Dict | None]:
    """The entries of `Registry("kind", {"name": "package.module:Object"})`, or of such a dictionary alone, and it."""
    found: list[ast.expr] = [value] if value is not None else []
    if isinstance(value, ast.Call):
        found = [*value.args, *(word.value for word in value.keywords)]
    for one in found:
        if isinstance(one, ast.Dict) and one.keys:
            pairs = [
                (key.value, entry.value)
                for key, entry in zip(one.keys, one.values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(entry, ast.Constant)
            ]
            if len(pairs) == len(one.keys) and all(TARGET.fullmatch(str(entry)) for _, entry in pairs):
                return tuple((str(key), str(entry)) for key, entry in pairs), one
    return (), None


def _constants(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Names that a class's body binds, each with the literal that it is set to, once; with nothing for all else."""
    body = [one for one in body if not (isinstance(one, ast.AnnAssign) and one.value is None)]
    literals: dict[str, str] = {}
    for one in body:
        if isinstance(one, (ast.Assign, ast.AnnAssign)) and one.value is not None:
            for target in one.targets if isinstance(one, ast.Assign) else [one.target]:
                for left, right in _pairs(target, one.value):
                    if isinstance(left, ast.Name) and isinstance(right, ast.Constant):
                        literals[left.id] = repr(right.value)
    for name, times in Counter(_Names().of(body)).items():
        yield name, literals.get(name, "") if times == 1 else ""


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """`a, b = 1, 2` is two assignments."""
    if not (isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)):
        return [(target, value)]
    starred = any(isinstance(one, ast.Starred) for one in (*target.elts, *value.elts))
    return [] if starred else [*zip(target.elts, value.elts, strict=False)]


def _path_from_file(node: ast.expr) -> tuple[str, ...] | None:
    """Steps from a module's own file to what an expression such as `Path(__file__).parent / "x"` names.

    None where it does not begin at `__file__`; a step `?` where the rest cannot be known: anything below counts.
    """
    if isinstance(node, ast.Name):
        return () if node.id == "__file__" else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        before = _path_from_file(node.left)
        return None if before is None else (*before, _step(node.right))
    if isinstance(node, ast.Attribute):
        before = _path_from_file(node.value)
        return (*before, "..") if before is not None and node.attr == "parent" else before
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == "parents":
        before = _path_from_file(node.value.value)
        level = node.slice.value if isinstance(node.slice, ast.Constant) else None
        return None if before is None else (*before, *([".."] * (level + 1) if isinstance(level, int) else ["?"]))
    if isinstance(node, ast.Call):
        name = _last_name(node.func)
        if isinstance(node.func, ast.Attribute) and (before := _path_from_file(node.func.value)) is not None:
            if name in ("resolve", "absolute"):
                return before
            if name in ("joinpath", "with_name", "with_suffix"):
                steps = ["?"] if name == "with_suffix" else [_step(argument) for argument in node.args]
                return (*before, *([".."] if name != "joinpath" else []), *steps)
        elif name in ("Path", "PurePath", "str", "fspath", "abspath", "dirname", "join") and node.args:
            before = _path_from_file(node.args[0])
            up = [".."] if name == "dirname" else []
            return None if before is None else (*before, *up, *map(_step, node.args[1:]))
    return None


def _step(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "?"
