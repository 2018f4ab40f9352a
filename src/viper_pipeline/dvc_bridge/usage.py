"""What a stage costs: the machine that it runs on, in a few words, and how busy its GPUs are."""

from __future__ import annotations

import os
import platform
import sys
import threading
from pathlib import Path


def machine() -> str:
    """`2 cores, AMD EPYC 9B14; NVIDIA L4`: the cores that this process may use, and a GPU if torch sees one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch = sys.modules.get("torch")  # a stage that did not load it used no GPU
    gpu = f"; {torch.cuda.get_device_name()}" if torch is not None and torch.cuda.is_available() else ""
    return f"{cores} core{'s' if cores > 1 else ''}, {processor()}{gpu}"


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


class GpuMonitor:
    """Asks NVIDIA's driver now and then, in a thread; does nothing where there is none. Counts all visible GPUs."""

    def __init__(self, every: float = 10.0) -> None:
        """every: seconds between two looks."""
        self.every, self.total, self.looks = every, 0.0, 0
        self.over = threading.Event()
        self.thread: threading.Thread | None = None
        if Path("/dev/nvidiactl").exists():
            self.thread = threading.Thread(target=self._watch, daemon=True)
            self.thread.start()

    def _watch(self) -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
        except (ImportError, OSError, RuntimeError):
            return
        except Exception as error:  # NVMLError: its classes are made at run time
            if type(error).__module__ != "pynvml":
                raise
            return
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        while handles and not self.over.wait(self.every):
            self.note([float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) for handle in handles])

    def note(self, percents: list[float]) -> None:
        """One look: how busy each GPU was, in percent."""
        self.total, self.looks = self.total + sum(percents) / len(percents), self.looks + 1

    def stop(self) -> float | None:
        """The mean share of time, in percent, that a GPU was at work; None where nobody could tell."""
        self.over.set()
        return round(self.total / self.looks, 1) if self.looks else None
