"""The pipelines as templates: Kedro's nodes as DVC's stages, with symbols in place of the grid's values.

Built with a symbol in place of each value of an axis, every name, file and parameter of a node comes out as a
template; a symbol turns into DVC's own `${item.task}`. No text is guessed. Templates, expanded over params.yaml, must
be exactly the real pipelines: only then can dvc.yaml describe them.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from viper_pipeline.core.errors import BadParams, ViperError
from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.dvc_bridge.project import MISSING, Project, bootstrap, param_at, project_of

SYMBOL = re.compile(r"zq(?P<block>[A-Za-z0-9_-]+?)zq(?P<kind>[a-z_]+?)qz")

SHOWN = 6
"""Differences that a message lists."""
PRIVATE = ("scratch", "provenance", "costs")
"""Kinds of datasets (metadata.dvc.kind) that are no files of the graph: see README.md."""


def symbol(block: str, kind: str) -> str:
    """A word that no name contains, legal wherever names are. block: whose axis it is."""
    return f"zq{block}zq{kind}qz"


class Grid:
    """A project's axes over its parameters."""

    def __init__(self, project: Project, params: JsonView) -> None:
        self.project, self.params = project, params

    def symbolic(self) -> JsonView:
        """The parameters with each axis' list replaced by one symbol."""
        return self.project.symbolic(self.params, symbol)

    def symbols_in(self, texts: Iterable[str]) -> dict[str, str]:
        """kind -> block of every symbol in some texts: axes in the project's order, then what runs over all."""
        found = {m["kind"]: m["block"] for text in texts for m in SYMBOL.finditer(text)}
        order = (*self.project.axes, *self.project.every, *self.project.lookups)

        def place(kind: str) -> tuple[int, str]:
            return next((i for i, name in enumerate(order) if _matches(kind, name)), len(order)), kind

        return {kind: found[kind] for kind in sorted(found, key=place)}

    def is_axis(self, kind: str) -> bool:
        """Whether a stage can run over it."""
        return any(_matches(kind, axis) for axis in self.project.axes)

    def is_lookup(self, kind: str) -> bool:
        """Whether it is a value that depends on an axis' value."""
        return kind in self.project.lookups

    def list_of(self, kind: str, block: str) -> str:
        """The list in params.yaml that a symbol stands for."""
        kind = self.project.every.get(kind, kind)
        for axis, path in self.project.axes.items():
            if _matches(kind, axis):
                return path.replace("{block}", block).replace("{*}", kind.removeprefix(axis.rstrip("*")))
        raise BadParams(f"the project declares no axis '{kind}'")

    def values_of(self, kind: str, block: str) -> list[str]:
        """What a symbol stands for, over all of the grid."""
        values = param_at(self.params, path := self.list_of(kind, block))
        if values is MISSING:
            raise BadParams(f"params.yaml: has no {path}")
        return [str(value) for value in values]

    def assignments(self, kinds: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """Every combination of values of some axes: axis -> value."""
        lists = [self.values_of(kind, block) for kind, block in kinds.items()]
        for combination in itertools.product(*lists):
            yield dict(zip(kinds, combination, strict=True))

    def put(self, text: str, values: Mapping[str, str]) -> str:
        """`text` with values in place of symbols; what is looked up goes by its axis' value."""

        def one(match: re.Match[str]) -> str:
            kind, block = match["kind"], match["block"]
            if (lookup := self.project.lookups.get(kind)) and lookup.axis in values:
                table = param_at(self.params, lookup.table.replace("{block}", block))
                return str(table[values[lookup.axis]][lookup.field])
            return values.get(kind, match.group())

        return SYMBOL.sub(one, text)

    def spread(self, text: str) -> list[str]:
        """`text` once for every combination of values of the symbols that are left in it."""
        return [self.put(text, values) for values in self.assignments(self.symbols_in([text]))]


def _matches(kind: str, axis: str) -> bool:
    return kind.startswith(axis[:-1]) if axis.endswith("*") else kind == axis


def unwrapped(function: Callable) -> Callable:
    """The function inside partials and decorators."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            return function


def bound_values(function: Callable) -> Json:
    """The keywords that a partial holds."""
    return dict(function.keywords) if isinstance(function, functools.partial) else {}


@dataclass(frozen=True)
class Stage:
    """One node, in words of the disk. All texts may hold symbols."""

    group: str  # the pipeline: which dvc.yaml
    name: str  # the stage: `train_tokenizer`
    item: str  # which of them: `cartpole_balance`, or `all`
    function: str  # `module:name`
    bound: Mapping[str, str]  # values that the pipeline fixes
    deps: tuple[str, ...]  # files and folders that it reads
    params: tuple[str, ...]  # dotted names
    outs: Mapping[str, JsonView] = field(default_factory=dict)  # path -> metadata.dvc

    @property
    def node(self) -> str:
        """Kedro's name of the node."""
        return f"{self.group}.{self.name}.{self.item}"

    @property
    def texts(self) -> tuple[str, ...]:
        """What decides which axes the stage runs over."""
        return (self.item, *self.outs)


class Wiring:
    """The project's pipelines and catalog, read once; builds stages from any parameters."""

    def __init__(self, root: Path) -> None:
        bootstrap(root)
        from kedro.framework.project import settings
        from kedro.io.catalog_config_resolver import DEFAULT_RUNTIME_PATTERN, CatalogConfigResolver

        loader = settings.CONFIG_LOADER_CLASS(
            conf_source=str(root / settings.CONF_SOURCE), **settings.CONFIG_LOADER_ARGS
        )
        self.root, self.project = root, project_of(root)
        self.catalog = CatalogConfigResolver(loader["catalog"], default_runtime_patterns=DEFAULT_RUNTIME_PATTERN)

    def templates(self, grid: Grid, group: str = "", name: str = "") -> list[Stage]:
        """Stages built from symbols: all, or those called `name` in `group`."""
        try:
            return self.stages(grid.symbolic(), group, name)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ViperError):
                raise
            raise BadParams(
                f"the pipelines cannot be built from stand-ins for the values of axes ({', '.join(self.project.axes)}: "
                f"{type(error).__name__}: {error}); what differs from value to value belongs in params.yaml, read as "
                "an input `params:...`, not looked up while the pipeline is built"
            ) from error

    def stages(self, params: JsonView, group: str = "", name: str = "") -> list[Stage]:
        """Stages of the pipelines built from `params`: all, or those called `name` in `group`."""
        sources = self.project.sources(params)
        prefix = f"{group}.{name}." if name else ""
        return [
            self._stage(pipeline_name, node, sources)
            for pipeline_name, pipeline in self.project.build(params).items()
            if group in ("", pipeline_name)
            for node in pipeline.nodes
            if node.name.startswith(prefix)
        ]

    def _stage(self, group: str, node: Any, sources: Mapping[str, str]) -> Stage:
        name, _, item = node.name.removeprefix(f"{group}.").partition(".")
        if node.name != f"{group}.{name}.{item}" or not item:
            raise BadParams(f"{node.name}: a node of pipeline {group} is called {group}.<stage>.<item>")
        deps, params = [], []
        for dataset in node.inputs:
            if dataset == "parameters":
                raise BadParams(f"{node.name} takes all `parameters`: name the ones it uses")
            if dataset.startswith("params:"):
                params.append(dataset.removeprefix("params:"))
            elif (path := self._path(dataset, sources)) is not None:
                deps.append(path)
        outs = {}
        for dataset in node.outputs:
            path = self._path(dataset, sources)
            if path is None:
                raise BadParams(f"{node.name}: its output {dataset} has no file in conf/base/catalog.yml")
            outs[path] = self._metadata(dataset)
            outs |= {str(PurePosixPath(path).with_suffix(suffix)): {} for suffix in outs[path].get("beside", ())}
        function = unwrapped(node.func)
        return Stage(
            group,
            name,
            item,
            f"{function.__module__}:{function.__qualname__}",
            {name: str(value) for name, value in bound_values(node.func).items()},
            tuple(sorted(deps)),
            tuple(sorted(set(params) - set(self.project.neutral))),
            outs,
        )

    def _metadata(self, dataset: str) -> Json:
        return ((self.catalog.resolve_pattern(dataset) or {}).get("metadata") or {}).get("dvc", {})

    def _path(self, dataset: str, sources: Mapping[str, str]) -> str | None:
        """The file of a dataset; None for what only the running stage knows (see `kind` in README.md)."""
        if dataset in sources:
            return sources[dataset]
        if self._metadata(dataset).get("kind") in PRIVATE:
            return None
        entry = self.catalog.resolve_pattern(dataset) or {}
        if "filepath" not in entry:
            raise BadParams(f"dataset {dataset} has no file in conf/base/catalog.yml")
        return str(entry["filepath"])


