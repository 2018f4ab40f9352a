"""SIGKILL at random moments over every kind of stage and of `viper run`: the same command goes on, with equal bytes.

Run: python benchmarks/reliability/killed.py [COUNT]. In a copy of a finished project at profile tiny, the stages are
forgotten: their outputs, what the lock file says of them, and the cache of runs. Then `viper run` makes them anew,
and is started again after each of COUNT kills. A kill hits, in turn, the stage's processes or `viper run` itself;
`viper run` is also killed before its first stage, and when a stage has ended and its outputs are recorded. Prints one
line for each kind, and compares all outputs and the lock file with those of the run that nothing disturbed. Reports
print how long stages took; before the comparison the stages that read these times make their outputs once more, from
the times of the undisturbed run.
"""

from __future__ import annotations

import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml
from tiny_project import DMC, Project, copied, finished, hashes

from viper_pipeline.core.files import Json

BEFORE, RECORDING = "viper run, before a stage", "viper run, while it records"
LONGEST = 5.0
"""Seconds that a stage at profile tiny takes to import its libraries, at most; its own time is known."""
READS_TIMES = "aggregate"
"""The stage that puts into the metrics how long others took."""
RECORDS = 0.5
"""Seconds that `viper run` takes to record what a stage has made, at most."""


def kind_of(address: str) -> str:
    """A stage without its file and its item: `train_expert`."""
    return address.rpartition(":")[2].partition("@")[0]


def lock_of(root: Path, file: str) -> Path:
    """The lock file of a dvc.yaml."""
    return (root / file).with_name("dvc.lock")


def stages_in(root: Path, file: str) -> dict[str, Json]:
    """What the lock file says of each stage that there is and whose outputs are there.

    It may remember stages that the graph had once, and those of another profile's tasks.
    """
    known = yaml.safe_load((root / file).read_text())["stages"]
    locked = yaml.safe_load(lock_of(root, file).read_text())["stages"]
    return {
        name: entry
        for name, entry in locked.items()
        if name.partition("@")[0] in known and all((root / out["path"]).exists() for out in entry.get("outs", []))
    }


def outputs(root: Path, file: str, kind: str) -> dict[str, str]:
    """md5 of every output file of the stages of a kind."""
    entries = [entry for name, entry in stages_in(root, file).items() if kind_of(name) == kind]
    return hashes(root, [out["path"] for entry in entries for out in entry.get("outs", [])])


def forget(root: Path, file: str, kinds: Iterable[str]) -> None:
    """Make it that the stages of these kinds were never run."""
    kinds, lock = set(kinds), lock_of(root, file)
    content = yaml.safe_load(lock.read_text())
    for name in [name for name in content["stages"] if kind_of(name) in kinds]:
        for out in content["stages"].pop(name).get("outs", []):
            subprocess.run(["rm", "-rf", str(root / out["path"])], check=True)
    lock.write_text(yaml.safe_dump(content, sort_keys=False))
    subprocess.run(["rm", "-rf", str(root / ".dvc" / "cache" / "runs")], check=True)


def expected(root: Path, kind: str) -> float:
    """Seconds in which a stage of a kind is at work, from what the project has noted."""
    files = (root / ".viper" / "costs").glob(f"*.{kind}.*.json")
    return LONGEST + max((yaml.safe_load(file.read_text())["seconds"] for file in files), default=0.0)


