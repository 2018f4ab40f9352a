"""What happens around every node: its recipe is set, its folder locked, its cost noted. Kept light: every start pays."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl


class ProjectHooks:
    """Works the same under `viper stage` (DVC) and `kedro run`."""

    def __init__(self) -> None:
        self.node: str | None = None
        self.unsaved: set[str] = set()

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Put in the files and folders of videos that params.yaml names."""
        from viper_pipeline.graph.project import project_root, read_params, registry
        from viper_pipeline.pipelines.datasets import SourcePath

        self.catalog, self.root = catalog, project_root()
        self.registry = registry(self.root)
        for name, path in self.registry.sources(read_params(self.root / "params.yaml")).items():
            catalog[name] = SourcePath(filepath=str(self.root / path))

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Any) -> None:
        """The first dataset of a node: begin."""
        if self.node != node.name:
            self._begin(node)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Any) -> None:
        """The last dataset of a node: end."""
        self.unsaved.discard(dataset_name)
        if not self.unsaved:
            self._end(node)

    def _begin(self, node: Any) -> None:
        from viper_pipeline.graph.code import Code
        from viper_pipeline.graph.recipe import make_recipe, set_current
        from viper_pipeline.graph.stages import code_files

        self.node, self.unsaved, self.begun = node.name, set(node.outputs), time.monotonic()
        params = {
            name.removeprefix("params:"): self.catalog.load(name) for name in node.inputs if name.startswith("params:")
        }
        recipe = make_recipe(
            node.name,
            params,
            [p for name in node.inputs if not name.startswith("params:") and (p := self._path(name))],
            [p for name in node.outputs if (p := self._path(name))],
            code_files(Code.of(self.root), node.func, self.registry),
            self.root,
        )
        self.lock, self.recipe = recipe.lock(), recipe
        set_current(recipe)

    def _end(self, node: Any) -> None:
        from viper_pipeline.files import atomic_write
        from viper_pipeline.graph.recipe import set_current

        self.recipe.forget(self.lock)
        set_current(None)
        kilobytes = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        cost = {"seconds": round(time.monotonic() - self.begun, 1), "peak_rss_mb": round(kilobytes / 1024)}
        atomic_write(self.root / ".viper" / "costs" / f"{node.name}.json", json.dumps(cost).encode())
        self.node = None

    def _path(self, dataset: str) -> Path | None:
        path = getattr(self.catalog.get(dataset), "path", None)
        return path if path is not None and path != Path() else None
