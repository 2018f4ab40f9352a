"""Where stages run. An engine starts a stage's plain command somewhere, and says which have ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Protocol


class Engine(Protocol):
    """Runs commands side by side."""

    jobs: int

    def submit(self, name: str, command: str, folder: Path, log: Path) -> None:
        """Start a command; what it prints goes to `log`."""

    def wait(self) -> list[tuple[str, int]]:
        """Block until at least one command has ended: names and exit codes."""

    def cancel(self) -> None:
        """Stop everything that runs, gently first."""


class Local:
    """Processes of this machine."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.running: dict[str, subprocess.Popen] = {}

    def submit(self, name: str, command: str, folder: Path, log: Path) -> None:
        """Start a command in a process group of its own, so that it can be stopped whole."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self.running[name] = subprocess.Popen(
                ["bash", "-c", command], cwd=folder, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait(self) -> list[tuple[str, int]]:
        """Look twice a second."""
        while True:
            ended = [(name, code) for name, p in self.running.items() if (code := p.poll()) is not None]
            for name, _ in ended:
                del self.running[name]
            if ended:
                return ended
            time.sleep(0.5)

    def cancel(self) -> None:
        """SIGTERM to every group, SIGKILL after ten seconds."""
        for order, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            for process in self.running.values():
                if process.poll() is None:
                    os.killpg(process.pid, order)
            end = time.monotonic() + patience
            while any(p.poll() is None for p in self.running.values()) and time.monotonic() < end:
                time.sleep(0.1)
        self.running.clear()
