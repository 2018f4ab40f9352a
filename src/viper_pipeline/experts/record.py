"""Record episodes in parallel processes; the result does not depend on their number (paper 4.1)."""

from __future__ import annotations

import atexit
import io
import os
import signal
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.files import atomic_write
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.data.episode import KINDS, Episode, Kind
from viper_pipeline.experts.policies import EpisodeActor, Policy, Variation
from viper_pipeline.training.checkpoints import derive
from viper_pipeline.training.progress import Progress, silent


@dataclass(frozen=True)
class RecordingWork:
    """What a process needs to record any episode of one kind; sent to it once."""

    make_env: Callable[[int], gymnasium.Env]
    policy: Policy | None
    idle: np.ndarray | None
    kind: Kind
    variation: Variation


@dataclass(frozen=True)
class Job:
    """One episode, and the file to keep it in."""

    index: int
    seed: int
    path: Path


class Recorder:
    """Records job after job in one environment, made when the first job comes."""

    def __init__(self, work: RecordingWork) -> None:
        self.work = work
        self.env: gymnasium.Env | None = None

    def perform(self, job: Job) -> None:
        """Record one episode into its file."""
        if self.env is None:
            self.env = self.work.make_env(job.seed)
        keep(job, *rollout(self.env, self.work, job))

    def close(self) -> None:
        """Free the environment."""
        if self.env is not None:
            self.env.close()
            self.env = None


_recorder: Recorder | None = None


def begin(work: RecordingWork) -> None:
    """Prepare a recording process: it has one recorder; the parent handles Ctrl-C."""
    global _recorder
    _recorder = Recorder(work)
    atexit.register(_recorder.close)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent: Any = parent_process()
    parent.join()
    os._exit(1)


def perform(job: Job) -> None:
    """Record one episode in a process that has begun."""
    assert _recorder is not None
    _recorder.perform(job)


def keep(job: Job, frames: np.ndarray, rewards: np.ndarray) -> None:
    """Write one episode. Compressed as fast as can be: a thousand long episodes would fill a small disk."""
    packed = np.frombuffer(zlib.compress(frames.tobytes(), 1), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, packed=packed, shape=np.array(frames.shape), rewards=rewards, seed=np.uint64(job.seed))
    atomic_write(job.path, buffer.getvalue())


def read_recorded(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Frames and rewards of an episode that `keep` wrote."""
    with np.load(job.path) as file:
        frames = np.frombuffer(zlib.decompress(file["packed"]), np.uint8).reshape(file["shape"])
        return frames, file["rewards"]


def is_recorded(job: Job) -> bool:
    """Whether the job's file is there, whole, and of the job's seed."""
    try:
        with np.load(job.path) as file:
            return int(file["seed"]) == job.seed and {"packed", "shape", "rewards"} <= set(file.files)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def rollout(env: gymnasium.Env, work: RecordingWork, job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 (T, H, W, C) and rewards float32 (T,); rewards[t] came on arriving at frame t."""
    size = int(np.prod(env.action_space.shape or ()))
    act = EpisodeActor(work.kind, job.index, job.seed, size, work.policy, work.idle, work.variation)
    frame, info = env.reset(seed=job.seed)
    frames, rewards, done = [frame], [0.0], False
    while not done:
        frame, reward, terminated, truncated, info = env.step(act(info["state"]))
        frames.append(frame)
        rewards.append(float(reward))
        done = terminated or truncated
    return np.stack(frames), np.array(rewards, np.float32)


def record(
    make_env: Callable[[int], gymnasium.Env],
    policy: Policy | None,
    n: int,
    kind: Kind,
    seed: int,
    *,
    workers: int = 1,
    idle: np.ndarray | None = None,
    variation: Variation | None = None,
    scratch: Path | None = None,
    progress: Progress = silent,
) -> Iterator[Episode]:
    """Yield `n` episodes in order, each as soon as it and all before it are done.

    make_env: seed -> an environment with pixels and `info["state"]`: `partial(suite.make, task, env=..., frames=spec)`.
    policy: acts in `expert` and `noisy` episodes. It and `make_env` go to other processes: both must pickle.
    kind: expert | noisy | random | idle (see Variation). Episode i begins with derive(seed, kind, i).
    workers: processes, spawned and never forked (a process that has rendered must not fork); 0: record in this one.
    idle: the action of `idle` episodes (A,); zeros if not given.
    scratch: folder in which each finished episode is kept; called again, only missing episodes are recorded.
    Raises BadParams for an impossible request, BadEnvironment if a recording process dies.
    """
    if kind not in KINDS:
        raise BadParams(f"there is no kind of episode '{kind}'{did_you_mean(kind, KINDS)}")
    if kind in ("expert", "noisy") and policy is None:
        raise BadParams(f"{kind} episodes need an expert's policy, and none was given")
    work = RecordingWork(make_env, policy, idle, kind, variation or Variation())
    return _episodes(work, n, seed, workers, scratch, progress)


def _episodes(
    work: RecordingWork, n: int, seed: int, workers: int, scratch: Path | None, progress: Progress
) -> Iterator[Episode]:
    with nullcontext(scratch) if scratch else tempfile.TemporaryDirectory(prefix="episodes-") as folder:
        seeds = [derive(seed, work.kind, i) for i in range(n)]
        jobs = [Job(i, s, Path(folder) / f"{work.kind}-{i:05d}.npz") for i, s in enumerate(seeds)]
        missing = {job.index: job for job in jobs if not is_recorded(job)}
        total = 0.0
        with _performed(work, list(missing.values()), workers) as wait:
            for job in jobs:
                if job.index in missing:
                    wait(job)
                frames, rewards = read_recorded(job)
                episode = Episode(frames=frames, rewards=rewards, seed=job.seed, kind=work.kind)
                if not scratch:
                    job.path.unlink()
                total += float(episode.rewards.sum())
                progress(job.index + 1, n, {"return": total / (job.index + 1)})
                yield episode


@contextmanager
def _performed(work: RecordingWork, jobs: list[Job], workers: int) -> Iterator[Callable[[Job], object]]:
    """Yield a function that returns when a job is done. Leaving early, for any reason, stops them."""
    if workers == 0 or not jobs:
        recorder = Recorder(work)
        try:
            yield recorder.perform
        finally:
            recorder.close()
        return
    with _one_thread_each():
        pool = ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), initializer=begin, initargs=(work,))
        futures: dict[int, Future[None]] = {job.index: pool.submit(perform, job) for job in jobs}

    def wait(job: Job) -> None:
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