@dataclass
class Driver:
    """One `viper run`: what it has said, and the kill that waits for it."""

    process: subprocess.Popen[str]
    at: float = 0.0  # seconds of the monotonic clock, of the kill; 0: none is planned
    kind: str = ""  # for which the kill counts
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.put(line.rstrip())

    def news(self) -> list[str]:
        """The lines since the last call."""
        found = []
        while not self.lines.empty():
            found.append(self.lines.get())
        self.said += found
        return found

    def stage(self) -> int | None:
        """The stage that runs: the leader of its process group."""
        try:
            children = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return None
        alive = [child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return alive[0] if alive else None

    def plan(self, kind: str, seconds: float) -> None:
        """Kill in so many seconds, for a kind."""
        self.at, self.kind = time.monotonic() + seconds, kind

    def kill(self, stage: bool) -> str:
        """Kill the stage's processes, or `viper run`; where no stage runs, `viper run`. Says which."""
        leader = self.stage() if stage else None
        try:
            if leader:
                os.killpg(leader, signal.SIGKILL)  # each stage has a process group of its own
        except ProcessLookupError:
            leader = None
        if not leader:
            self.process.kill()
        self.process.wait()
        return "its processes" if leader else "viper run"


@dataclass
class Killer:
    """Kills `viper run FILE` in a project until every kind has had its share, and lets it end."""

    project: Project
    file: str
    left: Counter[str]  # kind -> kills to come
    rng: random.Random
    hit: dict[str, Counter[str]] = field(default_factory=dict)  # kind -> what was killed
    took: dict[str, float] = field(default_factory=dict)  # kind -> seconds from its start until it was recorded

    def __call__(self) -> str:
        """Returns what is wrong; nothing, if the same command went on after each kill."""
        while True:
            driver = Driver(self.project.start("viper", "run", "-j", "1", self.file))
            if self.left[BEFORE]:
                driver.plan(BEFORE, self.rng.uniform(0, 3.0))
            if self._killed(driver):
                continue
            driver.process.wait()
            time.sleep(0.1)
            driver.news()
            if driver.process.returncode == 0:
                return ""
            return f"ended with {driver.process.returncode}: {' / '.join(driver.said[-3:])}"

    def _killed(self, driver: Driver) -> bool:
        """Watch one run; whether it was killed, or else it has ended."""
        kind, running, begun = "", False, 0.0
        while driver.process.poll() is None:
            for line in driver.news():
                words = line.split()
                if words[:1] == ["start"]:
                    kind, begun = kind_of(words[1]), time.monotonic()
                    if self.left[kind] and not self.left[BEFORE]:
                        latest = self.took.get(kind) or expected(self.project.root, kind)
                        driver.plan(kind, self.rng.uniform(0, latest))
                elif words[:1] == ["done"]:
                    self.took[kind] = time.monotonic() - begun
                    if driver.kind == kind:
                        driver.at = 0.0  # it was quicker; it is forgotten and made once more
            if kind and (stage := driver.stage() is not None) != running:
                running = stage
                if not running and self.left[RECORDING] and not driver.at:
                    driver.plan(RECORDING, self.rng.uniform(0, RECORDS))
            if driver.at and time.monotonic() >= driver.at:
                turn = driver.kind not in (BEFORE, RECORDING) and self.left[driver.kind] % 2 == 1
                self._note(driver.kind, driver.kill(stage=turn))
                return True
            time.sleep(0.01)
        return False

    def _note(self, kind: str, what: str) -> None:
        self.left[kind] -= 1
        self.hit.setdefault(kind, Counter())[what] += 1
        print(f"killed for '{kind}': {what}; {self.left.total()} to come", file=sys.stderr, flush=True)


def tried(whole: Project, folder: Path, file: str, count: int, seed: int = 0) -> list[str]:
    """A line for each kind. whole: a project in which FILE is up to date; a copy of it, at `folder`, is disturbed."""
    stages = list(dict.fromkeys(map(kind_of, stages_in(whole.root, file))))
    kinds = [BEFORE, RECORDING, *stages]
    shares = Counter({kind: count // len(kinds) + (i < count % len(kinds)) for i, kind in enumerate(kinds)})
    project = copied(whole, folder)
    chosen = [kind for kind in stages if shares[kind]]
    killer = Killer(project, file, Counter(shares), random.Random(seed))
    while again := [kind for kind in chosen or stages[:1] if killer.left[kind] or not killer.hit]:
        forget(project.root, file, again)
        if wrong := killer():
            return [f"killed, all of them: the same command did not go on: {wrong}"]
    retime(whole, project, file, stages)
    lines = []
    for kind in kinds:
        if not (hit := killer.hit.get(kind)):
            continue
        number = sum(hit.values())
        how = " and ".join(f"{n} of {what}" for what, n in sorted(hit.items()))
        equal = kind in (BEFORE, RECORDING) or outputs(project.root, file, kind) == outputs(whole.root, file, kind)
        lines.append(f"killed, {kind}: {number} killed ({how}), {number} resumed, bytes {'' if equal else 'NOT '}equal")
    same = all(outputs(project.root, file, kind) == outputs(whole.root, file, kind) for kind in stages)
    locked = stages_in(project.root, file) == stages_in(whole.root, file)
    total = sum(sum(hit.values()) for hit in killer.hit.values())
    end = f"outputs {'' if same else 'NOT '}equal, lock file {'' if locked else 'NOT '}equal"
    return [*lines, f"killed, all of them: {total} killed, {total} resumed by the same command, {end}"]


def retime(whole: Project, project: Project, file: str, stages: Iterable[str]) -> None:
    """Let the stages of `project` that read measured times read those that the metrics of `whole` hold."""
    if READS_TIMES not in stages:
        return
    times = project.root / ".viper" / "costs"
    shutil.rmtree(times, ignore_errors=True)
    times.mkdir(parents=True)
    metrics = whole.root / "reports" / Path(file).parent.name / "metrics.json"
    for node, cost in json.loads(metrics.read_text())["costs"].items():
        (times / f"{node}.json").write_text(json.dumps(cost))
    forget(project.root, file, [READS_TIMES])
    project.run("viper", "run", "-j", "1", file)


def main(count: int) -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory() as place:
        for line in tried(finished(), Path(place) / "project", DMC, count):
            print(line, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
