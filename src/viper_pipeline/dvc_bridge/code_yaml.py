"""`code.yaml`: one digest per stage, of the code that its function can reach. DVC reads them as parameters.

Which function a stage runs stands in pipelines/stages.yaml, which `viper dvc sync` writes; so neither Kedro nor the
project's own modules are needed to see what has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import Json, JsonView, atomic_write
from viper_pipeline.dvc_bridge.code_digest import Code
from viper_pipeline.dvc_bridge.project import MISSING, Part, Project, package_name, param_at, read_params, source_folder

if TYPE_CHECKING:
    from viper_pipeline.dvc_bridge.templates import Grid

FILE = "code.yaml"
TABLE = "pipelines/stages.yaml"
STAGE = "code"
"""The stage that writes code.yaml; DVC runs it each time."""
CODE_HEADER = (
    "# Written by `viper dvc code`: a digest of the code of each stage, by pipeline. A stage whose digest has changed\n"
    "# runs again. Comments, docstrings, and where a definition stands are no part of it.\n"
)


@dataclass(frozen=True)
class StageEntry:
    """One stage of the table. Texts may hold axes as `{model}`."""

    function: str  # `module:name`
    bound: Mapping[str, object] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # registry -> {value} or {path, default}
    axes: Mapping[str, str] = field(default_factory=dict)  # that parts depend on -> its list in params.yaml

    def key(self, words: Mapping[str, str]) -> str:
        """What follows the stage in the name of a digest; words: axis -> a value, or what stands for it."""
        return "".join(f".{words[axis]}" for axis in self.axes)


Table = Mapping[str, Mapping[str, StageEntry]]
"""pipeline -> stage -> entry"""


def read_table(root: Path) -> Table:
    """pipelines/stages.yaml. Raises BadParams if it is not there."""
    path = root / TABLE
    if not path.is_file():
        raise BadParams(f"{path}: is not there; run `viper dvc sync`")
    return {
        group: {name: StageEntry(**entry) for name, entry in stages.items()}
        for group, stages in read_params(path).items()
    }


def table_text(table: Table) -> str:
    """The text of pipelines/stages.yaml."""
    import yaml

    plain = {
        group: {
            name: {key: value for key, value in vars(entry).items() if value} for name, entry in sorted(stages.items())
        }
        for group, stages in table.items()
    }
    return yaml.safe_dump(plain, sort_keys=False, width=110, default_flow_style=None)


def chosen(entry: StageEntry, values: Mapping[str, str], params: JsonView) -> dict[str, list[str]]:
    """registry -> the entries that a stage uses, for some values of its axes."""
    found = {}
    for registry, part in entry.parts.items():
        if "value" in part:
            found[registry] = [part["value"].format_map(values)]
            continue
        path = part["path"].format_map(values)
        value = param_at(params, path)
        if value is MISSING:
            if "default" not in part:
                raise BadParams(f"params.yaml: {path} is missing: it says which entry of {registry} is used")
            value = part["default"]
        found[registry] = [str(one) for one in value] if isinstance(value, list) else [str(value)]
    return found


def assignments(entry: StageEntry, params: JsonView) -> Iterator[dict[str, str]]:
    """Every combination of values of the axes that the code depends on."""
    lists = [param_at(params, path) for path in entry.axes.values()]
    for path, values in zip(entry.axes.values(), lists, strict=True):
        if values is MISSING:
            raise BadParams(f"params.yaml: has no {path}; run `viper dvc sync`")
    for combination in itertools.product(*lists):
        yield dict(zip(entry.axes, map(str, combination), strict=True))


def digests(root: Path, table: Table | None = None, code: Code | None = None) -> dict[str, str]:
    """Every digest by its dotted name: `<pipeline>.<stage>`, followed by values of the axes that choose parts."""
    table, code = table or read_table(root), code or Code.of(root)
    params = read_params(root / "params.yaml")
    found = {
        f"{group}.{name}{entry.key(values)}": code.digest(entry.function, chosen(entry, values, params), entry.bound)
        for group, stages in table.items()
        for name, entry in stages.items()
        for values in assignments(entry, params)
    }
    code.save()
    return found


def known_digests(root: Path) -> dict[str, str]:
    """The same; empty where there is no project, or no table."""
    try:
        return digests(root)
    except BadParams:
        return {}


def digest_of(
    root: Path, project: Project, group: str, name: str, bound: Mapping[str, object], params: JsonView | None = None
) -> str:
    """The digest of the code of one node, as it is now. bound: what the pipeline binds; params: None: params.yaml."""
    entry = read_table(root).get(group, {}).get(name)
    if entry is None:
        raise BadParams(f"{TABLE}: knows no stage {name} of pipeline {group}; run `viper dvc sync`")
    parts = {registry: part for registry, part in chosen_parts(project.parts, bound).items() if registry in entry.parts}
    used = chosen(replace(entry, parts=parts), {}, read_params(root / "params.yaml") if params is None else params)
    code = Code.of(root)
    digest = code.digest(entry.function, used, entry.bound)
    code.save()
    return digest


def chosen_parts(parts: Sequence[Part], bound: Mapping[str, object]) -> dict[str, dict[str, str]]:
    """The first part of each registry that bound values can fill in: registry -> {value}, or {path, default}."""
    found: dict[str, dict[str, str]] = {}
    for part in parts:
        text = part.value or part.path
        if part.registry in found or not fields_of(text) <= {*bound}:
            continue
        filled = text.format_map(bound)
        more = {"default": part.default} if part.default else {}
        found[part.registry] = {"value": filled} if part.value else {"path": filled, **more}
    return found


def make_entry(
    function: str,
    bound: Mapping[str, str],
    fixed: Mapping[str, str],
    lists: Mapping[str, str],
    grid: Grid,
    code: Code,
) -> StageEntry:
    """A row of the table, with those parts that the function can reach.

    bound: all bound values, axes as `{model}`; fixed: those of them that are the same for all; lists: axis -> the list
    in params.yaml that it runs over.
    """
    parts = chosen_parts(grid.project.parts, bound)
    used: dict[str, set[str]] = {}
    for registry, part in parts.items():
        axes = {axis: lists[axis] for text in part.values() for axis in fields_of(text)}
        entry = StageEntry(function, fixed, {registry: part}, axes)
        with contextlib.suppress(BadParams):  # of no concern, if the function does not reach it
            used[code.address(registry)] = {
                name
                for values in assignments(entry, grid.params)
                for name in chosen(entry, values, grid.params)[registry]
            }
    reached = code.reach(function, used).tables
    parts = {registry: part for registry, part in parts.items() if code.address(registry) in reached}
    keyed = {axis for part in parts.values() for text in part.values() for axis in fields_of(text)}
    return StageEntry(function, dict(fixed), parts, {axis: path for axis, path in lists.items() if axis in keyed})


def write_code(root: Path) -> bool:
    """Bring code.yaml up to date. Returns whether it has changed."""
    text = CODE_HEADER + "".join(_lines(nested(digests(root))))
    path = root / FILE
    if path.is_file() and path.read_text() == text:
        return False
    atomic_write(path, text.encode())
    return True


def source_state(root: Path) -> str:
    """Another, when a file of the package is another, by time and size."""
    folder = source_folder(root) / package_name(root)
    names = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    found = [(name, os.stat(name)) for name in sorted(names) if not name.endswith(".pyc")]
    return hashlib.md5(repr([(name, s.st_mtime_ns, s.st_size) for name, s in found]).encode()).hexdigest()


def nested(flat: Mapping[str, str]) -> Json:
    """Digests as code.yaml holds them."""
    whole: Json = {}
    for name, digest in flat.items():
        *groups, last = name.split(".")
        block = whole
        for key in groups:
            block = block.setdefault(key, {})
        block[last] = digest
    return whole


def _lines(block: JsonView, indent: str = "") -> Iterator[str]:
    """YAML, without YAML's library: names are plain words, digests are quoted."""
    for name, value in sorted(block.items()):
        if isinstance(value, Mapping):
            yield f"{indent}{name}:\n"
            yield from _lines(value, f"{indent}  ")
        else:
            yield f'{indent}{name}: "{value}"\n'


def fields_of(text: str) -> set[str]:
    """`{name}` in a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
