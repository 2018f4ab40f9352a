"""`viper run`: stale stages side by side, with the same result as `dvc repro`.

DVC runs one stage at a time and holds one lock. Here only this process talks to DVC: it asks which stages have
changed, hands their plain commands to an executor as soon as what they read is there, and commits each result when it
ends. Stop it at any time, even with SIGKILL: what was committed is skipped the next time, by this command or by
`dvc repro`. A terminal shows a table that stays below what stages print; elsewhere each event is one line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from viper_pipeline.core.errors import BadData, BadEnvironment
from viper_pipeline.dvc_bridge.code_yaml import write_code
from viper_pipeline.dvc_bridge.executors import LOST, Executor, Local, of_stages
from viper_pipeline.dvc_bridge.project import read_params
from viper_pipeline.dvc_bridge.repo import DvcStage, NoopCache, Repository, StageProblem, Status
from viper_pipeline.dvc_bridge.run_stage import check_first


class Costs:
    """Seconds by node, on this machine."""

    def __init__(self, root: Path) -> None:
        self.seconds = {
            path.stem: float(json.loads(path.read_text())["seconds"])
            for path in sorted((root / ".viper" / "costs").glob("*.json"))
        }

    def expected(self, node: str) -> float | None:
        """What `node` took last time, or what others of its stage took; None if there is neither."""
        if node in self.seconds:
            return self.seconds[node]
        stage = node.rpartition(".")[0]
        alike = [seconds for name, seconds in self.seconds.items() if name.rpartition(".")[0] == stage]
        return fmean(alike) if alike else None

    def left(self, waiting: Iterable[str], running: Mapping[str, float], jobs: int) -> float | None:
        """Seconds until all is done. running: node -> seconds so far. None while a stage was never timed."""
        so_far = {node: 0.0 for node in waiting} | dict(running)
        rest = []
        for node, seconds in so_far.items():
            cost = self.expected(node)
            if cost is None:
                return None
            rest.append(max(cost - seconds, 0.0))
        return max([sum(rest) / jobs, *rest]) if rest else 0.0


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


def last_words(log: Path) -> str:
    """The last line that a failed stage printed: an error of ours is one line, an exception ends in its message."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - 10_000, 0))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:LONGEST] if lines else ""


def minutes(seconds: float) -> str:
    """For people: 42 s, 3.5 min, 2.1 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


PAUSE = 0.1
"""Seconds between two looks at the executor."""
BUSY_PAUSE = 2.0
"""Seconds between two looks at a stage that another process works on."""
LONGEST = 300
"""Letters of a log's last line in the reason of a failure."""
TRIES = 4
"""How often a stage is started whose workers die; each time it goes on from its last checkpoint."""


def make_executor(name: str, root: Path, jobs: int | None, address: str | None) -> Executor:
    """An executor by its name. jobs, address: None for the executor's own default."""
    if name == "ray":
        from viper_pipeline.dvc_bridge.executors import Ray

        return Ray(jobs, address or "auto")
    if name == "slurm":
        from viper_pipeline.dvc_bridge.executors import Slurm

        return Slurm(root, jobs, address or "slurm")
    if address:
        raise BadEnvironment("--address goes with --executor ray or slurm; the local executor is this machine")
    return Local(jobs or os.cpu_count() or 1)


def run(root: Path, executor: Executor, targets: Sequence[str] = ()) -> int:
    """Bring `targets` (all stages, if there are none) up to date. 0: they are; 1: stages failed; 130: stopped."""
    folder = root / ".viper"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BadEnvironment("another `viper run` is at work in this project; wait for it, or stop it") from error
    with lock, Screen() as screen:
        write_code(root)
        noop = NoopCache(root, targets)
        if (count := noop.holds()) is not None:
            screen.say(f"0 ran, 0 restored, {count} up to date: no file has changed since they were")
            return 0
        check_first(root, here=isinstance(executor, Local))
        begun = time.time_ns()
        work = Run(root, executor, Repository(root), screen, targets)
        code = work()
        if code == 0:
            noop.write(list(work.done), begun)
        return code


