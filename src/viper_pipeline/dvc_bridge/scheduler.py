"""`viper run`: stale stages side by side, with the same result as `dvc repro`.

DVC runs one stage at a time and holds one lock. Here only this process talks to DVC: it asks which stages have
changed, hands their plain commands to an executor as soon as what they read is there, and commits each result when it
ends. Stop it at any time, even with SIGKILL: what was committed is skipped the next time, by this command or by
`dvc repro`. Before the first stage starts it says which will, and for about how long.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from filelock import FileLock, Timeout

from viper_pipeline.core.errors import BadData, BadEnvironment
from viper_pipeline.dvc_bridge.code_yaml import write_code
from viper_pipeline.dvc_bridge.estimates import SHORT, Costs, Left, Reported, heights, minutes, plan_text, simulated
from viper_pipeline.dvc_bridge.executors import LOST, Executor, Local, of_stages
from viper_pipeline.dvc_bridge.project import project_of, read_params
from viper_pipeline.dvc_bridge.repo import DvcStage, NoopCache, Repository, StageProblem, Status
from viper_pipeline.dvc_bridge.run_stage import check_first
from viper_pipeline.dvc_bridge.screen import Running, Screen, State, Tail, last_words

PAUSE = 0.1
"""Seconds between two looks at the executor."""
BUSY_PAUSE = 2.0
"""Seconds between two looks at a stage that another process works on."""
REFRESH = 0.5
"""Seconds between two estimates of how long it still takes."""
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


def run(root: Path, executor: Executor, targets: Sequence[str] = (), dry: bool = False) -> int:
    """Bring `targets` (all stages, if there are none) up to date. 0: they are; 1: stages failed; 130: stopped.

    dry: say what would run and for about how long, and start nothing.
    """
    folder = root / ".viper"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BadEnvironment("another `viper run` is at work in this project; wait for it, or stop it") from error
    with lock:
        write_code(root)
        noop = NoopCache(root, targets)
        if (count := noop.holds()) is not None:
            print(f"0 ran, 0 restored, {count} up to date: no file has changed since they were", flush=True)
            return 0
        check_first(root, here=isinstance(executor, Local))
        begun = time.time_ns()
        screen = Screen()
        work = Run(root, executor, Repository(root), screen, targets)
        plan = work.plan()
        for line in plan or ([f"nothing to run: {work.total} stages are up to date"] if dry else []):
            screen.say(line)
        if dry:
            executor.cancel()
            return 0
        with screen:
            code = work()
        if code == 0:
            noop.write(list(work.done), begun)
        return code


@dataclass
class Task:
    """A stage in the executor's hands."""

    stage: DvcStage
    tail: Tail  # of its log, which the stage's worker opens
    begun: float  # seconds of the monotonic clock: handed over, or begun if it has
    queued: bool = True
    tries: int = 1
    reported: Reported | None = None  # how far it is, by its own log


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
        self.costs = Costs(root, repository.of_these_settings(self.todo, project_of(root).committed_costs(root)))
        names = {stage: _name(stage) for stage in self.todo if stage.cmd}
        asked = of_stages(read_params(root / "params.yaml"), {_name(stage) for stage in repository.stages()})
        self.resources = {stage: asked[name] for stage, name in names.items()}
        self.total = len(self.todo)
        self.work: set[DvcStage] = set()  # what is not up to date when the run begins
        self.running: dict[str, Task] = {}  # by address
        self.done: set[DvcStage] = set()
        self.failed: dict[DvcStage, str] = {}  # and why
        self.again: dict[str, float] = {}  # address of a stage that is busy -> when to ask again
        self.held: set[DvcStage] = set()
        self.ran = self.restored = 0
        self.begun = time.monotonic()
        self.stopping = False
        self.left: Left | None = None
        self.looked = 0.0  # at what is left, seconds of the monotonic clock

    def plan(self) -> list[str]:
        """Look which stages are up to date; what will be done about the others, in lines.

        What reads something that is made anew may turn out to be up to date, or to have been computed before.
        """
        for stage in TopologicalSorter(self.todo).static_order():
            if self.todo[stage] <= self.done and self.repository.is_up_to_date(stage):
                self.done.add(stage)
        for stage in self.done:
            del self.todo[stage]
        self.work = set(self.todo)
        if not (rest := [stage for stage in self.todo if not stage.always_changed]):
            return []
        rest.sort(key=lambda stage: (-self.height[stage], stage.addressing))
        nodes = {stage: _node(stage) for stage in rest}
        costs = [(nodes[stage].rpartition(".")[0], self.costs.expected(nodes[stage])) for stage in rest]
        source = self.costs.sources(nodes.values())
        return plan_text(costs, self.total, self.executor.jobs, self._left({}), source)

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
                if reported := Reported.read(line):
                    task.reported = reported
                if not (reported and self.screen.bars):  # its bar says it
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
        if time.monotonic() - self.looked > REFRESH or ended:
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
        self.looked = now = time.monotonic()
        running: dict[str, Running] = {}
        left: dict[DvcStage, float] = {}
        silent = 0  # stages at work of which nobody knows anything
        for name, task in self.running.items():
            so_far, node = (0.0 if task.queued else now - task.begun), _node(task.stage)
            rest = task.reported.seconds_left(now) if task.reported else None
            if rest is not None:
                self.costs.reported[node] = so_far + rest
            elif (expected := self.costs.expected(node)) is not None:
                rest = max(expected - so_far, 0.0)
            left[task.stage] = rest or 0.0
            silent += rest is None
            if not task.queued:
                note = f"{task.reported.done}/{task.reported.total}" if task.reported else ""
                running[name] = Running(so_far, rest, note)
        waiting = len(self.todo) + len(self.running) - len(running)
        share = self._share({self.running[name].stage: one.share or 0.0 for name, one in running.items()})
        ends = self._left(left)
        ends = ends._replace(unknown=ends.unknown + silent)
        return State(self.total, len(self.done), waiting, now - self.begun, ends, share, running)

    def _left(self, running: dict[DvcStage, float]) -> Left:
        """running: stage -> seconds that it still takes."""
        return simulated(
            {stage: self.todo[stage] for stage in sorted(self.todo, key=lambda stage: stage.addressing)},
            lambda stage: 0.0 if stage.always_changed else self.costs.expected(_node(stage)),
            running,
            self.executor.jobs,
        )

    def _share(self, running: dict[DvcStage, float]) -> float:
        """How much of what this run has to do is done. running: the same of each stage at work."""
        weight = {stage: self.costs.expected(_node(stage)) or SHORT for stage in {*self.work, *self.todo, *running}}
        ended = sum(seconds for stage, seconds in weight.items() if stage not in self.todo and stage not in running)
        whole = sum(weight.values())
        return (ended + sum(weight[stage] * share for stage, share in running.items())) / whole if whole else 1.0

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
