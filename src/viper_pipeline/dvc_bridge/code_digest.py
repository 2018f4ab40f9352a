"""Digests of what a function can reach in a package, by meaning: what a stage's result depends on in the code.

From a function on, every name that a definition uses leads to other definitions, through imports, re-exports and
attributes of modules. A class counts whole; of a registry only the entries that were chosen, of `REGISTRY.names()` only
their names, and of `REGISTRY.get(...).label` only the literals that their classes set it to. Reaching a module, also by
importing it, brings in those of its statements that do something when it is imported. What cannot be known without
running the code counts whole: a module that is handed around, computed names, star imports. Data files that a module
names beside itself count by their bytes.

A digest is a hash of the set of definitions, each by what it says and by the names of what it uses. Where a definition
stands is no part of it. Nothing is imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import atomic_write
from viper_pipeline.dvc_bridge import code_reader
from viper_pipeline.dvc_bridge.code_reader import RESOURCES, Ref, Source, Unit, from_json, parse_source

Place = tuple[str, int]
"""A unit: its module, and which of its units it is."""
Use = tuple[Place, str | None]
"""A unit, and what of it: of a registry an attribute of its classes, or `""` for its names; None for all else."""
Choice = Mapping[str, Collection[str]]
"""`module:NAME` of a registry -> the entries that are used"""
LENGTH = 16
"""Hexadecimal digits of a digest."""


@dataclass
class Reached:
    """What a function can reach."""

    chosen: Mapping[str, Collection[str]] = field(default_factory=dict)  # of registries, by `module:NAME`
    units: set[Place] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)  # imported
    whole: set[str] = field(default_factory=set)  # of which every unit counts
    tables: set[str] = field(default_factory=set)  # registries, `module:NAME`
    asked: set[Use] = field(default_factory=set)  # of registries
    data: set[tuple[str, Path]] = field(default_factory=set)  # name as the code says it, file


@dataclass(frozen=True)
class Meaning:
    """What a name stands for."""

    places: tuple[Place, ...] = ()
    word: str = ""  # the name of the definition, or the whole name of what lies outside of the package
    module: str = ""  # of the package, if it is a module
    unknown: str = ""  # a module of the package that may have this name, somehow
    through: tuple[str, ...] = ()  # modules that are imported before it


class Code:
    """One package, read from its files."""

    def __init__(self, package: str, folder: Path, kept: Path | None = None) -> None:
        """kept: a file that keeps what was read, for the next process."""
        self.package, self.folder, self.kept = package, folder, kept
        self.sources: dict[str, Source | None] = {}
        self.paths: dict[str, Path | None] = {}
        self._meanings: dict[tuple[str, Ref], Meaning] = {}
        self._plain: dict[Place, str] = {}
        self._deep_hashes: dict[Place, str] = {}
        self._table_classes: set[Place] | None = None
        self._read: dict[str, list] = self._load()
        self._new = False

    @classmethod
    def of(cls, root: Path) -> Code:
        """The code of the project at `root`."""
        from viper_pipeline.dvc_bridge.project import package_name, source_folder

        package = package_name(root)
        folder = source_folder(root) / package
        if not folder.is_dir():  # installed, and no checkout
            spec = importlib.util.find_spec(package)
            assert spec is not None and spec.origin is not None
            folder = Path(spec.origin).parent
        return cls(package, folder, root / ".viper" / "code_cache.json")

    # digests

    def digest(self, function: str, chosen: Choice | None = None, bound: Mapping[str, object] | None = None) -> str:
        """The digest of `module:function`.

        chosen: the used entries of registries, also names that are none; of a registry that is not named here, all
        entries count. bound: values that the pipeline fixes. Raises BadParams if there is no such function.
        """
        chosen = {self.address(table): set(names) for table, names in (chosen or {}).items()}
        reached = self.reach(function, chosen)
        parts = {self._entry(function), *map(self._deep, reached.units)}
        for place, asked in reached.asked:
            others = {other for one, other in reached.asked if one == place and other != asked}
            if asked is not None and (None in others or (asked == "" and others)):
                continue  # is part of these
            for entry, target in self._used(place, reached):
                literals = self._literals(target, asked) if asked else []
                said = f"{asked} {literals}" if literals else self._word(target) if asked != "" else ""
                parts.add(f"{self._unit(place).names[0]}[{entry}]={said}")
        parts |= {f"{name}:{hashlib.md5(path.read_bytes()).hexdigest()}" for name, path in reached.data}
        parts |= {f"{name}={value!r}" for name, value in (bound or {}).items()}
        return hashlib.md5("\n".join(sorted(parts)).encode()).hexdigest()[:LENGTH]

    def reach(self, function: str, chosen: Mapping[str, Collection[str]] | None = None) -> Reached:
        """Everything that `module:function` can reach; keys of `chosen` are addresses."""
        module, _, name = function.partition(":")
        start = self._find(module, name.partition(".")[0])
        if not start.places:
            raise BadParams(f"{function}: there is no such function; run `viper dvc sync`")
        found = Reached(chosen or {})
        todo: list[Use] = []
        self._import(module, found, todo)
        todo += [(place, None) for place in start.places]
        while todo:
            place, asked = todo.pop()
            unit, module = self._unit(place), place[0]
            if unit.table:
                self._take_table(place, asked, found, todo)
            if place in found.units:
                continue
            found.units.add(place)
            self._import(module, found, todo)
            for imported in unit.imports:
                self._import(imported, found, todo)
            for ref in unit.refs:
                if not (unit.table and ref.root == f"name:{unit.names[0]}"):  # its own name
                    self._follow(self._meaning(module, ref), found, todo, ref.asked)
            for steps in unit.data:
                self._take_data(module, steps, found, todo)
            if unit.unclear == "module":
                self._take_whole(module, found, todo)
            elif unit.unclear and not (unit.unclear == "import" and self._makes_tables(place)):
                for one in self.modules():
                    self._take_whole(one, found, todo)
            for star in self._source(module).stars:
                self._take_whole(star, found, todo)
        return found

    def address(self, table: str) -> str:
        """`module:NAME` of where a registry is defined, of a name under which it can be imported."""
        module, _, name = table.partition(":")
        meaning = self._find(module, name)
        if not meaning.places:
            raise BadParams(f"{table}: there is no such registry")
        return f"{meaning.places[0][0]}:{meaning.word}"

    def entries(self, table: str) -> dict[str, str]:
        """The entries of a registry: name -> `module:object`."""
        module, _, name = table.partition(":")
        return {key: target for place in self._find(module, name).places for key, target in self._unit(place).table}

    def _used(self, place: Place, found: Reached) -> list[tuple[str, Meaning]]:
        """The entries of a registry that are used."""
        wanted = found.chosen.get(self._address(place))
        table = self._unit(place).table
        return [(name, self._target(target)) for name, target in table if wanted is None or name in wanted]

    def _address(self, place: Place) -> str:
        return f"{place[0]}:{self._unit(place).names[0]}"

    def _take_table(self, place: Place, asked: str | None, found: Reached, todo: list[Use]) -> None:
        """What a registry names. A class that may not set `asked` to a literal counts whole."""
        if (place, asked) in found.asked:
            return
        found.asked.add((place, asked))
        found.tables.add(self._address(place))
        for _, target in self._used(place, found) if asked != "" else ():
            if not asked or not self._literals(target, asked):
                self._follow(target, found, todo)
            for module in target.through:  # where `get` imports it from
                self._import(module, found, todo)

    def _literals(self, kind: Meaning, attribute: str) -> list[str]:
        """What a class and its bases set an attribute to; empty where its value may be no literal, or another."""
        found: list[str] = []
        kinds = [kind]
        for kind in kinds:  # and those that are added on the way
            unit = self._unit(kind.places[0]) if len(kind.places) == 1 else None
            if unit is None or unit.bases is None or unit.names != (kind.word,):
                return []
            values = [text for name, text in unit.constants if name == attribute]
            if "" in values:
                return []
            found += [f"{kind.word} {text}" for text in values]
            bases = [self._meaning(kind.places[0][0], ref) for ref in unit.bases]
            kinds += [base for base in bases if base not in kinds]
        return found

    def _follow(self, meaning: Meaning, found: Reached, todo: list[Use], asked: str = "") -> None:
        """asked: the attribute of what a registry's `get` returns, if that is all that is used."""
        for module in meaning.through:
            self._import(module, found, todo)
        for place in meaning.places:
            called = meaning.word.partition(".")[2] if self._unit(place).table else ""
            todo.append((place, asked if called == "names" or (called == "get" and asked) else None))
        for module in (meaning.module, meaning.unknown):
            if module:
                self._take_whole(module, found, todo)
        if meaning.word.startswith(RESOURCES):
            self._take_files(self.folder, "", found, todo)

    def _import(self, module: str, found: Reached, todo: list[Use]) -> None:
        """What runs when a module of the package is imported."""
        pending = [module]
        while pending:
            module = pending.pop()
            if module in found.modules or self._source_or_none(module) is None:
                continue
            found.modules.add(module)
            source = self._source(module)
            todo += [((module, number), None) for number, unit in enumerate(source.units) if unit.effect]
            pending += [module.rpartition(".")[0], *source.imports]
            pending += [f"{root[5:].replace(':', '.')}" for roots in source.bindings.values() for root in roots]

    def _take_whole(self, module: str, found: Reached, todo: list[Use]) -> None:
        if module in found.whole or self._source_or_none(module) is None:
            return
        found.whole.add(module)
        self._import(module, found, todo)
        source = self._source(module)
        todo += [((module, number), None) for number in range(len(source.units))]
        for roots in source.bindings.values():  # names that it lends
            for root in roots:
                self._follow(self._meaning(module, Ref(root)), found, todo)
        path = self._path(module)
        if path is not None and path.name == "__init__.py":  # modules in it are names of it
            inside = [child.stem if child.is_file() else child.name for child in sorted(path.parent.iterdir())]
            for name in inside:
                self._take_whole(f"{module}.{name}", found, todo)

    def _take_data(self, module: str, steps: tuple[str, ...], found: Reached, todo: list[Use]) -> None:
        path = self._path(module)
        assert path is not None
        folder = path.parent
        for step in steps:
            if step == "?":
                break
            path = path.parent if step == ".." else path / step
        self._take_files(path, os.path.relpath(path, folder), found, todo)

    def _take_files(self, path: Path, name: str, found: Reached, todo: list[Use]) -> None:
        """A file, or all that lies in a folder. Outside of the package nothing counts."""
        if not path.is_relative_to(self.folder) or "__pycache__" in path.parts:
            return
        if path.is_dir():
            for child in sorted(path.iterdir()):
                self._take_files(child, f"{name}/{child.name}", found, todo)
        elif path.suffix == ".py":
            parts = path.relative_to(self.folder.parent).with_suffix("").parts
            self._take_whole(".".join(parts[:-1] if parts[-1] == "__init__" else parts), found, todo)
        elif path.is_file():
            found.data.add((name, path))

    # names

    def _target(self, target: str) -> Meaning:
        module, _, name = target.partition(":")
        return self._meaning("", Ref(f"from:{module}:{name}"))

    def _meaning(self, module: str, ref: Ref) -> Meaning:
        """What a use of a name in a module stands for."""
        if (module, ref) not in self._meanings:
            self._meanings[module, ref] = self._look_up(module, ref)
        return self._meanings[module, ref]

    def _look_up(self, module: str, ref: Ref) -> Meaning:
        kind, _, rest = ref.root.partition(":")
        if kind == "name":
            found = self._find(module, rest)
            if not (found.places or found.module or found.unknown or found.word):
                return Meaning(word=".".join((rest, *ref.attributes)))  # a builtin
            return self._go_on(found, ref.attributes)
        if kind == "from":
            base, _, name = rest.partition(":")
            return self._go_on(self._there(base, name), ref.attributes)
        if kind == "text":  # a string that may name a module, or something in one
            steps = rest.split(".")
            for length in range(len(steps), 1, -1):
                if self._path(base := ".".join(steps[:length])):
                    return self._go_on(Meaning(module=base), (*steps[length:], *ref.attributes))
            return Meaning()
        return self._go_on(self._module(rest), ref.attributes)

    def _go_on(self, found: Meaning, attributes: tuple[str, ...]) -> Meaning:
        """Attributes of what was found: names, as long as it is a module."""
        through = found.through
        for number, attribute in enumerate(attributes):
            if not found.module:
                rest = attributes[number:]
                return Meaning(found.places, ".".join((found.word, *rest)), "", found.unknown, through)
            found = self._there(found.module, attribute)
            through += found.through
        return Meaning(found.places, found.word, found.module, found.unknown, through)

    def _there(self, module: str, name: str) -> Meaning:
        """The same for a name that must be there: where it is not found, the module makes it when it runs."""
        found = self._find(module, name)
        if found.places or found.module or found.unknown or found.word or not self._path(module):
            return found
        return Meaning(word=name, unknown=module, through=(module,))

    def _module(self, name: str) -> Meaning:
        if self._ours(name):
            return Meaning(module=name, word="<module>", through=(name,))
        return Meaning(word=name)

    def _find(self, module: str, name: str, seen: frozenset[tuple[str, str]] = frozenset()) -> Meaning:
        """What `name` is at the top level of a module."""
        if not self._ours(module):
            return Meaning(word=f"{module}.{name}")
        if (source := self._source_or_none(module)) is None or (module, name) in seen:
            return Meaning()
        seen |= {(module, name)}
        through: tuple[str, ...] = (module,)
        places = tuple((module, number) for number, unit in enumerate(source.units) if name in unit.names)
        unknown = inner = ""
        word = name if places else ""
        for root in source.bindings.get(name, ()):
            kind, _, rest = root.partition(":")
            base, _, other = rest.partition(":")
            found = self._find(base, other, seen) if kind == "from" else self._module(rest)
            places, through = (*places, *found.places), (*through, *found.through)
            word, inner, unknown = word or found.word, inner or found.module, unknown or found.unknown
        if places or word or inner or unknown:
            return Meaning(places, word, inner, unknown, through)
        if self._path(f"{module}.{name}"):
            return self._module(f"{module}.{name}")
        for star in source.stars:
            found = self._find(star, name, seen)
            if found.places or found.module:
                return found
        if any("__getattr__" in unit.names for unit in source.units):
            return Meaning(unknown=module, word=name, through=through)
        return Meaning()

    # definitions

    def _plain_hash(self, place: Place) -> str:
        """What a unit says, with the names of what it uses."""
        if place not in self._plain:
            unit = self._unit(place)
            words = [self._meaning(place[0], ref).word for ref in unit.refs]
            self._plain[place] = hashlib.md5(" ".join((unit.text, *words)).encode()).hexdigest()
        return self._plain[place]

    def _word(self, meaning: Meaning) -> str:
        return " ".join((meaning.word, *sorted(map(self._plain_hash, meaning.places))))

    def _deep(self, place: Place) -> str:
        """A unit, and what those say that it uses: two functions of one name are kept apart."""
        if place not in self._deep_hashes:
            used = [self._word(self._meaning(place[0], ref)) for ref in self._unit(place).refs]
            self._deep_hashes[place] = hashlib.md5("\n".join((self._plain_hash(place), *used)).encode()).hexdigest()
        return self._deep_hashes[place]

    def _entry(self, function: str) -> str:
        module, _, name = function.partition(":")
        return f"from {self._word(self._find(module, name.partition('.')[0]))} {name.partition('.')[2]}"

    def _makes_tables(self, place: Place) -> bool:
        """Whether it is the class of a registry: what it imports by computed names are a registry's entries."""
        if self._table_classes is None:
            self._table_classes = {
                found
                for module in self.modules()
                for unit in self._source(module).units
                if unit.table
                for ref in unit.refs
                for found in self._meaning(module, ref).places
            }
        return place in self._table_classes

    # files

    def modules(self) -> list[str]:
        """Every module of the package."""
        found = []
        for path in sorted(self.folder.rglob("*.py")):
            parts = path.relative_to(self.folder.parent).with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        return found

    def save(self) -> None:
        """Keep what was read, for the next process."""
        if self.kept and self._new:
            atomic_write(self.kept, json.dumps(self._read, separators=(",", ":")).encode())
            self._new = False

    def _load(self) -> dict[str, list]:
        try:
            kept = json.loads(self.kept.read_text()) if self.kept else {}
        except (OSError, ValueError):
            return {}
        return kept if kept.get("") == [_reader_version()] else {}

    def _ours(self, module: str) -> bool:
        return module == self.package or module.startswith(f"{self.package}.")

    def _unit(self, place: Place) -> Unit:
        return self._source(place[0]).units[place[1]]

    def _source(self, module: str) -> Source:
        source = self._source_or_none(module)
        assert source is not None, module
        return source

    def _source_or_none(self, module: str) -> Source | None:
        """The module's units; None if there is no such module in the package."""
        if module not in self.sources:
            path = self._path(module)
            self.sources[module] = self._parse(module, path) if path else None
        return self.sources[module]

    def _parse(self, module: str, path: Path) -> Source:
        content = path.read_bytes()
        key = f"{hashlib.md5(content).hexdigest()} {path.name == '__init__.py'}"
        if (kept := self._read.get(module)) and kept[0] == key:
            return from_json(kept[1])
        try:
            source = parse_source(content.decode(), module, path.name == "__init__.py", self.package)
        except (SyntaxError, ValueError) as error:
            raise BadParams(f"{path}: cannot be read as Python ({error})") from error
        self._read[""] = [_reader_version()]
        self._read[module] = [key, source]
        self._new = True
        return source

    def _path(self, module: str) -> Path | None:
        """The file of a module of the package; None for everything else."""
        if module not in self.paths:
            first, *rest = module.split(".")
            base = self.folder.joinpath(*rest)
            candidates = [base / "__init__.py", *([base.with_suffix(".py")] if rest else [])]
            ours = first == self.package
            self.paths[module] = next((path for path in candidates if path.is_file()), None) if ours else None
        return self.paths[module]


def _reader_version() -> str:
    """Another, when the same file may be read as something else."""
    own = Path(code_reader.__file__).read_bytes()
    return f"{sys.version_info[:2]} {hashlib.md5(own).hexdigest()}"
