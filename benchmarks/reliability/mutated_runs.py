"""The mistakes in params.yaml that a check can't see: each sound set is run to its end, or a stage says what is wrong.

Run: python benchmarks/reliability/mutated_runs.py [COUNT]. Of the sets that `mutated_params.py` makes of profile tiny,
the COUNT first that are sound are put, one by one, into a copy of a project whose three suites are up to date, and
`viper dvc sync` and `viper run` are called for them as a user would. A value such as 10^9 updates may ask for years: a
run that goes on after LIMIT is stopped by Ctrl-C, and must then end in one message. Prints one line.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from mutated_params import ROOT, mutated, outcome
from tiny_project import Project, copied, finished

from viper_pipeline.pipelines.profiles import read_profile

SUITES = tuple(f"pipelines/{suite}/dvc.yaml" for suite in ("dmc", "atari", "tabletop"))
LIMIT = 600.0
"""Seconds of a run at profile tiny after which it is stopped; undisturbed, a whole suite takes a third of it."""
PATIENCE = 60.0
"""Seconds between Ctrl-C and the end."""
ENDED, REFUSED, STOPPED = "run to the end", "refused with a reason", "stopped by Ctrl-C"


def sound() -> Iterator[tuple[int, str]]:
    """The sound sets with their seeds, in the order of `mutated_params.py`, without end."""
    values, seed = read_profile(ROOT / "profiles" / "tiny.yaml"), 0
    while True:
        text = mutated(values, random.Random(seed))
        if outcome(text) == "sound":
            yield seed, text
        seed += 1


def said_by(running: subprocess.Popen[str], limit: float) -> tuple[str, bool]:
    """What a command printed, and whether it had to be stopped; what Ctrl-C doesn't end counts as a traceback."""
    try:
        return running.communicate(timeout=limit)[0], False
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGINT)
    try:
        return running.communicate(timeout=PATIENCE)[0], True
    except subprocess.TimeoutExpired:
        running.kill()
        return f"Traceback: Ctrl-C did not end it\n{running.communicate()[0]}", True


def became(project: Project, text: str, files: tuple[str, ...] = SUITES, limit: float = LIMIT) -> tuple[str, str]:
    """What becomes of a project with these parameters, and what its commands printed."""
    (project.root / "params.yaml").write_text(text)
    printed = ""
    for command in (("viper", "dvc", "sync"), ("viper", "run", "-j", "1", *files)):
        running = project.start(*command)
        said, stopped = said_by(running, limit)
        printed += said
        if "Traceback" in said:
            return "traceback", printed
        if stopped:
            return STOPPED, printed
        if running.returncode:
            return (REFUSED if "FAILED" in said or "params.yaml" in said else "ended without a reason"), printed
    return ENDED, printed


def main(count: int) -> str:
    """The line. What a run printed that went otherwise lies in .viper, beside its parameters."""
    whole = finished()
    whole.run("viper", "run", "-j", "1", *SUITES)
    counts: Counter[str] = Counter()
    for seed, text in islice(sound(), count):
        with tempfile.TemporaryDirectory(dir=whole.root.parent) as folder:
            project = copied(whole, Path(folder) / "project")
            found, printed = became(project, text)
            shutil.rmtree(project.root)
        counts[found] += 1
        print(f"{seed}: {found}", file=sys.stderr, flush=True)
        if found != ENDED:
            (ROOT / ".viper" / f"mutated-{seed}.yaml").write_text(text)
            (ROOT / ".viper" / f"mutated-{seed}.txt").write_text(printed)
    return f"mutated params.yaml, the sound ones run: {count} tried, " + ", ".join(
        f"{number} {said}" for said, number in counts.most_common()
    )


if __name__ == "__main__":
    print(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
