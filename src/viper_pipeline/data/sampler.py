"""Random clips for training. A batch is a pure function of the step, so resuming needs no state."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.hdf5 import ConcatGroup, EpisodeGroup


class ClipSampler:
    """Clips of several tasks, each task equally often; no clip crosses from one episode into the next."""

    def __init__(
        self,
        groups: Sequence[EpisodeGroup | ConcatGroup],
        length: int,
        batch_size: int,
        seed: int,
        ram_limit: int = 2 * 1024**3,
    ) -> None:
        """groups: one per task, by task id; length: frames of a clip; ram_limit: bytes that may be held in memory.

        Raises BadData if a task has no episode of `length` frames.
        """
        self.groups, self.length, self.batch_size, self.seed = list(groups), length, batch_size, seed
        self.starts = [_starts(group, length) for group in self.groups]
        sizes = [int(g.starts[-1]) * int(np.prod(g.shape, dtype=np.int64)) for g in self.groups]
        self._memory = [g.read(0, int(g.starts[-1])) for g in self.groups] if sum(sizes) <= ram_limit else None

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The batch of `step`: clips (B, length, ...), task ids (B,)."""
        rng = np.random.default_rng([self.seed, step])
        # tasks take turns, across batches too when a batch is smaller than their number
        tasks = (step * self.batch_size + np.arange(self.batch_size)) % len(self.groups)
        clips = np.empty((self.batch_size, self.length, *self.groups[0].shape), self.groups[0].dtype)
        for i, task in enumerate(tasks):
            begin = int(self.starts[task][rng.integers(len(self.starts[task]))])
            end = begin + self.length
            # into place at once: a list of clips would double the memory that is touched
            clips[i] = self._memory[task][begin:end] if self._memory else self.groups[task].read(begin, end)
        return clips, tasks


def _starts(group: EpisodeGroup | ConcatGroup, length: int) -> np.ndarray:
    """Every place at which a clip may begin."""
    places = [np.arange(a, b - length + 1) for a, b in pairwise(group.starts)]
    starts = np.concatenate(places) if places else np.zeros(0, np.int64)
    if not len(starts):
        longest = int(group.lengths.max()) if len(group) else 0
        raise BadData(f"{group.place}: no episode has the {length} frames of a clip (longest: {longest})")
    return starts


class GroupInMemory(EpisodeGroup):
    """Videos that no file holds, such as the codes of baselines, or of what an agent has just played."""

    def __init__(self, videos: Sequence[np.ndarray], place: str) -> None:
        """videos: (T, ...) each, at least one; place: what a message calls them."""
        self.place, self._frames = place, np.concatenate(videos)
        self.starts = np.cumsum([0, *map(len, videos)])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a frame."""
        return self._frames.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        """Of frames."""
        return self._frames.dtype

    def read(self, begin: int, end: int) -> np.ndarray:
        """Frames begin..end-1 of all frames laid end to end."""
        return self._frames[begin:end]


def interleaved(video: np.ndarray, stride: int) -> list[np.ndarray]:
    """A video (T, ...) of every frame -> the videos of every `stride`-th frame: one for each frame to begin with."""
    return [video[first::stride] for first in range(min(stride, len(video)))]
