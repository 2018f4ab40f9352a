"""Where stages run. An engine starts a stage's plain command somewhere, and says which have ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Protocol

from viper_pipeline.graph.stage import LIFELINE


class Engine(Protocol):
    """Runs commands side by side."""

    jobs: int

    def submit(self, name: str, command: str, folder: Path, log: Path) -> None:
        """Start a command; what it prints is added to `log`."""

    def ended(self) -> list[tuple[str, int]]:
        """Names and exit codes of the commands that have ended since the last call; does not wait."""

    def cancel(self) -> None:
        """Stop everything that runs, gently first, and wait until it has stopped."""


class Local:
    """Processes of this machine. They end with this process, even if it is killed."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.running: dict[str, subprocess.Popen] = {}
        self.lifeline, self._held = os.pipe()  # the held end is closed when this process is gone

    def submit(self, name: str, command: str, folder: Path, log: Path) -> None:
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
                env={**os.environ, "PYTHONUNBUFFERED": "1", LIFELINE: str(self.lifeline)},
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
