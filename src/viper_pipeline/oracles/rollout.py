"""What a recording process does. Imports no torch, so that such processes start fast and stay small."""

from __future__ import annotations

import atexit
import io
import os
import signal
import threading
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from viper_pipeline.files import atomic_write
from viper_pipeline.oracles.behaviour import Actor, Behaviour, Kind
from viper_pipeline.oracles.policy import Policy


@dataclass(frozen=True)
class Work:
    """Everything needed to record any episode of one kind; sent once to each process."""

    make_env: Callable[[int], gymnasium.Env]
    policy: Policy | None
    idle: np.ndarray | None
    kind: Kind
    behaviour: Behaviour


@dataclass(frozen=True)
class Job:
    """One episode, and the file to keep it in."""

    index: int
    seed: int
    path: Path


class Recorder:
    """Records job after job in one environment, made when the first job comes."""

    def __init__(self, work: Work) -> None:
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


def begin(work: Work) -> None:
    """Prepare a recording process: one recorder for its whole life; Ctrl-C is the parent's affair."""
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


def kept(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Frames and rewards of an episode that `keep` wrote."""
    with np.load(job.path) as file:
        frames = np.frombuffer(zlib.decompress(file["packed"]), np.uint8).reshape(file["shape"])
        return frames, file["rewards"]


def is_kept(job: Job) -> bool:
    """Whether the job's file is there, whole, and of the job's seed."""
    try:
        with np.load(job.path) as file:
            return int(file["seed"]) == job.seed and {"packed", "shape", "rewards"} <= set(file.files)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def rollout(env: gymnasium.Env, work: Work, job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 (T, H, W, C) and rewards float32 (T,); rewards[t] came on arriving at frame t."""
    size = int(np.prod(env.action_space.shape or ()))
    act = Actor(work.kind, job.index, job.seed, size, work.policy, work.idle, work.behaviour)
    frame, info = env.reset(seed=job.seed)
    frames, rewards, done = [frame], [0.0], False
    while not done:
        frame, reward, terminated, truncated, info = env.step(act(info["state"]))
        frames.append(frame)
        rewards.append(float(reward))
        done = terminated or truncated
    return np.stack(frames), np.array(rewards, np.float32)
