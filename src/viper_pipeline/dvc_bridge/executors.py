"""Where stages run: in processes of this machine, on a Ray cluster, or as SLURM jobs.

An executor starts a stage's plain command somewhere, and says which have ended. On a cluster every node sees the
project at the same path and has the same packages. What a stage needs of a machine stands in `runtime.resources` of
params.yaml; executors with queues read it, results do not depend on it.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field, ValidationError

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.extras import extras_named
from viper_pipeline.core.files import JsonView
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.dvc_bridge.run_stage import LIFELINE

DEFAULT_BLOCK = "default"
"""The block for stages that have none of their own."""


class Resources(Config):
    """What one stage asks for. `runtime.compute.threads` and `runtime.workers` say what it uses; ask for no less."""

    cpu: int = Field(1, gt=0, description="cores")
    gpu: int = Field(0, ge=0, description="whole devices")
    memory: float = Field(2.0, gt=0, description="GiB of RAM")
    minutes: int = Field(1440, gt=0, description="time limit of a SLURM job; a stage cut off goes on in the next one")


def of_stages(params: JsonView, stages: Collection[str]) -> dict[str, Resources]:
    """Stage name -> what it asks for: its own block on top of `default`. Raises BadParams for a name of no stage."""
    blocks = (params.get("runtime") or {}).get("resources") or {}
    if unknown := sorted({*blocks} - {*stages, DEFAULT_BLOCK}):
        raise BadParams(
            f"params.yaml: runtime.resources.{unknown[0]}: there is no such stage{did_you_mean(unknown[0], stages)}"
        )
    default = blocks.get(DEFAULT_BLOCK) or {}
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
        """env: of the processes; None: that of this one. `python` is ours there, activated or not."""
        self.jobs, self.env = jobs, dict(os.environ if env is None else env)
        self.env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{self.env.get('PATH', os.defpath)}"
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


OWN_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HOSTNAME", "TMPDIR")
"""Environment variables that say where a process is; all others are the driver's."""
POLL_SECONDS = 0.1


def work(command: str, folder: str, log: str, driver: Mapping[str, str] | None = None) -> int:
    """Run a command and return its exit code. It ends with this process, however that ends.

    driver: the environment in which the same command would run on the driver's machine.
    """
    if not Path(folder).is_dir():
        raise BadEnvironment(f"{os.uname().nodename}: there is no {folder}; executors need a shared file system")
    env = dict(os.environ)
    if driver is not None:
        env = {name: value for name, value in driver.items() if name not in OWN_VARIABLES}
        env |= {name: os.environ[name] for name in OWN_VARIABLES if name in os.environ}
    here = Local(1, env)
    here.submit("it", command, Path(folder), Path(log), Resources())
    try:
        while not (ended := here.ended()):
            time.sleep(POLL_SECONDS)
        return ended[0][1]
    finally:
        here.cancel()


STOP_PATIENCE = 20.0
"""Seconds for stages to stop before their workers are killed."""


