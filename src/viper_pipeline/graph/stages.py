"""Kedro's nodes as DVC's stages: what each reads, writes and depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from viper_pipeline.core.errors import BadParams, ViperError
from viper_pipeline.graph.code import Code, code_files, unwrapped
from viper_pipeline.graph.project import bootstrap, neutral_params, registry
from viper_pipeline.graph.symbols import spread


@dataclass(frozen=True)
class Stage:
    """One node, in words of the disk. All texts may hold symbols."""

    group: str  # the pipeline: which dvc.yaml
    name: str  # the stage: `train_tokenizer`
    item: str  # which of them: `cartpole_balance`, or `all`
    function: str  # `module:name`
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
        bootstrap(root)
        from kedro.framework.project import settings
        from kedro.io.catalog_config_resolver import DEFAULT_RUNTIME_PATTERN, CatalogConfigResolver

        loader = settings.CONFIG_LOADER_CLASS(
            conf_source=str(root / settings.CONF_SOURCE), **settings.CONFIG_LOADER_ARGS
        )
        self.root, self.registry = root, registry(root)
        self.catalog = CatalogConfigResolver(loader["catalog"], default_runtime_patterns=DEFAULT_RUNTIME_PATTERN)
        self.code = Code.of(root)

    def stages(
        self, params: Mapping[str, Any], grid: Mapping[str, Any], group: str = "", name: str = ""
    ) -> list[Stage]:
        """Stages of the pipelines built from `params`: all, or those called `name` in `group`.

        grid: the true parameters; the values that symbols in `params` stand for.
        """
        sources = self.registry.sources(params)
        try:
            pipelines = self.registry.build(params)
        except (KeyError, TypeError, ValueError) as error:
            if params is grid or isinstance(error, ViperError):
                raise
            raise BadParams(
                f"the pipelines cannot be built from stand-ins for task, model, agent and seed "
                f"({type(error).__name__}: {error}); what differs from task to task belongs in params.yaml, read as an "
                "input `params:...`, not looked up while the pipeline is built"
            ) from error
        prefix = f"{group}.{name}." if name else ""
        return [
            self._stage(pipeline_name, node, sources, grid)
            for pipeline_name, pipeline in pipelines.items()
            if group in ("", pipeline_name)
            for node in pipeline.nodes
            if node.name.startswith(prefix)
        ]

    def _stage(self, group: str, node: Any, sources: Mapping[str, str], grid: Mapping[str, Any]) -> Stage:
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
        code = code_files(self.code, node.func, self.registry.PLUGS, lambda value: spread(str(value), grid))
        return Stage(
            group,
            name,
            item,
            f"{function.__module__}:{function.__qualname__}",
            tuple(sorted(deps)),
            tuple(sorted(code)),
            tuple(sorted(set(params) - neutral_params(self.registry))),
            outs,
        )

    def _metadata(self, dataset: str) -> dict[str, Any]:
        return ((self.catalog.resolve_pattern(dataset) or {}).get("metadata") or {}).get("dvc", {})

    def _path(self, dataset: str, sources: Mapping[str, str]) -> str | None:
        """The file of a dataset; None for a stage's private scratch folder."""
        if dataset in sources:
            return sources[dataset]
        if self._metadata(dataset).get("kind") == "scratch":
            return None
        entry = self.catalog.resolve_pattern(dataset) or {}
        if "filepath" not in entry:
            raise BadParams(f"dataset {dataset} has no file in conf/base/catalog.yml")
        return str(entry["filepath"])
