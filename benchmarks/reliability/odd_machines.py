"""The project on machines that are not like ours: other users, homes, locales, paths, no Git, another Python.

Run: python benchmarks/reliability/odd_machines.py [CONDITION ...]. Under each condition a copy of the project is
looked at and worked with: version, doctor, parameters, dvc.yaml, a score of a film by the shipped reward, and one stage
of the tiny profile by `viper run`, again, and by `dvc repro`. Prints one line for each condition. Those that need
another user run as root only; Python 3.12 is tried where `make python312` has made an environment of it.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from viper_pipeline.data.episode import gif

ROOT = Path(__file__).parents[2]
NOBODY = 65534
STAGE = "pipelines/dmc/dvc.yaml:record_baselines@cartpole_balance"
VIPER = ("-m", "viper_pipeline")
DVC = ("-m", "dvc")
CHECKS: dict[str, tuple[str, ...]] = {
    "viper --version": (*VIPER, "--version"),
    "viper doctor": (*VIPER, "doctor", "--suite", "dmc"),
    "viper params check": (*VIPER, "params", "check"),
    "viper dvc check": (*VIPER, "dvc", "check"),
    "viper score": (*VIPER, "score", "film.gif", "--reward", "dmc-laptop", "--task", "cartpole_balance"),
    "viper profile": (*VIPER, "profile", "tiny", "--force"),
    "viper dvc sync": (*VIPER, "dvc", "sync"),
    "viper run": (*VIPER, "run", "-j", "1", STAGE),
    "viper run, again": (*VIPER, "run", "-j", "1", STAGE),
    "dvc repro": (*DVC, "repro", STAGE),
}
"""What is tried, in this order; all are to end with 0 and without a traceback."""


@dataclass(frozen=True)
class Place:
    """Where and how commands run."""

    folder: Path  # of the project
    python: str = sys.executable
    environment: dict[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()  # variables of this process' environment that are not passed on
    user: int | None = None  # None: who runs this program
    before: tuple[tuple[str, ...], ...] = ()  # commands that are run first

    def run(self, words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        """One command of Python's."""
        without = (*self.without, "PYTHONDONTWRITEBYTECODE", "VIPER_ROOT")
        passed = {name: value for name, value in os.environ.items() if name not in without}
        own = {"PYTHONPATH": str(self.folder / "src"), "OMP_NUM_THREADS": "1"}
        path = f"{Path(self.python).parent}{os.pathsep}{passed.get('PATH', os.defpath)}"
        return subprocess.run(
            [*as_user(self.user, self.python), self.python, *words],
            cwd=self.folder,
            env=passed | own | {"PATH": path} | self.environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )


class NotHere(Exception):
    """This machine cannot try a condition."""


def as_user(user: int | None, python: str) -> list[str]:
    """The words before a command that make another user run it.

    An interpreter below a home that only its owner may enter is shown to the user by a mount that only this command
    and its children see.
    """
    if user is None:
        return []
    drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
    real = Path(python).resolve()
    closed = next((folder for folder in reversed(real.parents) if not folder.stat().st_mode & 0o001), None)
    if closed is None:
        return drop
    below = closed / real.relative_to(closed).parts[0]
    opened, kept = shlex.quote(str(closed)), shlex.quote(str(below))
    script = (
        f'set -e; t=$(mktemp -d); mount --bind {kept} "$t"; mount -t tmpfs -o mode=755 tmpfs {opened}; '
        f'mkdir {kept}; mount --move "$t" {kept}; rmdir "$t"; exec "$@"'
    )
    return ["unshare", "--mount", "sh", "-c", script, "sh", *drop]


def project(folder: Path, git: bool = True, owner: int | None = None) -> Path:
    """A copy of what Git has or would take, as it is now, in the new folder; its own repository of Git, or none."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in filter(None, os.fsdecode(listed).split("\0")):
            if (ROOT / name).exists():
                archive.add(ROOT / name, name, recursive=False)
    packed.seek(0)
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=packed) as archive:
        archive.extractall(folder)
    frames = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    (folder / "film.gif").write_bytes(gif(frames, zoom=1))
    if git:
        me = ["-c", "user.name=a", "-c", "user.email=a@b"]
        for words in (["init", "-q"], ["add", "."], [*me, "commit", "-q", "-m", "start"]):
            subprocess.run(["git", *words], cwd=folder, check=True)
    if owner is not None:
        for path in (folder, *folder.rglob("*")):
            os.lchown(path, owner, owner)
    return folder


def other_user(base: Path, home: str | None, mode: int = 0o755) -> Place:
    """A user who is not root, with a home or none."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        raise NotHere("needs root, and setpriv, to become another user")
    base.chmod(0o755)
    place = Place(project(base / "project", owner=NOBODY), user=NOBODY, without=("USER", "LOGNAME", "HOME"))
    if place.run(("-c", "import numpy")).returncode:
        raise NotHere(f"another user cannot start {sys.executable}")
    if home is None:
        return place
    folder = base / home
    folder.mkdir(mode=mode)
    if mode & 0o200:
        os.chown(folder, NOBODY, NOBODY)
    return replace(place, environment={"HOME": str(folder)})


def python312(base: Path) -> Place:
    """The environment that `make python312` makes."""
    python = ROOT / ".venv-3.12" / "bin" / "python"
    if not python.exists():
        raise NotHere("no .venv-3.12 here; `make python312` makes it")
    return Place(project(base / "project"), python=str(python))


CONDITIONS: dict[str, Callable[[Path], Place]] = {
    "not root": lambda base: other_user(base, "home"),
    "a read-only home": lambda base: other_user(base, "home", 0o555),
    "no HOME": lambda base: other_user(base, None),
    "LC_ALL=C": lambda base: Place(project(base / "project"), environment={"LANG": "C", "LC_ALL": "C"}),
    "LC_ALL=C, nothing but ASCII": lambda base: Place(
        project(base / "project"),
        environment={"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ),
    "blanks and umlauts in the path": lambda base: Place(project(base / "Ein Verzeichnis" / "für (Bänder) & 'mehr'")),
    "a download without Git": lambda base: Place(
        project(base / "project", git=False), before=((*DVC, "config", "--local", "core.no_scm", "true"),)
    ),
    "Python 3.12": python312,
}
"""Name -> what makes the place, in an empty folder."""


def failures(place: Place) -> Iterator[str]:
    """The checks that fail, each with its last words, and what `viper doctor` finds lacking.

    What `before` names is run when DVC is called.
    """
    for name, words in CHECKS.items():
        for first in place.before if words[:2] == DVC else ():
            place.run(first)
        done = place.run(words)
        printed = (done.stderr + done.stdout).strip().splitlines()
        lacks = [said.split(":")[0].removeprefix("lacks").strip() for said in printed if said.startswith("lacks ")]
        traced = any(said.startswith("Traceback") for said in printed)
        if name == "viper doctor" and lacks and not traced:
            yield f"{name} says what is lacking: {', '.join(lacks)}"
        elif done.returncode or traced:
            yield f"{name} fails, {printed[-1] if printed else f'exit {done.returncode}'}"


def line(name: str) -> str:
    """What became of a condition."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            place = CONDITIONS[name](Path(folder))
        except NotHere as why:
            return f"machine, {name}: not tried, {why}"
        failed = list(failures(place))
    right = len(CHECKS) - sum(" fails, " in one for one in failed)
    return f"machine, {name}: {'; '.join([f'{len(CHECKS)} tried, {right} right', *failed])}"


if __name__ == "__main__":
    for asked in sys.argv[1:] or CONDITIONS:
        print(line(asked), flush=True)
