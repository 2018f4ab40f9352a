"""Where stages run. An engine starts a stage's plain command somewhere, and says which have ended.

This machine's processes are here; `on_ray.py` and `on_slurm.py` have those of others.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from viper_pipeline.core.errors import BadEnvironment
from viper_pipeline.graph.resources import Resources
from viper_pipeline.graph.stage import LIFELINE

LOST = 1000
"""In place of an exit code (they end at 255): the worker died, and nobody knows how far the stage got."""


class Engine(Protocol):
    """Runs commands side by side."""

    jobs: int

    def submit(self, name: str, command: str, folder: Path, log: Path, resources: Resources) -> None:
        """Start a command, now or when there is room; what it prints is added to `log`."""

    def ended(self) -> list[tuple[str, int]]:
        """Names and exit codes, or LOST, of the commands that have ended since the last call; does not wait."""

    def cancel(self) -> None:
        """Stop everything that runs, gently first, and wait until it has stopped."""


class Local:
    """Processes of this machine, whatever they ask for. They end with this process, even if it is killed."""

    def __init__(self, jobs: int, env: Mapping[str, str] | None = None) -> None:
        """env: of the processes; None: that of this one."""
        self.jobs, self.env = jobs, os.environ if env is None else env
        self.running: dict[str, subprocess.Popen] = {}
        self.lifeline, self._held = os.pipe()  # the held end is closed when this process is gone

    def submit(self, name: str, command: str, folder: Path, log: Path, resources: Resources) -> None:
        """Start a command in a process group of its own, so that it can be stopped whole."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self.running[name] = subprocess.Popen(
                ["bash", "-c", command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[self.lifeline],
                env={**self.env, "PYTHONUNBUFFERED": "1", LIFELINE: str(self.lifeline)},
            )

    def ended(self) -> list[tuple[str, int]]:
        """Poll every process."""
        codes = [(name, process.poll()) for name, process in self.running.items()]
        ended = [(name, code) for name, code in codes if code is not None]
        for name, _ in ended:
            del self.running[name]
        return ended

    def cancel(self) -> None:
        """SIGTERM to every group, SIGKILL after ten seconds."""
        for order, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            for process in self.running.values():
                if process.poll() is None:
                    os.killpg(process.pid, order)
            end = time.monotonic() + patience
            while any(p.poll() is None for p in self.running.values()) and time.monotonic() < end:
                time.sleep(0.05)
        self.running.clear()


def note(log: Path, text: str) -> None:
    """A line of an engine's own in a stage's log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(f"{text}\n")


def make_engine(name: str, root: Path, jobs: int | None, address: str | None) -> Engine:
    """An engine by its name. jobs, address: None for the engine's own default."""
    if name == "ray":
        from viper_pipeline.graph.on_ray import Ray

        return Ray(jobs, address or "auto")
    if name == "slurm":
        from viper_pipeline.graph.on_slurm import Slurm

        return Slurm(root, jobs, address or "slurm")
    if address:
        raise BadEnvironment("--address goes with --engine ray or slurm; the local engine is this machine")
    return Local(jobs or os.cpu_count() or 1)