def heights(needs: Mapping[DvcStage, set[DvcStage]]) -> dict[DvcStage, int]:
    """How many stages the longest chain above each stage has: the higher first, and no core waits at the end."""
    height = dict.fromkeys(needs, 0)
    for stage in reversed(list(TopologicalSorter(needs).static_order())):
        for need in needs[stage]:
            height[need] = max(height[need], height[stage] + 1)
    return height


@dataclass
class Task:
    """A stage in the executor's hands."""

    stage: DvcStage
    tail: Tail  # of its log, which the stage's worker opens
    begun: float  # seconds of the monotonic clock: handed over, or begun if it has
    queued: bool = True
    tries: int = 1


class Run:
    """One pass over the graph."""

    def __init__(self, root: Path, executor: Executor, repository: Repository, screen: Screen, targets: Sequence[str]):
        self.root, self.executor, self.repository, self.screen = root, executor, repository, screen
        self.todo = repository.needs(targets)
        if missing := repository.missing_sources(self.todo):
            raise BadData("\n".join(missing))
        if full := repository.shortage(self.todo):
            raise BadEnvironment(full)
        self.height = heights(self.todo)
        self.costs = Costs(root)
        names = {stage: _name(stage) for stage in self.todo if stage.cmd}
        asked = of_stages(read_params(root / "params.yaml"), {_name(stage) for stage in repository.stages()})
        self.resources = {stage: asked[name] for stage, name in names.items()}
        self.total = len(self.todo)
        self.running: dict[str, Task] = {}  # by address
        self.done: set[DvcStage] = set()
        self.failed: dict[DvcStage, str] = {}  # and why
        self.again: dict[str, float] = {}  # address of a stage that is busy -> when to ask again
        self.held: set[DvcStage] = set()
        self.ran = self.restored = 0
        self.begun = time.monotonic()
        self.stopping = False

    def __call__(self) -> int:
        """Run to the end."""
        with self._signals():
            try:
                while (self.todo or self.running) and not self.stopping:
                    self._hold_back()
                    self._launch()
                    self._collect()
            finally:
                self.executor.cancel()
        for line in self._conclusion():
            self.screen.say(line)
        return 130 if self.stopping else int(bool(self.failed))

    def _hold_back(self) -> None:
        """Stages that read what a failed one should have made are not tried."""
        lost = {*self.failed, *self.held}
        while blocked := {stage for stage, needs in self.todo.items() if needs & lost}:
            for stage in blocked:
                del self.todo[stage]
            self.held |= blocked
            lost |= blocked

    def _launch(self) -> None:
        """Start what can start, the longest chains first. What turns out to be up to date may free better ones."""
        while len(self.running) < self.executor.jobs and not self.stopping:
            ready = [stage for stage, needs in self.todo.items() if needs <= self.done]
            now = time.monotonic()
            ready = [stage for stage in ready if self.again.get(stage.addressing, now) <= now]
            if not ready:
                return
            stage = min(ready, key=lambda s: (-self.height[s], s.addressing))
            needs = self.todo.pop(stage)
            try:
                status = self.repository.status(stage)
            except StageProblem as problem:
                self._fail(stage, str(problem))
                return
            if status is Status.BUSY:
                self.todo[stage] = needs
                if stage.addressing not in self.again:
                    self._event("waits ", stage, f" for another DVC command: {self.repository.busy[stage.addressing]}")
                self.again[stage.addressing] = now + BUSY_PAUSE
            elif status is Status.STALE:
                log = self._log(stage)
                log.unlink(missing_ok=True)
                self.running[stage.addressing] = Task(stage, Tail(log), time.monotonic())
                self._submit(stage)
                self._event("start ", stage)
            else:
                self.done.add(stage)
                if status is Status.RESTORED:
                    self.restored += 1
                    self._event("cached", stage)

    def _submit(self, stage: DvcStage) -> None:
        self.executor.submit(stage.addressing, stage.cmd, Path(stage.wdir), self._log(stage), self.resources[stage])

    def _collect(self) -> None:
        """Show what stages print, and see to those that have ended."""
        ended = dict(self.executor.ended())
        for name, task in self.running.items():
            if task.queued and task.tail.path.exists():
                task.queued, task.begun = False, time.monotonic()
            for line in task.tail.lines(last=name in ended):
                self.screen.say(f"  {name.rpartition(':')[2]} | {line}")
        for name, code in ended.items():
            task = self.running[name]
            if code == LOST and task.tries < TRIES:
                task.tries += 1
                self._submit(task.stage)
                self._event("again ", task.stage, f" (its worker died; try {task.tries} of {TRIES})")
                continue
            del self.running[name]
            self._finish(task.stage, code, time.monotonic() - task.begun)
        self.screen.show(self._state())
        if (self.running or self.again) and not ended:
            time.sleep(PAUSE)

    def _finish(self, stage: DvcStage, code: int, took: float) -> None:
        """Commit what a stage has made, or note that it failed."""
        how = f"its worker died {TRIES} times" if code == LOST else f"exit {code}"
        why = f"{how}, {self._log(stage).relative_to(self.root)}"
        if code == 0:
            try:
                changed = self.repository.commit(stage)
            except StageProblem as problem:
                self._fail(stage, str(problem))
                return
            why = f"changed while it ran, so run again: {', '.join(changed)}"
            if not changed:
                self.done.add(stage)
                self.ran += 1
                self._event("done  ", stage, f" in {minutes(took)}")
                return
        if code not in (0, LOST) and (said := last_words(self._log(stage))):
            why = f"{why}: {said}"
        self._fail(stage, why)

    def _fail(self, stage: DvcStage, why: str) -> None:
        self.failed[stage] = why
        self._event("FAILED", stage, f" ({why})")

    def _conclusion(self) -> Iterator[str]:
        up_to_date = len(self.done) - self.ran - self.restored
        took = minutes(time.monotonic() - self.begun)
        yield f"{self.ran} ran, {self.restored} restored, {up_to_date} up to date, in {took}"
        yield from (f"FAILED {stage.addressing}: {why}" for stage, why in self.failed.items())
        if self.held:
            yield f"{len(self.held)} held back, since they read what these should have made"
        if self.stopping:
            yield "stopped; the same command goes on from here"

    def _state(self) -> State:
        now = time.monotonic()
        so_far = {name: 0.0 if task.queued else now - task.begun for name, task in self.running.items()}
        nodes = {name: _node(task.stage) for name, task in self.running.items()}
        left = self.costs.left(
            [_node(stage) for stage in self.todo if stage.cmd],
            {nodes[name]: seconds for name, seconds in so_far.items()},
            self.executor.jobs,
        )
        begun = {name: seconds for name, seconds in so_far.items() if not self.running[name].queued}
        running = {name: (seconds, self.costs.expected(nodes[name])) for name, seconds in begun.items()}
        waiting = len(self.todo) + len(so_far) - len(begun)
        return State(self.total, len(self.done), waiting, now - self.begun, left, running)

    def _event(self, what: str, stage: DvcStage, more: str = "") -> None:
        self.screen.say(f"{what} {stage.addressing}{more}  [{self._state().summary()}]")

    def _log(self, stage: DvcStage) -> Path:
        """Where a stage's output goes."""
        return self.root / ".viper" / "logs" / f"{_node(stage)}.log"

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run between two steps, never in the middle of a commit."""

        def stop(*_: object) -> None:
            self.stopping = True

        previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _node(stage: DvcStage) -> str:
    """Kedro's name of a stage's node: the last word of its command."""
    return str(stage.cmd or stage.addressing).rpartition(" ")[2].replace("/", "_")


def _name(stage: DvcStage) -> str:
    """The stage without its item: `train_tokenizer`."""
    return str(stage.addressing).rpartition(":")[2].partition("@")[0]
