"""Exporters: a file of episodes -> a folder in somebody else's format, by name. Each format is also an importer's.

What was written is read back by that importer and compared, so that an export says what it keeps and what it loses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Protocol

import numpy as np
from pydantic import Field

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import atomic_dir
from viper_pipeline.core.registry import Registry
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import EpisodeFile, verify
from viper_pipeline.data.importers import read_videos

EXPORTERS = Registry(
    "export format",
    {
        "lerobot": "viper_pipeline.data.exporters.lerobot:write_lerobot",
        "npz": "viper_pipeline.data.exporters.files:write_npz",
        "videos": "viper_pipeline.data.exporters.files:write_videos",
    },
)
"""Each target is an Exporter."""


class ExportConfig(Config):
    """What a format needs that our files do not hold."""

    fps: int = Field(20, gt=0, description="frames per second of films; our files know no time")
    lossless: bool = Field(False, description="films keep every pixel; fewer players show them")
    instruction: str | None = Field(None, description="lerobot: the task in words; default: the task's name")


@dataclass(frozen=True)
class Numbered:
    """An episode of a file: its number among all, the group it is in, and itself."""

    number: int
    group: str
    episode: Episode

    @property
    def folder(self) -> str:
        """Where formats of single files keep it: experts in `train` and `test`, others by their kind."""
        if self.episode.kind != "expert":
            return self.episode.kind
        return "test" if self.group == "held_out" else "train"


class Exporter(Protocol):
    """Writes one format."""

    def __call__(self, file: EpisodeFile, folder: Path, config: ExportConfig) -> tuple[str, list[Path]]:
        """Write all episodes of a file into an empty folder, one at a time in memory.

        Returns the importer that reads them, and the paths to give it so that episodes come in the order of
        `episodes_of`.
        """


def episodes_of(file: EpisodeFile) -> Iterator[Numbered]:
    """All episodes of a file, in one order for every format: training, held out, then the other groups."""
    order = ("train", "held_out")
    names = [*(n for n in order if n in file.groups), *(n for n in file.groups if n not in order)]
    number = 0
    for name in names:
        for episode in file.group(name):
            yield Numbered(number, name, episode)
            number += 1


def export_dataset(source: Path, out: Path, form: str, config: ExportConfig | None = None) -> str:
    """Write the episodes at `source` to the new folder `out`; returns two lines: what was written, and what is lost.

    Raises BadData if `source` holds no frames, or `out` exists.
    """
    write: Exporter = EXPORTERS.get(form)
    out = Path(out)
    if out.exists():
        raise BadData(f"{out}: exists already; name a new folder")
    verify(source)
    file = EpisodeFile(source, verify_checksum=False)
    try:
        if file.payload != "frames":
            raise BadData(f"{source}: holds {file.payload}, not frames; export the episodes or the expert set")
        if not any(len(file.group(name)) for name in file.groups):
            raise BadData(f"{source}: holds no episode")
        with atomic_dir(out) as folder:
            kind, paths = write(file, folder, config or ExportConfig())
            losses = compare(file, (back for path in paths for back in read_videos(kind, path, file.spec.size)))
            size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    finally:
        file.close()
    return f"{out}: {losses.episodes} episodes, {losses.frames} frames, {size / 1e6:.1f} MB\n{losses.in_words()}"


@dataclass
class Losses:
    """How episodes that were read back differ from those that were written."""

    episodes: int = 0
    frames: int = 0
    values: int = 0  # numbers in all frames
    error: int = 0  # sum over them of the absolute difference, of 255
    squares: int = 0
    worst: int = 0
    lost: set[str] = field(default_factory=set)

    def add(self, one: Episode, back: Episode) -> None:
        """Compare an episode with what was read of it."""
        self.episodes, self.frames, self.values = (
            self.episodes + 1,
            self.frames + len(one),
            self.values + one.frames.size,
        )
        off = np.abs(one.frames.astype(np.int64) - back.frames)
        self.error, self.squares = self.error + int(off.sum()), self.squares + int((off**2).sum())
        self.worst = max(self.worst, int(off.max()))
        if not np.array_equal(one.rewards, back.rewards, equal_nan=True):
            known = np.isnan(one.ret) == np.isnan(back.ret)
            same = known and np.isclose(one.ret, back.ret, rtol=1e-6, equal_nan=True)
            self.lost.add("the rewards of single frames (returns are kept)" if same else "rewards")
        if one.seed != back.seed:
            self.lost.add("seeds")
        if one.kind != back.kind:
            self.lost.add("kinds (the folders' names tell them)")

    def in_words(self) -> str:
        """One line."""
        lost = sorted(self.lost)
        if self.error:
            mean, psnr = self.error / self.values, 10 * np.log10(255**2 * self.values / self.squares)
            lost.insert(0, f"{mean:.2f} of 255 per pixel on average, {self.worst} at most ({psnr:.1f} dB), by the film")
        return f"read back and compared; lost: {', '.join(lost)}" if lost else "read back and compared: nothing is lost"


def compare(file: EpisodeFile, backs: Iterable[Episode]) -> Losses:
    """Every episode of a file against what an importer reads of its export. Raises BadData if one is not there."""
    losses = Losses()
    missing = object()
    for one, back in zip_longest((n.episode for n in episodes_of(file)), backs, fillvalue=missing):
        if not isinstance(one, Episode) or not isinstance(back, Episode) or len(one) != len(back):
            raise BadData(f"{file.path}: episode {losses.episodes} is not read back as it was written")
        losses.add(one, back)
    return losses
