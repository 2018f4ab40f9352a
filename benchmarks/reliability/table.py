"""Run the programs in this folder and write what they print to docs/reliability.md. Run: make reliability.

Run: python benchmarks/reliability/table.py [PROGRAM[=SIZE[;PART ...]] ...]. Without names every program runs at its
full size, which takes hours; with names only these, at another size if one is given, and the rows of the others stay as
they are. A row is written as soon as it is known, so what is stopped loses only the row that it was at. Two programs
take parts, so what is left can be asked for: 'steady_memory=3600;scoring', 'odd_machines=no HOME;not root'.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
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
    "mutated_runs",
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


def key_of(row: str) -> str:
    """What was tried, by which a row is known."""
    return row.split(" | ")[1]


def renewed(old: list[str], new: list[str]) -> list[str]:
    """The rows of a program with some of them anew, each in its place."""
    found = {key_of(row): row for row in old} | {key_of(row): row for row in new}
    return list(found.values())


def written(rows: Mapping[str, list[str]]) -> str:
    """The page."""
    head = HEAD.format(machine=f"Python {platform.python_version()}, {platform.system()}")
    return head + "".join(f"{row}\n" for name in PROGRAMS for row in rows.get(name, [])) + TAIL


def write(name: str, rows: list[str]) -> None:
    """Put the rows of a program into the page as it is now: another one may have been at work meanwhile."""
    PAGE.write_text(written(rows_of(PAGE.read_text()) | {name: rows}))


def run(name: str, arguments: list[str]) -> Iterator[str]:
    """The rows of one program as it prints them. Raises CalledProcessError if it fails."""
    words = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        for line in running.stdout or ():
            yield as_row(name, line)
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, words)


def as_row(name: str, printed: str) -> str:
    """A line that a program printed, as a row."""
    tried, _, outcome = printed.strip().partition(": ")
    return f"| {name} | {tried} | {outcome} |"


def main(chosen: list[str]) -> None:
    """Run programs and write the page after each row."""
    for name, _, given in (word.partition("=") for word in chosen or PROGRAMS):
        arguments = given.split(";") if given else []
        new: list[str] = []
        for row in run(name, arguments):
            new.append(row)
            print(row, flush=True)
            write(name, renewed(rows_of(PAGE.read_text()).get(name, []), new))
        if not parts_of(name, arguments):  # rows that the program no longer has go
            write(name, new)


def parts_of(name: str, arguments: list[str]) -> list[str]:
    """The parts that a program was asked for; none means all of them. The first argument of most is their size."""
    return arguments if name == "odd_machines" else arguments[1:]


if __name__ == "__main__":
    main(sys.argv[1:])
