"""Progress with an estimate of the time that is left: a bar on a terminal, a line from time to time in a log."""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Mapping
from typing import Protocol, TextIO

Note = Mapping[str, float] | str
"""How the work is going: metrics by name, or a text."""


class Progress(Protocol):
    """What long work calls as it goes."""

    def __call__(self, done: int, total: int, note: Note = "") -> None:
        """`done` of `total` units are finished."""


def silent(done: int, total: int, note: Note = "") -> None:
    """Report nothing (tests, notebooks)."""


def duration(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on."""
    minutes, s = divmod(int(seconds + 0.5), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


class Report:
    """Reports to a stream: a bar that is redrawn if it is a terminal, else one line every `every` seconds.

    The estimate counts only what this process did: steps restored from a checkpoint say nothing about its speed.
    """

    def __init__(self, label: str, every: float = 20.0, stream: TextIO | None = None) -> None:
        stream = sys.stderr if stream is None else stream
        self._show: Progress = Bar(label, stream) if stream.isatty() else Lines(label, every, stream)

    def __call__(self, done: int, total: int, note: Note = "") -> None:
        self._show(done, total, note)


def patient(label: str, after: float = 3.0, every: float = 20.0, stream: TextIO | None = None) -> Progress:
    """As `Report`, for work that is often over at once: in a log, nothing is said in the first `after` seconds.

    Works without the library that draws bars, too; then terminals get lines.
    """
    stream = sys.stderr if stream is None else stream
    if stream.isatty():
        try:
            return Bar(label, stream)
        except ModuleNotFoundError:  # the light installation
            every = 2.0
    lines = Lines(label, every, stream)
    lines.begun = time.monotonic()
    lines.last = lines.begun + after - every

    def report(done: int, total: int, note: Note = "") -> None:
        begun = lines.begun or 0.0
        if time.monotonic() - begun >= after:
            lines(done, total, note)

    return report


class Lines:
    """`label  done/total  elapsed < remaining  note`, one line every `every` seconds and one at the end."""

    def __init__(self, label: str, every: float, stream: TextIO) -> None:
        self.label, self.every, self.stream = label, every, stream
        self.begun: float | None = None
        self.first = 0
        self.last = 0.0

    def __call__(self, done: int, total: int, note: Note = "") -> None:
        now = time.monotonic()
        if self.begun is None:
            self.begun, self.first, self.last = now, done, now - (self.every if done < total else 0)
        if now - self.last < self.every and done < total:
            return
        self.last = now
        elapsed = now - self.begun
        rate = (done - self.first) / elapsed if elapsed > 0 else 0.0
        left = duration((total - done) / rate) if rate > 0 else "?"
        line = f"{self.label}  {done}/{total}  {duration(elapsed)} < {left}  {note_text(note)}".rstrip()
        self.stream.write(line + "\n")
        self.stream.flush()


class Bar:
    """A bar of rich, redrawn at each call, at most twice a second."""

    def __init__(self, label: str, stream: TextIO) -> None:
        # Imported here: only terminals need it.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("<"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(file=stream, force_terminal=True),
            auto_refresh=False,
        )
        self._task = self._rich.add_task(label, start=False, note="")
        self._drawn = 0.0

    def __call__(self, done: int, total: int, note: Note = "") -> None:
        if not self._rich.live.is_started:
            self._rich.reset(self._task, total=total, completed=done)
            self._rich.start()
            atexit.register(self._rich.stop)  # an interrupted run gives the terminal its cursor back
        now, end = time.monotonic(), done >= total
        if now - self._drawn < 0.5 and not end:
            return
        self._drawn = now
        self._rich.update(self._task, completed=done, note=note_text(note), refresh=True)
        if end:
            self._rich.stop()
            atexit.unregister(self._rich.stop)


def note_text(note: Note) -> str:
    """Metrics as `name value  name value`."""
    return note if isinstance(note, str) else "  ".join(f"{key} {float(value):.4g}" for key, value in note.items())
