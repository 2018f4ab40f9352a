"""What happens around every node: its provenance, its private folder, its cost.

Kept light, since every start of Kedro pays for it. The same under `viper stage` (DVC) and `kedro run`.
"""

from __future__ import annotations

import json
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.hooks import hook_impl

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import Json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from filelock import FileLock
    from kedro.pipeline import Node, Pipeline

    from viper_pipeline.dvc_bridge.provenance import GpuMonitor, Provenance


@dataclass
class Running:
    """A node at work."""

    provenance: Provenance
    lock: FileLock
    unsaved: set[str]
    begun: float
    monitor: GpuMonitor


class KedroParams(BadParams, click.ClickException):
    """Wrong parameters: one message, whether Kedro's command shows it or ours."""

    def __init__(self, message: str) -> None:
        click.ClickException.__init__(self, message)


def changed_nodes(said: Mapping[str, Pipeline], merged: Mapping[str, Pipeline]) -> str:
    """The name of a node that two sets of pipelines do not have in common, or wire otherwise; empty if none."""
    from viper_pipeline.dvc_bridge.templates import bound_values

    found = [
        {
            node.name: (sorted(node.inputs), sorted(node.outputs), repr(sorted(bound_values(node.func).items())))
            for pipeline in pipelines.values()
            for node in pipeline.nodes
        }
        for pipelines in (said, merged)
    ]
    return next((name for name in sorted({*found[0], *found[1]}) if found[0].get(name) != found[1].get(name)), "")


