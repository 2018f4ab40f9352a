"""The machine that a stage runs on, in a few words, for the report's account of what it cost."""

from __future__ import annotations

import os
import platform
import sys
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
