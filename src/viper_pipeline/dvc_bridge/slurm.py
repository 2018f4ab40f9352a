"""Stages as SLURM jobs, through submitit. Every node sees the project at the same path."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from viper_pipeline.core.errors import BadEnvironment
from viper_pipeline.dvc_bridge.executors import LOST, Resources, note, work

JOBS = 100
"""Jobs in the queue at a time, if none are named."""


class Slurm:
    """One job a stage, called `viper`. Partition and account come from SBATCH_PARTITION and SBATCH_ACCOUNT."""

    def __init__(self, root: Path, jobs: int | None = None, address: str = "slurm") -> None:
        """address: submitit's executor; `local` and `debug` do without SLURM, on this machine."""
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise BadEnvironment("--executor slurm needs submitit: pip install 'viper-pipeline[slurm]'") from error
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
