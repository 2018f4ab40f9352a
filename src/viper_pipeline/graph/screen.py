"""What `viper run` shows: on a terminal a table that stays below what stages print, elsewhere a line an event."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any


@dataclass
class State:
    """Where a run is."""

    total: int
    done: int = 0
    waiting: int = 0
    elapsed: float = 0.0  # seconds
    left: float | None = None  # seconds; None: unknown
    running: dict[str, tuple[float, float | None]] = field(default_factory=dict)  # name -> seconds so far, expected

    def summary(self) -> str:
        """One line."""
        left = "" if self.left is None else f", about {minutes(self.left)} left"
        return f"{self.done} of {self.total} done, {len(self.running)} running, {self.waiting} waiting{left}"


class Screen:
    """Events and the table. A context manager, so that the terminal is left as it was."""

    def __init__(self) -> None:
        self.live: Any = None

    def __enter__(self) -> Screen:
        if sys.stdout.isatty():
            from rich.live import Live

            self.live = Live(refresh_per_second=4, transient=True)
            self.live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.live:
            self.live.__exit__(kind, error, traceback)
            self.live = None

    def say(self, text: str) -> None:
        """A line that stays."""
        if self.live:
            self.live.console.print(text, markup=False, highlight=False)
        else:
            print(text, flush=True)

    def show(self, state: State) -> None:
        """Draw the table anew."""
        if not self.live:
            return
        from rich.console import Group
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for title in ("stage", "so far", "last time"):
            table.add_column(title)
        for name, (so_far, expected) in state.running.items():
            table.add_row(name, minutes(so_far), "" if expected is None else minutes(expected))
        self.live.update(Group(table, f"{state.summary()}, {minutes(state.elapsed)} so far"))


class Tail:
    """The lines that a log gains."""

    def __init__(self, path: Path) -> None:
        self.path, self.rest = path, b""
        self.offset = path.stat().st_size if path.exists() else 0

    def lines(self, last: bool = False) -> list[str]:
        """Whole lines since the last call; of a line that a progress bar rewrote, what stood there at its end."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self.offset)
                new = file.read()
            self.offset += len(new)
            self.rest += new
        *whole, self.rest = self.rest.split(b"\n")
        if last and self.rest:
            whole, self.rest = [*whole, self.rest], b""
        return [line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace") for line in whole]


def minutes(seconds: float) -> str:
    """For people: 42 s, 3.5 min, 2.1 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
