"""Kedro's nodes as DVC's stages: what each reads, writes and depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from viper_pipeline.errors import BadParams
from viper_pipeline.graph.code import Code, bound_values
from viper_pipeline.graph.project import registry
from viper_pipeline.graph.symbols import SYMBOL, values_of


@dataclass(frozen=True)
class Stage:
    """One node, in words of the disk. All texts may hold symbols."""

    group: str  # the pipeline: which dvc.yaml
    name: str  # the stage: `train_tokenizer`
    item: str  # which of them: `cartpole_balance`, or `all`
    deps: tuple[str, ...]  # files and folders that it reads
    code: tuple[str, ...]  # source files
    params: tuple[str, ...]  # dotted names
    outs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # path -> metadata.dvc

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
        from kedro.framework.project import settings
        from kedro.framework.startup import bootstrap_project
        from kedro.io.catalog_config_resolver import DEFAULT_RUNTIME_PATTERN, CatalogConfigResolver

        bootstrap_project(root)
        loader = settings.CONFIG_LOADER_CLASS(
            conf_source=str(root / settings.CONF_SOURCE), **settings.CONFIG_LOADER_ARGS
        )
        self.root, self.registry = root, registry(root)
        self.catalog = CatalogConfigResolver(loader["catalog"], default_runtime_patterns=DEFAULT_RUNTIME_PATTERN)
        self.code = Code.of(root)

    def stages(self, params: Mapping[str, Any], grid: Mapping[str, Any]) -> list[Stage]:
        """Stages of the pipelines built from `params`; `grid` holds the values that symbols in it stand for."""
        sources = self.registry.sources(params)
        pipelines = self.registry.build(params)
        return [
            self._stage(group, node, sources, grid) for group, pipeline in pipelines.items() for node in pipeline.nodes
        ]

    def _stage(self, group: str, node: Any, sources: Mapping[str, str], grid: Mapping[str, Any]) -> Stage:
        name, _, item = node.name.removeprefix(f"{group}.").partition(".")
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
            outs[path] = (self.catalog.resolve_pattern(dataset).get("metadata") or {}).get("dvc", {})
        code = tuple(sorted(code_files(self.code, node.func, self.registry, grid)))
        return Stage(group, name, item, tuple(sorted(deps)), code, tuple(sorted(params)), outs)

    def _path(self, dataset: str, sources: Mapping[str, str]) -> str | None:
        """The file of a dataset; None for a stage's private scratch folder."""
        if dataset in sources:
            return sources[dataset]
        entry = self.catalog.resolve_pattern(dataset)
        if (entry.get("metadata") or {}).get("dvc", {}).get("kind") == "scratch":
            return None
        if "filepath" not in entry:
            raise BadParams(f"dataset {dataset} has no file in conf/base/catalog.yml")
        return str(entry["filepath"])


def code_files(code: Code, function: Any, registry: Any, grid: Mapping[str, Any] | None = None) -> set[str]:
    """Source files of a node: of its module, and of the components that its bound values name.

    Where a value is a symbol, it stands for every component in the lists of `grid`.
    """
    modules = []
    for keyword, value in bound_values(function).items():
        if keyword in registry.PLUGS:
            match = SYMBOL.fullmatch(str(value))
            names = values_of(match["kind"], match["suite"], grid or {}) if match else [str(value)]
            modules += [registry.PLUGS[keyword].module(name) for name in names]
    return code.files(function, tuple(modules))
