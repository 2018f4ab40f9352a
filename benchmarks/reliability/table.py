"""Run the programs in this folder and write what they print to docs/reliability.md. Run: make reliability.

Run: python benchmarks/reliability/table.py [PROGRAM[=SIZE] ...]. Without names every program runs at its full size,
which takes hours; with names only these, at another size if one is given, and the rows of the others stay as they are.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reliability.md"
PROGRAMS = (
    "killed",
    "two_at_once",
    "one_change",
    "flipped_bits",
    "full_disk",
    "hostile_inputs",
    "mutated_params",
    "steady_memory",
    "odd_machines",
)
HEAD = """# Reliability

Written by `make reliability` ({machine}). Each row is what a program in `benchmarks/reliability` printed;
the top of the program says how it is counted. `python benchmarks/reliability/table.py PROGRAM=SIZE` renews the rows of
one program, at another size. What is silently used stands here as it is.

| program | tried | outcome |
|---|---|---|
"""
TAIL = """
**What carries no checksum.** Films, GIFs, and what other projects write, carry none. Where a flipped bit makes the data
impossible, it is noticed; where it only changes a pixel, it is read. A GIF says how many pixels a picture has, so its
importer counts what the compressed codes stand for; a code that became another one of the same length, and a changed
color in its tables, look like any other. In a project DVC knows the md5 of every source: a file with another time or
size makes `curate_experts` stale, and `viper lineage ARTIFACT` hashes the source anew and marks it `[changed since]`. A
bit that flips without a new time is seen by `viper lineage` alone. A flipped bit in params.yaml that leaves a sound
value is another value.

**What is DVC's own.** `dvc repro` empties `dvc.lock` before it writes it. Killed in this moment, it leaves half a
file, and `viper run` says what to do. `viper run` itself writes it whole, and removes the table of DVC's locks
(`.dvc/tmp/rwlock`) if a killed command has left half of it, which DVC itself does not. Where a second `dvc repro` gives
up, it does so in DVC's own words, of up to three lines.
"""


def rows_of(page: str) -> dict[str, list[str]]:
    """The rows of a page by program."""
    found: dict[str, list[str]] = {}
    for line in page.splitlines():
        name = line.removeprefix("| ").partition(" | ")[0]
        if line.startswith("| ") and name in PROGRAMS:
            found.setdefault(name, []).append(line)
    return found


def written(rows: Mapping[str, list[str]]) -> str:
    """The page."""
    head = HEAD.format(machine=f"Python {platform.python_version()}, {platform.system()}")
    return head + "".join(f"{row}\n" for name in PROGRAMS for row in rows.get(name, [])) + TAIL


def run(name: str, size: str) -> list[str]:
    """The rows of one program, at its full size if none is given. Raises CalledProcessError if it fails."""
    words = [sys.executable, str(HERE / f"{name}.py"), *([size] if size else [])]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return as_rows(name, done.stdout)


def as_rows(name: str, printed: str) -> list[str]:
    """What a program printed, as rows."""
    parts = [line.partition(": ") for line in printed.strip().splitlines()]
    return [f"| {name} | {tried} | {outcome} |" for tried, _, outcome in parts]


def main(chosen: list[str]) -> None:
    """Run programs and write the page after each."""
    for name, _, size in (word.partition("=") for word in chosen or PROGRAMS):
        rows = rows_of(PAGE.read_text()) | {name: run(name, size)}
        print("\n".join(rows[name]), flush=True)
        PAGE.write_text(written(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
