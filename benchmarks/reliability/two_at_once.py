"""Two commands at once on one project: one does the work, the other waits for it or says so, and nothing is lost.

Run: python benchmarks/reliability/two_at_once.py [COUNT]. A stage of a finished project at profile tiny is forgotten,
and two of `viper run` and `dvc repro` are started for it, the second at a random moment of the first. Of COUNT tries of
each pair it is counted what became of the later and the earlier command, in how many lines the one that gave up said
so, and whether then the output and the lock file are those of the run that nothing disturbed. Prints one line for each
pair. What DVC says is DVC's own.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from killed import expected, forget, kind_of, outputs, stages_in
from tiny_project import DMC, Project, copied, finished

COMMANDS = {"viper run": ("viper", "run", "-j", "1"), "dvc repro": ("dvc", "repro")}
PAIRS = [(one, other) for one in COMMANDS for other in COMMANDS]
PATIENCE = 300.0
"""Seconds that both may take; more is an endless wait."""


def complaint(command: str, said: str) -> list[str]:
    """The lines in which a command says why it gave up."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if command == "dvc repro":
        begins = next((i for i, line in enumerate(lines) if line.startswith("ERROR")), len(lines))
        return lines[begins:]
    failed = [line for line in lines if line.startswith("FAILED") and "[" not in line]
    return failed or [line for line in lines if not line.startswith(("start", "waits", "done", "0 ran"))]


def ended(running: subprocess.Popen[str]) -> str:
    """What a command has said when it ends; it is killed if it never does."""
    try:
        return running.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        running.kill()
        return "Traceback: it never ended\n" + running.communicate()[0]


def once(project: Project, whole: Project, file: str, kind: str, pair: tuple[str, str], gap: float) -> list[str]:
    """What became of one try."""
    forget(project.root, file, [kind])
    stage = next(name for name in stages_in(whole.root, file) if kind_of(name) == kind)
    target = f"{file}:{stage}"
    first = project.start(*COMMANDS[pair[0]], target)
    time.sleep(gap)
    second = project.start(*COMMANDS[pair[1]], target)
    said = ended(first), ended(second)
    codes = first.returncode, second.returncode
    found = []
    if any("Traceback" in text for text in said):
        found.append("traceback")
    if codes == (0, 0):
        found.append("both ended well")
    elif 0 in codes:
        lost = codes.index(next(code for code in codes if code))
        lines = complaint(pair[lost], said[lost])
        which = ("earlier", "later")[lost]
        found.append(f"the {which} one gave up in {len(lines)} line{'' if len(lines) == 1 else 's'}")
    else:
        found.append("both gave up")
    if outputs(project.root, file, kind) != outputs(whole.root, file, kind):
        found.append("output NOT equal")
    if stages_in(project.root, file) != stages_in(whole.root, file):
        found.append("lock file NOT equal")
    if "traceback" in found or "both gave up" in found or any("NOT" in what for what in found):
        log = project.root / ".viper" / f"two-{time.time_ns()}.log"
        log.write_text(f"{pair} {gap:.2f} s apart\n" + "\n=====\n".join(said))
        print(log, file=sys.stderr)
    return found


def tried(whole: Project, folder: Path, file: str, kind: str, count: int, seed: int = 0) -> list[str]:
    """A line for each pair. kind: of the stage, which has one item. whole: a project in which FILE is up to date."""
    project, rng, lines = copied(whole, folder), random.Random(seed), []
    for pair in PAIRS:
        found: Counter[str] = Counter()
        for _ in range(count):
            found.update(once(project, whole, file, kind, pair, rng.uniform(0, expected(whole.root, kind))))
            project.run("viper", "run", "-j", "1", file)  # whatever happened, the next run goes on from there
        if outputs(project.root, file, kind) != outputs(whole.root, file, kind):
            found["NOT mended by the next run"] += 1
        said = ", ".join(f"{number} {what}" for what, number in sorted(found.items()))
        lines.append(f"two at once, `{pair[0]}` and then `{pair[1]}`: {count} tried, {said}")
    return lines


def main(count: int) -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory() as place:
        for line in tried(finished(), Path(place) / "project", DMC, "curate_experts", count):
            print(line, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