def own_axes(stage: Stage, grid: Grid) -> dict[str, str]:
    """The axes that a stage runs over: axis -> block."""
    return {kind: block for kind, block in grid.symbols_in(stage.texts).items() if grid.is_axis(kind)}


def expand(stage: Stage, grid: Grid) -> Iterable[Stage]:
    """A template as the real stages that it stands for."""
    for values in grid.assignments(own_axes(stage, grid)):

        def every(texts: Iterable[str], values: dict[str, str] = values) -> tuple[str, ...]:
            return tuple(sorted({one for text in texts for one in grid.spread(grid.put(text, values))}))

        outs = {grid.put(path, values): meta for path, meta in stage.outs.items()}
        bound = {name: grid.put(value, values) for name, value in stage.bound.items()}
        item = grid.put(stage.item, values)
        yield Stage(stage.group, stage.name, item, stage.function, bound, every(stage.deps), every(stage.params), outs)


def verify_templates(templates: Iterable[Stage], real: Iterable[Stage], grid: Grid) -> None:
    """Raise BadParams if code treats one value of an axis unlike the others."""
    said = {one.node: one for stage in templates for one in expand(stage, grid)}
    wired = {stage.node: stage for stage in real}
    problems = []
    for node in sorted({*said, *wired}):
        if node not in wired:
            problems.append(f"{node} is missing")
        elif node not in said:
            problems.append(f"{node} is there, though the grid has no place for it")
        elif unlike := _differences(said[node], wired[node]):
            problems.append(f"{node}: {unlike}")
    if problems:
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        axes = ", ".join(grid.project.axes)
        raise BadParams(
            f"the pipelines are not the same for every value of an axis ({axes}), so no dvc.yaml can say what they "
            "are (what differs from value to value belongs in params.yaml):\n  " + "\n  ".join(problems[:SHOWN]) + more
        )


def _differences(said: Stage, wired: Stage) -> str:
    pairs = {
        "function": ({said.function}, {wired.function}),
        "bound values": ({f"{k}={v}" for k, v in said.bound.items()}, {f"{k}={v}" for k, v in wired.bound.items()}),
        "reads": (set(said.deps), set(wired.deps)),
        "parameters": (set(said.params), set(wired.params)),
        "writes": (set(said.outs), set(wired.outs)),
    }
    return "; ".join(
        f"{what} {', '.join(sorted(b - a)) or 'nothing'}, not {', '.join(sorted(a - b)) or 'nothing'}"
        for what, (a, b) in pairs.items()
        if a != b
    )
