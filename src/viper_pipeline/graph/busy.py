"""How busy the machine's GPUs are while a stage runs, for the report's account of what it cost."""

from __future__ import annotations

import shutil
import subprocess
import threading

QUERY = ("--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")


class Busy:
    """Asks nvidia-smi now and then, in a thread; does nothing where there is none. Works on all GPUs of the machine."""

    def __init__(self, every: float = 10.0) -> None:
        """every: seconds between two looks."""
        self.every, self.tool = every, shutil.which("nvidia-smi")
        self.total, self.looks = 0.0, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        if self.tool:
            self.thread.start()

    def _look(self) -> None:
        while not self.over.wait(self.every):
            done = subprocess.run([self.tool or "", *QUERY], capture_output=True, text=True, check=False)
            shares = [float(word) for word in done.stdout.split() if word.isdigit()]
            if shares:
                self.total, self.looks = self.total + sum(shares) / len(shares), self.looks + 1

    def stop(self) -> float | None:
        """The mean share of time, in percent, that a GPU was at work; None where nobody could tell."""
        self.over.set()
        return round(self.total / self.looks, 1) if self.looks else None
