"""What `viper run` shows: the lines of stages, a bar for each that runs, and one over all.

A terminal shows the bars below what stages print; elsewhere each event is one line, and every minute one says how far
all is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from viper_pipeline.dvc_bridge.estimates import Left, minutes

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EVERY = 60.0
"""Seconds between two lines on how far all is, where there is no terminal."""
LONGEST = 300
"""Letters of a log's last line in the reason of a failure."""


@dataclass
class Running:
    """A stage at work."""

    seconds: float  # so far
    left: float | None = None  # seconds; None: unknown
    note: str = ""  # how far it is in its own words, such as `120/2000`

    @property
    def share(self) -> float | None:
        """How much of it is done, from 0 to 0.99, since it has not ended; None: unknown."""
        if self.left is None:
            return None
        return min(self.seconds / (self.seconds + self.left), 0.99) if self.seconds + self.left else 0.0


@dataclass
class State:
    """Where a run is."""

    total: int
    done: int = 0
    waiting: int = 0
    elapsed: float = 0.0  # seconds
    left: Left | None = None
    share: float = 0.0  # of all work, from 0 to 1
    running: dict[str, Running] = field(default_factory=dict)  # by the stage's address

    def summary(self) -> str:
        """One line."""
        known = f", {text}" if self.left and (text := self.left.text(" left")) else ""
        return f"{self.done} of {self.total} done, {len(self.running)} running, {self.waiting} waiting{known}"


class Bars:
    """The bars of a terminal."""

    ALL = "all"

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self.rich: Progress = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(),  # its own: bars that are shown while others of the same console are at work stay hidden
            refresh_per_second=4,
            transient=True,
        )
        self.tasks: dict[str, TaskID] = {self.ALL: self.rich.add_task(self.ALL, total=None, note="")}
        self.rich.start()

    def show(self, state: State) -> None:
        """A bar for each running stage, and the one over all, which stays the last."""
        gone = set(self.tasks) - set(state.running)
        new = set(state.running) - set(self.tasks)
        for name in gone if new else gone - {self.ALL}:
            self.rich.remove_task(self.tasks.pop(name))
        for name in [name for name in state.running if name in new]:
            self.tasks[name] = self.rich.add_task(name.rpartition(":")[2], total=None, note="")
        if self.ALL not in self.tasks:
            self.tasks[self.ALL] = self.rich.add_task(self.ALL, total=None, note="")
        for name, one in state.running.items():
            left = f"< {minutes(one.left)}" if one.left else ""  # 0: longer than last time
            self._set(name, one.share, "  ".join(filter(None, (f"{minutes(one.seconds)} {left}".strip(), one.note))))
        self._set(self.ALL, state.share, f"{minutes(state.elapsed)}  {state.summary()}")

    def _set(self, name: str, share: float | None, note: str) -> None:
        """share: None makes a bar that only moves."""
        total = None if share is None else 1.0
        self.rich.update(self.tasks[name], total=total, completed=share or 0.0, note=note)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.rich.stop()


class Screen:
    """Events and bars. A context manager, so that the terminal is left as it was."""

    def __init__(self) -> None:
        self.bars: Bars | None = None
        self.last = time.monotonic()

    def __enter__(self) -> Screen:
        if sys.stdout.isatty():
            self.bars = Bars()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.bars:
            self.bars.close()
            self.bars = None

    def say(self, text: str) -> None:
        """A line that stays."""
        if self.bars:
            self.bars.rich.console.print(text, markup=False, highlight=False)
        else:
            print(text, flush=True)

    def show(self, state: State) -> None:
        """How far all is, now."""
        if self.bars:
            self.bars.show(state)
        elif time.monotonic() - self.last > EVERY and state.running:
            self.last = time.monotonic()
            self.say(f"...    {state.summary()}, {minutes(state.elapsed)} so far")


class Tail:
    """The lines that a log gains."""

    def __init__(self, path: Path) -> None:
        self.path, self.rest = path, b""
        self.offset = path.stat().st_size if path.exists() else 0

    def lines(self, last: bool = False) -> Sequence[str]:
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


def last_words(log: Path) -> str:
    """The last line that a failed stage printed: an error of ours is one line, an exception ends in its message."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - 10_000, 0))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:LONGEST] if lines else ""