class ProjectHooks:
    """A node begins when its inputs are loaded, and ends when its last output is saved."""

    def __init__(self) -> None:
        from viper_pipeline.core.process import settle

        settle()
        self.running: dict[str, Running] = {}  # by node; kedro's ThreadRunner has several at a time

    @hook_impl
    def after_catalog_created(self, catalog: Any, parameters: Json) -> None:
        """Check the parameters, and put in the files and folders that they name.

        parameters: as Kedro merged them, with those of `--params` and of conf/local; on whatever way they came in.
        """
        from kedro.io import AbstractDataset

        from viper_pipeline.dvc_bridge.project import project_of, project_root, read_params
        from viper_pipeline.dvc_bridge.run_stage import guarded

        self.catalog, self.root = catalog, project_root()
        self.project = project_of(self.root)
        self.params: Json = parameters["parameters"]
        if not guarded() or self.params != read_params(self.root / "params.yaml"):
            self._check_params()
        if self._tracking != "none":
            from viper_pipeline.reporting.tracking import check_tracking

            check_tracking(self._tracking)
        for name, path in self.project.sources(self.params).items():
            entry = catalog.config_resolver.resolve_pattern(name)
            catalog[name] = AbstractDataset.from_config(name, {**entry, "filepath": str(self.root / path)})

    @hook_impl
    def before_pipeline_run(self, run_params: Json) -> None:
        """Refuse what would write artifacts without lineage: Kedro's hooks do not reach other processes.

        Nothing has been drawn yet, so triton is loaded here.
        """
        from viper_pipeline.core.process import load_triton, refuse_unguarded_script

        refuse_unguarded_script()
        load_triton()
        if "ParallelRunner" in str(run_params.get("runner")):
            raise BadParams("--runner ParallelRunner: not with this project; `viper run -j N` runs stages side by side")

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Say which file is missing, and who makes it."""
        from viper_pipeline.dvc_bridge.provenance import check_input

        if path := self._path(dataset_name):
            check_input(node.name, path, self.root)

    @hook_impl
    def before_node_run(self, node: Node) -> Json:
        """Begin. Returns the inputs that only a running node has: its private folder, and its provenance."""
        from viper_pipeline.dvc_bridge.provenance import GpuMonitor, check_unchanged, make_provenance
        from viper_pipeline.dvc_bridge.run_stage import LIFELINE

        names = {name.removeprefix("params:") for name in node.inputs if name.startswith("params:")}
        names -= set(self.project.neutral)
        params = {name: self.catalog.load(f"params:{name}") for name in sorted(names)}
        provenance = make_provenance(
            node.name,
            params,
            [path for name in node.inputs if (path := self._path(name))],
            [path for name in node.outputs if (path := self._path(name))],
            self._code(node),
            self.root,
            self.project.libraries,
            self.project.readers,
        )
        if os.environ.get("DVC_STAGE") or os.environ.get(LIFELINE):  # DVC or `viper run` has committed what is read
            check_unchanged(provenance)
        begun, monitor = time.monotonic(), GpuMonitor()
        self.running[node.name] = Running(provenance, provenance.lock(), set(node.outputs), begun, monitor)
        own = {"scratch": provenance.scratch, "provenance": provenance}
        return {name: own[kind] for name in node.inputs if (kind := self._kind(name)) in own}

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Give an output its provenance, if it has an attribute `provenance`."""
        if hasattr(entry := self.catalog.get(dataset_name), "provenance"):
            entry.provenance = self.running[node.name].provenance

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: object, node: Node) -> None:
        """The last output of a node: end. What `tracking` of params.yaml names is told of what was saved."""
        running = self.running[node.name]
        if self._tracking != "none":
            self._track(running.provenance, data)
        running.unsaved.discard(dataset_name)
        if not running.unsaved:
            self._end(self.running.pop(node.name))

    @hook_impl
    def on_node_error(self, node: Node) -> None:
        """The checkpoints stay, for the next try."""
        if running := self.running.pop(node.name, None):
            running.lock.release()
            running.monitor.stop()

    @property
    def _tracking(self) -> str:
        return str(self.params.get("tracking") or "none")

    def _track(self, provenance: Provenance, data: object) -> None:
        """What was saved is safe, and hours of work are not lost for a diary: its troubles are said, not raised."""
        from viper_pipeline.reporting.tracking import track
        from viper_pipeline.training.artifacts import ModelArtifact

        if isinstance(data, ModelArtifact):
            try:
                track(self._tracking, provenance.node, provenance.key, provenance.params, data, self.root)
            except Exception as error:
                click.echo(f"tracking: {self._tracking}: {type(error).__name__}: {error}", err=True)

    def _end(self, running: Running) -> None:
        from viper_pipeline.core.files import atomic_write
        from viper_pipeline.dvc_bridge.provenance import machine

        running.provenance.remove_scratch(running.lock)
        kilobytes = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        cost = {
            "seconds": round(time.monotonic() - running.begun, 1),
            "peak_rss_mb": round(kilobytes / 1024),
            "machine": machine(),
        }
        if (percent := running.monitor.stop()) is not None:
            cost["gpu_percent"] = percent
        path = self.root / ".viper" / "costs" / f"{running.provenance.node}.json"
        atomic_write(path, json.dumps(cost).encode())

    def _check_params(self) -> None:
        """Raise for parameters that cannot be, and for those that would need another graph than params.yaml has."""
        from viper_pipeline.dvc_bridge.project import read_params

        said = read_params(self.root / "params.yaml")
        try:
            self.project.check(self.params)
        except BadParams as error:
            raise KedroParams(str(error)) from error
        if self.params != said and (other := changed_nodes(self.project.build(said), self.project.build(self.params))):
            raise KedroParams(
                f"--params: these values change the graph itself (as of {other}), which is built from params.yaml; "
                "write them there, then run `viper dvc sync`"
            )

    def _code(self, node: Node) -> str:
        from viper_pipeline.dvc_bridge.code_yaml import digest_of
        from viper_pipeline.dvc_bridge.templates import bound_values

        group, name, _ = node.name.split(".", 2)
        return digest_of(self.root, self.project, group, name, bound_values(node.func), self.params)

    def _kind(self, dataset: str) -> str:
        if dataset.startswith("params:"):
            return ""
        metadata = getattr(self.catalog.get(dataset), "metadata", None) or {}
        return str(metadata.get("dvc", {}).get("kind", ""))

    def _path(self, dataset: str) -> Path | None:
        """Where a dataset lies; None for parameters, for what only the running node has, and for what is in memory."""
        from viper_pipeline.dvc_bridge.templates import PRIVATE

        if dataset.startswith("params:") or dataset == "parameters" or self._kind(dataset) in PRIVATE:
            return None
        entry = self.catalog.get(dataset)
        path = getattr(entry, "path", None) or getattr(entry, "_filepath", None)
        return Path(path) if path else None
