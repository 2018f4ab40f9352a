"""How long stages take: what was noted of earlier runs, here or in committed results, and what running stages say.

A running stage says how far it is in its log, in lines such as `tokenizer dmc  120/2000  0:20 < 5:13  loss 0.3`. They
are text, so they come through Ray and SLURM as well.
"""

from __future__ import annotations

import heapq
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, TypeVar

from viper_pipeline.core.files import JsonView

T = TypeVar("T")
NOTED = ".viper/costs"
"""Folder of what the stages of this project took on this machine, a file each."""
PROGRESS = re.compile(r"^(?P<label>.*)  (?P<done>\d+)/(?P<total>\d+)  [\d:]+ < (?P<left>[\d:]+|\?)(?:  |$)")
"""What `training.progress` writes to a log."""
SHORT = 30.0
"""Seconds that a stage weighs in the bar over all where nobody knows what it takes."""


class Cost(NamedTuple):
    """What a node took somewhere."""

    seconds: float
    machine: str = ""


class Costs:
    """Seconds by node: of this machine, else of committed results."""

    def __init__(self, root: Path, committed: Mapping[str, Cost] | None = None) -> None:
        """committed: of runs with today's settings, by node."""
        self.own = {path.stem: _cost(json.loads(path.read_text())) for path in sorted((root / NOTED).glob("*.json"))}
        self.committed = dict(committed or {})
        self.reported: dict[str, float] = {}  # node -> seconds in all, by its own log

    def expected(self, node: str) -> float | None:
        """What `node` took last time, or what others of its stage took; None if there is neither."""
        for known in (self.own, self.committed):
            if node in known:
                return known[node].seconds
        stage = node.rpartition(".")[0]
        for seconds in (
            {name: cost.seconds for name, cost in self.own.items()},
            self.reported,
            {name: cost.seconds for name, cost in self.committed.items()},
        ):
            if alike := [one for name, one in seconds.items() if name.rpartition(".")[0] == stage]:
                return fmean(alike)
        return None

    def sources(self, nodes: Iterable[str]) -> str:
        """Where the estimates of some nodes come from, in words."""
        known = [node for node in nodes if self.expected(node) is not None]
        here = [node for node in known if node in self.own]
        there = sorted({self.committed[node].machine for node in {*known} - {*here} if node in self.committed} - {""})
        if not there:
            return "as long as they took here"
        return f"as long as they took {'here or ' if here else ''}for the committed results, on {'; '.join(there)}"


def _cost(noted: JsonView) -> Cost:
    return Cost(float(noted["seconds"]), str(noted.get("machine", "")))


@dataclass
class Reported:
    """What a running stage has last said of itself."""

    done: int
    total: int
    left: float | None  # seconds; None: it does not know yet
    when: float = field(default_factory=time.monotonic)

    @classmethod
    def read(cls, line: str) -> Reported | None:
        """A line of a log as progress; None if it says none."""
        if not (match := PROGRESS.match(line)):
            return None
        left = None
        if match["left"] != "?":
            left = 0.0
            for part in match["left"].split(":"):
                left = left * 60 + int(part)
        return cls(int(match["done"]), int(match["total"]), left)

    def seconds_left(self, now: float) -> float | None:
        """From `now`, of the monotonic clock, on."""
        return None if self.left is None else max(self.left - (now - self.when), 0.0)


class Left(NamedTuple):
    """Seconds until all is done, and how many stages nobody knows anything of: these are not in it."""

    seconds: float
    unknown: int = 0

    def text(self, more: str = "") -> str:
        """In words, with `more` after the time; empty if nothing is known."""
        unknown = f", and {counted(self.unknown, 'stage')} never timed" if self.unknown else ""
        return f"about {minutes(self.seconds)}{more}{unknown}" if self.seconds or not self.unknown else ""


def simulated(
    needs: Mapping[T, Iterable[T]], seconds: Callable[[T], float | None], running: Mapping[T, float], jobs: int
) -> Left:
    """When all would be done if `jobs` stages at a time were started as `viper run` does, the longest chains first.

    needs: of the stages that have not begun; running: stage -> seconds that it still takes.
    """
    height = heights({stage: {one for one in before if one in needs} for stage, before in needs.items()})
    order = {stage: number for number, stage in enumerate([*running, *needs])}
    awaited = {stage: sum(one in order for one in before) for stage, before in needs.items()}
    after: dict[T, list[T]] = {}
    for stage, before in needs.items():
        for one in before:
            after.setdefault(one, []).append(stage)
    ready = [(-height[stage], order[stage], stage) for stage, number in awaited.items() if not number]
    busy = [(left, order[stage], stage) for stage, left in running.items()]
    heapq.heapify(ready)
    heapq.heapify(busy)
    now, unknown = 0.0, 0
    while busy or ready:
        while ready and len(busy) < max(jobs, 1):
            _, place, stage = heapq.heappop(ready)
            takes = seconds(stage)
            unknown += takes is None
            heapq.heappush(busy, (now + (takes or 0.0), place, stage))
        now, _, ended = heapq.heappop(busy)
        for stage in after.get(ended, ()):
            awaited[stage] -= 1
            if not awaited[stage]:
                heapq.heappush(ready, (-height[stage], order[stage], stage))
    return Left(now, unknown)


def heights(needs: Mapping[T, set[T]]) -> dict[T, int]:
    """How many stages the longest chain above each stage has: the higher first, and no core waits at the end."""
    height = dict.fromkeys(needs, 0)
    for stage in reversed(list(TopologicalSorter(needs).static_order())):
        for need in needs[stage]:
            height[need] = max(height[need], height[stage] + 1)
    return height


def plan_text(names: Sequence[tuple[str, float | None]], total: int, jobs: int, left: Left, source: str) -> list[str]:
    """What a run is about to do, a line per kind of stage. names: `dmc.train_expert` and seconds, once per stage."""
    kinds: dict[str, list[float | None]] = {}
    for name, seconds in names:
        kinds.setdefault(name, []).append(seconds)
    timed = any(seconds is not None for _, seconds in names)
    takes = f"; {left.text() or 'about 0 s'}, if they take {source}" if timed else ", never timed yet"
    lines = [f"{len(names)} of {counted(total, 'stage')} to run, {jobs} at a time{takes}:"]
    width = max(map(len, kinds))
    for name, times in kinds.items():
        known = [one for one in times if one is not None]
        each = minutes(fmean(known)) + (" each" if len(times) > 1 else "") if known else "?"
        lines.append(f"  {len(times):4d}  {name:{width}}  {each}")
    return lines


def counted(number: int, what: str) -> str:
    """1 stage, 2 stages."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def minutes(seconds: float) -> str:
    """For people: 42 s, 3.5 min, 2.1 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
