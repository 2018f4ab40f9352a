"""`viper run`: stale stages side by side, with the same result as `dvc repro`.

DVC runs one stage at a time and holds one lock. Here only this process talks to DVC: it asks which stages have changed,
hands their plain commands to an engine as soon as what they read is there, and commits each result when it ends. Stop it at
any time: what was committed is skipped the next time, by this command or by `dvc repro`.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from viper_pipeline.graph.engines import Engine


class Run:
    """One pass over the graph."""

    def __init__(self, engine: Engine, targets: Sequence[str] = ()) -> None:
        from dvc.repo import Repo

        self.engine = engine
        self.repo = Repo()
        self.root = Path(self.repo.root_dir)
        with self.repo.lock:
            graph = self.repo.index.graph
            wanted = list(_reachable(graph, self._targets(targets)))
            self.todo = {s: set(graph.successors(s)) for s in wanted}
        self.total = len(wanted)
        self.running: dict[str, Any] = {}
        self.begun: dict[str, float] = {}
        self.done: set[Any] = set()
        self.failed: list[Any] = []
        self.held: set[Any] = set()
        self.ran = self.restored = 0
        self.start = time.monotonic()

    def _targets(self, targets: Sequence[str]) -> list[Any]:
        collected = [stage for target in targets for stage in self.repo.stage.collect(target)]
        return collected or list(self.repo.index.stages)

    def __call__(self) -> int:
        """Run to the end; 0 if every stage is up to date then."""
        previous = signal.signal(signal.SIGTERM, _interrupt)
        try:
            while self.todo or self.running:
                self.hold_back()
                self.launch()
                if self.running:
                    for name, code in self.engine.wait():
                        self.finish(self.running.pop(name), code)
        except KeyboardInterrupt:
            self.say("stopped; the same command goes on from here")
            self.engine.cancel()
            return 130
        finally:
            signal.signal(signal.SIGTERM, previous)
        up_to_date = len(self.done) - self.ran - self.restored
        self.say(f"{self.ran} ran, {self.restored} restored, {up_to_date} up to date", end=False)
        for stage in self.failed:
            self.say(f"FAILED {stage.addressing}: {self.log(stage)}", end=False)
        if self.held:
            self.say(f"{len(self.held)} stages held back by these", end=False)
        return 1 if self.failed else 0

    def hold_back(self) -> None:
        """Stages that read what a failed one should have made are not tried."""
        lost = {*self.failed, *self.held}
        while blocked := {s for s, needs in self.todo.items() if needs & lost}:
            for stage in blocked:
                del self.todo[stage]
            self.held |= blocked
            lost |= blocked

    def launch(self) -> None:
        """Start what can start."""
        for stage in sorted((s for s, needs in self.todo.items() if needs <= self.done), key=lambda s: s.addressing):
            if len(self.running) >= self.engine.jobs:
                return
            del self.todo[stage]
            if self.stale(stage):
                self.running[stage.addressing] = stage
                self.begun[stage.addressing] = time.monotonic()
                self.engine.submit(stage.addressing, stage.cmd, Path(stage.wdir), self.log(stage))
                self.say(f"start  {stage.addressing}")
            else:
                self.done.add(stage)

    def stale(self, stage: Any) -> bool:
        """Whether a stage must run; if its result was computed before, it is put back instead."""
        from dvc.stage.cache import RunCacheNotFoundError

        with self.repo.lock:
            if not stage.cmd or not stage.changed():
                return False
            try:
                # before save_deps: afterwards DVC would take the outputs in the lock file for those of the new inputs
                self.repo.stage_cache.restore(stage)
            except RunCacheNotFoundError:
                stage.save_deps()
                stage.remove_outs(ignore_remove=False, force=False)
                return True
            stage.dump(update_pipeline=False)
        self.restored += 1
        self.say(f"cached {stage.addressing}")
        return False

    def finish(self, stage: Any, code: int) -> None:
        """Commit what a stage has made, or note that it failed."""
        took = time.monotonic() - self.begun[stage.addressing]
        if code:
            self.failed.append(stage)
            self.say(f"FAILED {stage.addressing} (exit {code})")
            sys.stderr.write("".join(f"    {line}\n" for line in _tail(self.log(stage))))
            return
        with self.repo.lock:
            stage.save()
            stage.commit()
            stage.dump(update_pipeline=False)
        self.done.add(stage)
        self.ran += 1
        self.say(f"done   {stage.addressing} in {took:.0f} s")

    def log(self, stage: Any) -> Path:
        """Where a stage's output goes."""
        return self.root / ".viper" / "logs" / (stage.addressing.replace("/", "_").replace(":", "_") + ".log")

    def say(self, text: str, end: bool = True) -> None:
        """A line with the state of the run."""
        elapsed = time.monotonic() - self.start
        counts = (
            f"  [{len(self.done)} of {self.total} done, {len(self.running)} running, {elapsed / 60:.1f} min]"
            if end
            else ""
        )
        print(text + counts, flush=True)


def _reachable(graph: Any, stages: Iterable[Any]) -> set[Any]:
    """The stages and all that they need."""
    import networkx

    stages = list(stages)
    return set(stages).union(*(networkx.descendants(graph, s) for s in stages))


def _tail(log: Path, lines: int = 12) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
