"""Run every program in this folder and write what they print to docs/reliability.md. Run: make reliability."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reliability.md"
HEAD = """# Reliability

Written by `make reliability` ({machine}). Each row is what a program in `benchmarks/reliability` printed; the top of
the program says how it is counted. What is silently used stands here as it is.

| tried | outcome |
|---|---|
"""
TAIL = """
GIFs carry no checksum: a flipped bit changes a pixel and is not noticed. Nor is one in the checkpoint of a run that was
stopped, which lives until the run is done. A flipped bit in params.yaml that leaves a sound value is another value.
"""


def rows() -> list[str]:
    """One row for each line that a program prints."""
    found = []
    for program in sorted(HERE.glob("*.py")):
        if program.name != Path(__file__).name:
            done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True)
            for line in done.stdout.strip().splitlines():
                tried, _, outcome = line.partition(": ")
                found.append(f"| {tried} | {outcome} |")
                print(line, flush=True)
    return found


if __name__ == "__main__":
    head = HEAD.format(machine=f"Python {platform.python_version()}, {platform.system()}")
    PAGE.write_text(head + "\n".join(rows()) + "\n" + TAIL)
