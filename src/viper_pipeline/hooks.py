"""What happens around every node: its recipe is set, its scratch folder locked, its cost noted.

Kept light, since every start of Kedro pays for it. The same under `viper stage` (DVC) and `kedro run`.
"""

from __future__ import annotations

import json
import resource
import threading
import time
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

from viper_pipeline.core.errors import BadParams


class ProjectHooks:
    """A node begins with the first dataset that it loads, since its scratch folder is one of them."""

    def __init__(self) -> None:
        self.here = threading.local()  # kedro's ThreadRunner: one node a thread

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Put in the files and folders of videos that params.yaml names."""
        from kedro.io import AbstractDataset

        from viper_pipeline.graph.code import Code
        from viper_pipeline.graph.project import project_root, read_params, registry

        self.catalog, self.root = catalog, project_root()
        self.registry = registry(self.root)
        self.code = Code.of(self.root)
        for name, path in self.registry.sources(read_params(self.root / "params.yaml")).items():
            entry = catalog.config_resolver.resolve_pattern(name)
            catalog[name] = AbstractDataset.from_config(name, {**entry, "filepath": str(self.root / path)})

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Refuse what would write artifacts without lineage: Kedro's hooks do not reach other processes."""
        if "ParallelRunner" in str(run_params.get("runner")):
            raise BadParams("--runner ParallelRunner: not with this project; `viper run -j N` runs stages side by side")

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Any) -> None:
        """The first dataset of a node: begin."""
        if getattr(self.here, "node", None) != node.name:
            self._begin(node)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Any) -> None:
        """The last dataset of a node: end."""
        self.here.unsaved.discard(dataset_name)
        if not self.here.unsaved:
            self._end(node)

    @hook_impl
    def on_node_error(self, node: Any) -> None:
        """The checkpoints stay, for the next try."""
        self.here.lock.release()
        self.here.busy.stop()
        self._clear()

    def _begin(self, node: Any) -> None:
        from viper_pipeline.graph.busy import Busy
        from viper_pipeline.graph.code import code_files
        from viper_pipeline.graph.project import neutral_params
        from viper_pipeline.graph.recipe import make_recipe, set_current

        names = {name.removeprefix("params:") for name in node.inputs if name.startswith("params:")}
        names -= neutral_params(self.registry)
        params = {name: self.catalog.load(f"params:{name}") for name in sorted(names)}
        data = [name for name in node.inputs if not name.startswith("params:")]
        recipe = make_recipe(
            node.name,
            params,
            [path for name in data if (path := self._path(name))],
            [path for name in node.outputs if (path := self._path(name))],
            code_files(self.code, node.func, self.registry.PLUGS, lambda value: [str(value)]),
            self.root,
        )
        self.here.lock, self.here.recipe = recipe.lock(), recipe
        self.here.node, self.here.unsaved, self.here.begun = node.name, set(node.outputs), time.monotonic()
        self.here.busy = Busy()
        set_current(recipe)

    def _end(self, node: Any) -> None:
        from viper_pipeline.core.files import atomic_write
        from viper_pipeline.graph.machine import machine

        self.here.recipe.forget(self.here.lock)
        kilobytes = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        cost = {
            "seconds": round(time.monotonic() - self.here.begun, 1),
            "peak_rss_mb": round(kilobytes / 1024),
            "machine": machine(),
        }
        if (percent := self.here.busy.stop()) is not None:
            cost["gpu_percent"] = percent
        atomic_write(self.root / ".viper" / "costs" / f"{node.name}.json", json.dumps(cost).encode())
        self._clear()

    def _clear(self) -> None:
        from viper_pipeline.graph.recipe import set_current

        self.here.node = None
        set_current(None)

    def _path(self, dataset: str) -> Path | None:
        """Where a dataset lies; None for a scratch folder, and for what stays in memory."""
        entry = self.catalog.get(dataset)
        metadata = getattr(entry, "metadata", None) or {}
        if metadata.get("dvc", {}).get("kind") == "scratch":
            return None
        path = getattr(entry, "path", None) or getattr(entry, "_filepath", None)
        return Path(path) if path else None
