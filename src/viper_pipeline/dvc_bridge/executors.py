"""What a stage needs of a machine: `runtime.resources` in params.yaml. Executors with queues read it; results do not.

Where stages run. An executor starts a stage's plain command somewhere, and says which have ended.

This machine's processes are here; `on_ray.py` and `on_slurm.py` have those of others.


One stage on another machine: what executors with workers of their own run there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field, ValidationError

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.dvc_bridge.run_stage import LIFELINE

DEFAULT = "default"
"""The block for stages that have none of their own."""


class Resources(Config):
    """What one stage asks for. `runtime.compute.threads` and `runtime.workers` say what it uses; ask for no less."""

    cpu: int = Field(1, gt=0, description="cores")
    gpu: int = Field(0, ge=0, description="whole devices")
    memory: float = Field(2.0, gt=0, description="GiB of RAM")
    minutes: int = Field(1440, gt=0, description="time limit of a SLURM job; a stage cut off goes on in the next one")


def of_stages(params: Mapping[str, Any], stages: Collection[str]) -> dict[str, Resources]:
    """Stage name -> what it asks for: its own block on top of `default`. Raises BadParams for a name of no stage."""
    blocks = (params.get("runtime") or {}).get("resources") or {}
    if unknown := sorted({*blocks} - {*stages, DEFAULT}):
        raise BadParams(
            f"params.yaml: runtime.resources.{unknown[0]}: there is no such stage{did_you_mean(unknown[0], stages)}"
        )
    default = blocks.get(DEFAULT) or {}
    try:
        return {stage: Resources.model_validate({**default, **(blocks.get(stage) or {})}) for stage in stages}
    except (TypeError, ValidationError) as error:
        raise BadParams(f"params.yaml: runtime.resources: {error}") from error


LOST = 1000
"""In place of an exit code (they end at 255): the worker died, and nobody knows how far the stage got."""


class Executor(Protocol):
    """Runs commands side by side."""

    jobs: int

    def submit(self, name: str, command: str, folder: Path, log: Path, resources: Resources) -> None:
        """Start a command, now or when there is room; what it prints is added to `log`."""

    def ended(self) -> list[tuple[str, int]]:
        """Names and exit codes, or LOST, of the commands that have ended since the last call; does not wait."""

    def cancel(self) -> None:
        """Stop everything that runs, gently first, and wait until it has stopped."""


class Local:
    """Processes of this machine, whatever they ask for. They end with this process, even if it is killed."""

    def __init__(self, jobs: int, env: Mapping[str, str] | None = None) -> None:
        """env: of the processes; None: that of this one."""
        self.jobs, self.env = jobs, os.environ if env is None else env
        self.running: dict[str, subprocess.Popen] = {}
        self.lifeline, self._held = os.pipe()  # the held end is closed when this process is gone

    def submit(self, name: str, command: str, folder: Path, log: Path, resources: Resources) -> None:
        """Start a command in a process group of its own, so that it can be stopped whole."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self.running[name] = subprocess.Popen(
                ["bash", "-c", command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[self.lifeline],
                env={**self.env, "PYTHONUNBUFFERED": "1", LIFELINE: str(self.lifeline)},
            )

    def ended(self) -> list[tuple[str, int]]:
        """Poll every process."""
        codes = [(name, process.poll()) for name, process in self.running.items()]
        ended = [(name, code) for name, code in codes if code is not None]
        for name, _ in ended:
            del self.running[name]
        return ended

    def cancel(self) -> None:
        """SIGTERM to every group, SIGKILL after ten seconds."""
        for order, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            for process in self.running.values():
                if process.poll() is None:
                    os.killpg(process.pid, order)
            end = time.monotonic() + patience
            while any(p.poll() is None for p in self.running.values()) and time.monotonic() < end:
                time.sleep(0.05)
        self.running.clear()


def note(log: Path, text: str) -> None:
    """A line of an executor's own in a stage's log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(f"{text}\n")


OWN = ("CUDA_VISIBLE_DEVICES", "HOSTNAME", "TMPDIR")
"""Environment variables that say where a process is; all others are the driver's."""
PAUSE = 0.1


def work(command: str, folder: str, log: str, driver: Mapping[str, str] | None = None) -> int:
    """Run a command and return its exit code. It ends with this process, however that ends.

    driver: the environment in which the same command would run on the driver's machine.
    """
    if not Path(folder).is_dir():
        raise BadEnvironment(f"{os.uname().nodename}: there is no {folder}; executors need a shared file system")
    env = dict(os.environ)
    if driver is not None:
        env = {name: value for name, value in driver.items() if name not in OWN}
        env |= {name: os.environ[name] for name in OWN if name in os.environ}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"
    here = Local(1, env)
    here.submit("it", command, Path(folder), Path(log), Resources())
    try:
        while not (ended := here.ended()):
            time.sleep(PAUSE)
        return ended[0][1]
    finally:
        here.cancel()