class Ray:
    """One task per stage. They end with this process: Ray stops the tasks of a driver that is gone."""

    def __init__(self, jobs: int | None = None, address: str = "auto") -> None:
        """jobs: stages handed over at a time; None: as many as the cluster has cores."""
        with extras_named():
            import ray
        self.ray = ray
        try:
            _knock(address)  # Ray itself would try for minutes
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise BadEnvironment(
                f"no Ray cluster at {address} ({error}); start one with `ray start --head`, or name it by --address"
            ) from error
        self.jobs = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self.task: Any = ray.remote(work)
        self.running: dict[str, tuple[Any, Path]] = {}

    def submit(self, name: str, command: str, folder: Path, log: Path, resources: Resources) -> None:
        """Hand a stage over. Ray's own retries are off: `viper run` sees to them."""
        asked = {"CPU": resources.cpu, "GPU": resources.gpu, "memory": resources.memory * 2**30}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not any(all(node.get(what, 0) >= number for what, number in asked.items()) for node in nodes):
            raise BadEnvironment(
                f"{name} asks for {resources.cpu} CPU, {resources.gpu} GPU and {resources.memory:g} GiB, and no node "
                "of the Ray cluster has them; change runtime.resources in params.yaml, or add a node"
            )
        task = self.task.options(
            name=name,
            num_cpus=resources.cpu,
            num_gpus=resources.gpu,
            memory=int(asked["memory"]),
            max_retries=0,
        )
        self.running[name] = task.remote(command, str(folder), str(log), dict(os.environ)), log

    def ended(self) -> list[tuple[str, int]]:
        """Ask Ray which tasks have ended."""
        if not self.running:
            return []
        tasks = {task: name for name, (task, _) in self.running.items()}
        ended, _ = self.ray.wait(list(tasks), num_returns=len(tasks), timeout=0)
        return [(tasks[task], self._code(task, self.running.pop(tasks[task])[1])) for task in ended]

    def _code(self, task: Any, log: Path) -> int:
        try:
            return int(self.ray.get(task))
        except self.ray.exceptions.RayTaskError as error:  # the worker lives, and could not start the stage
            note(log, str(error.cause))
            return 1
        except self.ray.exceptions.RayError as error:
            note(log, f"lost: {type(error).__name__}")
            return LOST

    def cancel(self) -> None:
        """Interrupt every task, kill those that do not heed it, and leave the cluster."""
        tasks = [task for task, _ in self.running.values()]
        for force, patience in ((False, STOP_PATIENCE), (True, 5.0)):
            for task in tasks:
                self.ray.cancel(task, force=force)
            if tasks:
                _, tasks = self.ray.wait(tasks, num_returns=len(tasks), timeout=patience)
        self.running.clear()
        self.ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError if nobody listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.removeprefix("ray://"), int(port)), timeout=10).close()


JOBS = 100
"""Jobs in the queue at a time, if none are named."""


class Slurm:
    """One job per stage, called `viper`. Partition and account come from SBATCH_PARTITION and SBATCH_ACCOUNT."""

    def __init__(self, root: Path, jobs: int | None = None, address: str = "slurm") -> None:
        """address: submitit's executor; `local` and `debug` do without SLURM, on this machine."""
        with extras_named():
            import submitit
        self.submitit, self.jobs = submitit, jobs or JOBS
        try:
            self.executor = submitit.AutoExecutor(folder=root / ".viper" / "slurm", cluster=address)
        except (RuntimeError, ValueError) as error:
            raise BadEnvironment(f"--executor slurm: {error}") from error
        self.running: dict[str, tuple[Any, Path]] = {}

    def submit(self, name: str, command: str, folder: Path, log: Path, resources: Resources) -> None:
        """Put a stage into the queue."""
        self.executor.update_parameters(
            name="viper",
            timeout_min=resources.minutes,
            mem_gb=resources.memory,
            cpus_per_task=resources.cpu,
            gpus_per_node=resources.gpu,
        )
        self.running[name] = self.executor.submit(work, command, str(folder), str(log)), log

    def ended(self) -> list[tuple[str, int]]:
        """Ask which jobs have ended; submitit asks SLURM once for all, and not too often."""
        ended = [name for name, (job, _) in self.running.items() if job.done()]
        return [(name, self._code(*self.running.pop(name))) for name in ended]

    def _code(self, job: Any, log: Path) -> int:
        """A job without a result was killed, preempted or out of time: lost, not failed."""
        try:
            return int(job.result())
        except self.submitit.core.utils.FailedJobError as error:  # the worker lives, and could not start the stage
            note(log, str(error))
            return 1
        except self.submitit.core.utils.UncompletedJobError:
            note(log, f"lost: job {job.job_id}, {job.state}")
            return LOST

    def cancel(self) -> None:
        """scancel every job, and wait until it has stopped."""
        for job, _ in self.running.values():
            job.cancel(check=False)
        end = time.monotonic() + 20
        while any(not job.done(force_check=True) for job, _ in self.running.values()) and time.monotonic() < end:
            time.sleep(0.2)
        self.running.clear()
