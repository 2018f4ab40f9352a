"""Several files of episodes read as one: the videos of a task that two arms do (paper 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from viper_pipeline.videos.episode import Episode
from viper_pipeline.videos.store import EpisodeFile, EpisodeGroup


class Together:
    """Like an EpisodeFile; a group holds the episodes of that group of every file, file after file."""

    def __init__(self, files: Sequence[EpisodeFile]) -> None:
        self.files = list(files)

    def group(self, name: str) -> TogetherGroup:
        """The episodes called `name`."""
        return TogetherGroup([file.group(name) for file in self.files])


class TogetherGroup:
    """Like an EpisodeGroup."""

    def __init__(self, groups: Sequence[EpisodeGroup]) -> None:
        self.groups = list(groups)
        self.place = ", ".join(group.place for group in self.groups)
        ends = np.cumsum([0, *(int(group.starts[-1]) for group in self.groups)])
        self._bounds = list(pairwise(int(end) for end in ends))
        starts = [begin + group.starts[:-1] for (begin, _), group in zip(self._bounds, self.groups, strict=True)]
        self.starts = np.concatenate([*starts, ends[-1:]])

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, i: int) -> Episode:
        for group in self.groups:
            if 0 <= i < len(group):
                return group[i]
            i -= len(group)
        raise IndexError(i)

    @property
    def lengths(self) -> np.ndarray:
        """Frames of each episode, (N,)."""
        return np.diff(self.starts)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame or of its codes."""
        return next((group.shape for group in self.groups if len(group)), ())

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of frames or codes."""
        return self.groups[0].dtype

    def read(self, begin: int, end: int) -> np.ndarray:
        """Frames begin..end-1 of all frames laid end to end."""
        parts = [
            group.read(max(begin, first) - first, min(end, last) - first)
            for (first, last), group in zip(self._bounds, self.groups, strict=True)
            if begin < last and end > first
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
