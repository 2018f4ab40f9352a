"""Progress with an estimate: a bar where somebody watches, a line now and then where a log does."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol


class Progress(Protocol):
    """What long work calls as it goes."""

    def __call__(self, done: int, total: int, note: Mapping[str, Any] | str = "") -> None:
        """`done` of `total` units are finished; `note` says how it is going."""


def silent(done: int, total: int, note: Mapping[str, Any] | str = "") -> None:
    """Report nothing (tests, notebooks)."""


def clock(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on."""
    minutes, s = divmod(int(seconds + 0.5), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


class Report:
    """Write `label  done/total  elapsed < remaining  note` to a stream.

    On a terminal the line is rewritten twice a second; elsewhere a new line is written every `every` seconds,
    so that logs stay short. The estimate counts only what this process did: resumed work is not free speed.
    """

    def __init__(self, label: str, every: float = 20.0, stream: Any = None) -> None:
        self.label, self.stream = label, sys.stderr if stream is None else stream
        self.terminal = bool(getattr(self.stream, "isatty", lambda: False)())
        self.every = 0.5 if self.terminal else every
        self.begun: float | None = None
        self.first = 0
        self.last = 0.0

    def __call__(self, done: int, total: int, note: Mapping[str, Any] | str = "") -> None:
        now = time.monotonic()
        if self.begun is None:
            self.begun, self.first, self.last = now, done, now - (self.every if done < total else 0)
        if now - self.last < self.every and done < total:
            return
        self.last = now
        elapsed = now - self.begun
        rate = (done - self.first) / elapsed if elapsed > 0 else 0.0
        left = clock((total - done) / rate) if rate > 0 else "?"
        if not isinstance(note, str):
            note = "  ".join(f"{key} {float(value):.4g}" for key, value in note.items())
        line = f"{self.label}  {done}/{total}  {clock(elapsed)} < {left}  {note}".rstrip()
        ending = "\n" if not self.terminal or done >= total else "\r"
        self.stream.write(("\r\x1b[K" if self.terminal else "") + line + ending)
        self.stream.flush()
