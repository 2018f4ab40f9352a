"""Stages on a Ray cluster. Every node sees the project at the same path, and has the same packages."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any

from viper_pipeline.core.errors import BadEnvironment
from viper_pipeline.dvc_bridge.executors import LOST, Resources, note, work

PATIENCE = 20.0
"""Seconds for stages to stop before their workers are killed."""


class Ray:
    """One task a stage. They end with this process: Ray stops the tasks of a driver that is gone."""

    def __init__(self, jobs: int | None = None, address: str = "auto") -> None:
        """jobs: stages handed over at a time; None: as many as the cluster has cores."""
        try:
            import ray
        except ModuleNotFoundError as error:
            raise BadEnvironment("--executor ray needs Ray: pip install 'viper-pipeline[ray]'") from error
        self.ray = ray
        try:
            _knock(address)  # Ray itself would try for minutes
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise BadEnvironment(
                f"no Ray cluster at {address} ({error}); start one with `ray start --head`, or name it by --address"
            ) from error
        self.jobs = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self.task: Any = ray.remote(work)
        self.running: dict[str, tuple[Any, Path]] = {}

    def submit(self, name: str, command: str, folder: Path, log: Path, resources: Resources) -> None:
        """Hand a stage over. Ray's own retries are off: `viper run` sees to them."""
        asked = {"CPU": resources.cpu, "GPU": resources.gpu, "memory": resources.memory * 2**30}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not any(all(node.get(what, 0) >= number for what, number in asked.items()) for node in nodes):
            raise BadEnvironment(
                f"{name} asks for {resources.cpu} CPU, {resources.gpu} GPU and {resources.memory:g} GiB, and no node "
                "of the Ray cluster has them; change runtime.resources in params.yaml, or add a node"
            )
        task = self.task.options(
            name=name,
            num_cpus=resources.cpu,
            num_gpus=resources.gpu,
            memory=int(asked["memory"]),
            max_retries=0,
        )
        self.running[name] = task.remote(command, str(folder), str(log), dict(os.environ)), log

    def ended(self) -> list[tuple[str, int]]:
        """Ask Ray which tasks have ended."""
        if not self.running:
            return []
        tasks = {task: name for name, (task, _) in self.running.items()}
        ended, _ = self.ray.wait(list(tasks), num_returns=len(tasks), timeout=0)
        return [(tasks[task], self._code(task, self.running.pop(tasks[task])[1])) for task in ended]

    def _code(self, task: Any, log: Path) -> int:
        try:
            return int(self.ray.get(task))
        except self.ray.exceptions.RayTaskError as error:  # the worker lives, and could not start the stage
            note(log, str(error.cause))
            return 1
        except self.ray.exceptions.RayError as error:
            note(log, f"lost: {type(error).__name__}")
            return LOST

    def cancel(self) -> None:
        """Interrupt every task, kill those that do not heed it, and leave the cluster."""
        tasks = [task for task, _ in self.running.values()]
        for force, patience in ((False, PATIENCE), (True, 5.0)):
            for task in tasks:
                self.ray.cancel(task, force=force)
            if tasks:
                _, tasks = self.ray.wait(tasks, num_returns=len(tasks), timeout=patience)
        self.running.clear()
        self.ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError if nobody listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.removeprefix("ray://"), int(port)), timeout=10).close()
