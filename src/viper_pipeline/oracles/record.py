"""Record episodes in parallel processes; what comes out does not depend on how many there are (paper 4.1)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path

import gymnasium
import numpy as np

from viper_pipeline.errors import BadEnvironment, BadParams
from viper_pipeline.oracles import rollout
from viper_pipeline.oracles.behaviour import KINDS, Behaviour, Kind
from viper_pipeline.oracles.policy import Policy
from viper_pipeline.plugs import did_you_mean
from viper_pipeline.training.progress import Progress, silent
from viper_pipeline.training.seeding import derive
from viper_pipeline.videos.episode import Episode


def record(
    make_env: Callable[[int], gymnasium.Env],
    policy: Policy | None,
    n: int,
    kind: Kind,
    seed: int,
    *,
    workers: int = 1,
    idle: np.ndarray | None = None,
    behaviour: Behaviour | None = None,
    scratch: Path | None = None,
    progress: Progress = silent,
) -> Iterator[Episode]:
    """Yield `n` episodes in order, each as soon as it and all before it are done.

    make_env: seed -> an environment with pixels and `info["state"]`: `partial(suite.make, task, spec=spec)`.
    policy: acts in `expert` and `noisy` episodes. It and `make_env` go to other processes: both must pickle.
    kind: expert | noisy | random | idle (see Behaviour). Episode i begins with derive(seed, kind, i).
    workers: processes, spawned and never forked (who has drawn must not fork); 0: record in this one.
    idle: the action of `idle` episodes (A,); zeros if not given.
    scratch: folder in which each finished episode is kept; called again, only missing episodes are recorded.
    Raises BadParams for an impossible request, BadEnvironment if a recording process dies.
    """
    if kind not in KINDS:
        raise BadParams(f"there is no kind of episode '{kind}'{did_you_mean(kind, KINDS)}")
    if kind in ("expert", "noisy") and policy is None:
        raise BadParams(f"{kind} episodes need an oracle, and this task has none")
    work = rollout.Work(make_env, policy, idle, kind, behaviour or Behaviour())
    return _episodes(work, n, seed, workers, scratch, progress)


def _episodes(
    work: rollout.Work, n: int, seed: int, workers: int, scratch: Path | None, progress: Progress
) -> Iterator[Episode]:
    with nullcontext(scratch) if scratch else tempfile.TemporaryDirectory(prefix="episodes-") as folder:
        seeds = [derive(seed, work.kind, i) for i in range(n)]
        jobs = [rollout.Job(i, s, Path(folder) / f"{work.kind}-{i:05d}.npz") for i, s in enumerate(seeds)]
        missing = {job.index: job for job in jobs if not rollout.is_kept(job)}
        total = 0.0
        with _performed(work, list(missing.values()), workers) as wait:
            for job in jobs:
                if job.index in missing:
                    wait(job)
                frames, rewards = rollout.kept(job)
                episode = Episode(frames=frames, rewards=rewards, seed=job.seed, kind=work.kind)
                if not scratch:
                    job.path.unlink()
                total += float(episode.rewards.sum())
                progress(job.index + 1, n, {"return": total / (job.index + 1)})
                yield episode


@contextmanager
def _performed(work: rollout.Work, jobs: list[rollout.Job], workers: int) -> Iterator[Callable[[rollout.Job], object]]:
    """Yield a function that returns when a job is done. Leaving early, for any reason, stops them."""
    if workers == 0 or not jobs:
        recorder = rollout.Recorder(work)
        try:
            yield recorder.perform
        finally:
            recorder.close()
        return
    with _one_thread_each():
        pool = ProcessPoolExecutor(
            min(workers, len(jobs)), get_context("spawn"), initializer=rollout.begin, initargs=(work,)
        )
        futures: dict[int, Future[None]] = {job.index: pool.submit(rollout.perform, job) for job in jobs}

    def wait(job: rollout.Job) -> None:
        try:
            futures[job.index].result()
        except BrokenProcessPool as error:
            raise BadEnvironment(
                f"a process that recorded '{work.kind}' episodes died before episode {job.index} was done; "
                "finished episodes are kept, run the command again (killed for memory? use fewer workers)"
            ) from error

    try:
        yield wait
        pool.shutdown()
    except BaseException:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(10)
        raise


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Recording processes share the cores among themselves: each gets one thread for sums."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
