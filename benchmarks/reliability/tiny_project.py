"""A clone of this checkout at profile tiny, for the programs here that need a whole project; no program of its own.

It lies in .viper/reliability, one for each commit, and is finished once: its DeepMind Control suite is up to date. The
programs work on copies. What is not committed is no part of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from viper_pipeline.core.files import md5_file

ROOT = Path(__file__).parents[2]
DMC = "pipelines/dmc/dvc.yaml"


class Project:
    """A project in a folder, and the commands that a user would type there. Toy projects of the tests are such, too."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def env(self) -> dict[str, str]:
        """This environment, with the project's own code and the commands of this Python."""
        own = {"PYTHONPATH": str(self.root / "src"), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        own |= dict.fromkeys(("DVC_NO_ANALYTICS", "KEDRO_DISABLE_TELEMETRY", "DO_NOT_TRACK"), "1")
        return {**os.environ, **own, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A command that runs on; what it prints can be read as one stream."""
        return subprocess.Popen(
            command, cwd=self.root, env=self.env(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, *command: str) -> str:
        """A command's output. Raises SystemExit with it if the command fails."""
        running = self.start(*command)
        said, _ = running.communicate()
        if running.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {running.returncode} in {self.root}\n{said}")
        return said


def clone(folder: Path) -> Project:
    """A fresh clone of this checkout's commit at profile tiny, with nothing run."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    project = Project(folder)
    project.run("viper", "profile", "tiny")
    project.run("viper", "dvc", "sync")
    return project


def finished() -> Project:
    """The clone whose DeepMind Control suite is up to date; it is made if it is not there. Take a copy to change it."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    folder = ROOT / ".viper" / "reliability" / head.stdout.strip()[:12]
    if not folder.is_dir():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        begun = time.monotonic()
        project = clone(unfinished)
        project.run("viper", "run", "-j", "1", DMC)
        print(f"a tiny project was made in {time.monotonic() - begun:.0f} s", file=sys.stderr)
        unfinished.rename(folder)
    return Project(folder)


def copied(project: Project, folder: Path) -> Project:
    """The same in a new folder, with its times: else every program would have to hash all of it again."""
    shutil.copytree(project.root, folder, symlinks=True)
    return type(project)(folder)


def hashes(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """md5 of every file at, or in, some paths of a project; a path that is not there has none."""
    found = {}
    for path in (root / name for name in paths):
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        found |= {file.relative_to(root).as_posix(): md5_file(file) for file in files}
    return found
