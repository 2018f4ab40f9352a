"""The mistakes in params.yaml that a check can't see: each sound set is run to its end, or a stage says what is wrong.

Run: python benchmarks/reliability/mutated_runs.py [COUNT]. Of the COUNT sets that `mutated_params.py` tries, the sound
ones are put, one by one, into a copy of a project whose three suites are up to date, and `viper dvc sync` and
`viper run` are called for them as a user would. A value such as 10^9 updates may ask for years: a
run that goes on after LIMIT is stopped by Ctrl-C, and must then end in one message. Prints one line.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from mutated_params import ROOT, tried
from tiny_project import Project, copied, finished
from two_at_once import ended

SUITES = tuple(f"pipelines/{suite}/dvc.yaml" for suite in ("dmc", "atari", "tabletop"))
LIMIT = 600.0
"""Seconds of a run at profile tiny after which it is stopped; undisturbed, a whole suite takes a third of it."""
ENDED, REFUSED, STOPPED = "run to the end", "refused with a reason", "stopped by Ctrl-C"


def said_by(running: subprocess.Popen[str], limit: float) -> tuple[str, bool]:
    """What a command printed, and whether it had to be stopped."""
    try:
        return running.communicate(timeout=limit)[0], False
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGINT)
    return ended(running), True


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
    for seed, text in [(seed, text) for seed, text, said in tried(count) if said == "sound"]:
        with tempfile.TemporaryDirectory(dir=whole.root.parent) as folder:
            project = copied(whole, Path(folder) / "project")
            found, printed = became(project, text)
        counts[found] += 1
        print(f"{seed}: {found}", file=sys.stderr, flush=True)
        if found != ENDED:
            (ROOT / ".viper" / f"mutated-{seed}.yaml").write_text(text)
            (ROOT / ".viper" / f"mutated-{seed}.txt").write_text(printed)
    return f"mutated params.yaml, the sound ones run: {counts.total()} tried, " + ", ".join(
        f"{number} {said}" for said, number in counts.most_common()
    )


if __name__ == "__main__":
    print(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
