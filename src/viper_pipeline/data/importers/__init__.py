"""Importers: somebody's folder or file of videos -> episodes, by name. One file per format.

HDF5 is imported only for HDF5 files, so that other videos can be read where h5py is not installed.
"""

from __future__ import annotations

import errno
import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.core.files import check_writable, free_bytes
from viper_pipeline.core.registry import Registry
from viper_pipeline.data.episode import Episode, resized
from viper_pipeline.data.importers.datasets import dataset_kind
from viper_pipeline.data.importers.folders import listed
from viper_pipeline.envs.base import FrameSpec

if TYPE_CHECKING:
    from viper_pipeline.data.hdf5 import EpisodeGroup

IMPORTERS = Registry(
    "importer",
    {
        "episodes": "viper_pipeline.data.importers:read_episodes",
        "hdf5": "viper_pipeline.data.importers.hdf5:read_hdf5",
        "lerobot": "viper_pipeline.data.importers.lerobot:read_lerobot",
        "minari": "viper_pipeline.data.importers.minari:read_minari",
        "npz": "viper_pipeline.data.importers.npz:read_npz",
        "rlbench": "viper_pipeline.data.importers.rlbench:read_rlbench",
        "video": "viper_pipeline.data.importers.video:read_video_files",
    },
)
"""Each target is an Importer."""
OWN_KINDS = ("expert", "oracle")
"""Kinds of datasets that no importer reads: the project records them itself. `oracle` is in lineage of old versions."""


class Importer(Protocol):
    """Reads one format."""

    def __call__(self, path: Path, size: int, *, camera: int | str = ..., task: str = ...) -> Iterator[Episode]:
        """Every episode at `path`, with frames uint8 (T, size, size, 3), one at a time.

        camera, task: which are wanted, for folders that hold several; other formats ignore them. An importer that has
        the parameter `source_camera` or `instruction` is given what datasets.<task>.camera or .instruction say.
        Raises BadData naming the file and the reason, for everything unreadable or damaged.
        """


NO_EPISODES = "holds no episode in group 'episodes'; give videos as they were recorded, not an expert set or codes"


class ImportedEpisodes(Sequence[Episode]):
    """Imported episodes, all read and checked."""

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self.episodes = list(episodes)

    def __len__(self) -> int:
        return len(self.episodes)

    def __getitem__(self, i: Any) -> Any:
        return self.episodes[i]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kind of each episode."""
        return tuple(e.kind for e in self.episodes)

    @property
    def returns(self) -> np.ndarray:
        """True return of each episode, (N,); NaN where unknown."""
        return np.array([e.ret for e in self.episodes])


def read_source(
    kind: str, path: Path, size: int, **about: Any
) -> tuple[EpisodeGroup | ImportedEpisodes, FrameSpec | None]:
    """All episodes of a source, and how its frames were made if the source says so."""
    if not Path(path).exists():
        raise BadData(f"{path}: there is no such file or folder; datasets.<task>.path in params.yaml names it")
    if kind == "episodes":
        from viper_pipeline.data.hdf5 import EpisodeFile

        file = EpisodeFile(path)
        if file.payload != "frames" or not len(file.group("episodes")):
            raise BadData(f"{path}: {NO_EPISODES} (groups: {', '.join(file.groups) or 'none'})")
        return file.group("episodes"), file.spec
    return ImportedEpisodes(list(read_videos(kind, path, size, **about))), None


def read_videos(kind: str, path: Path, size: int, **about: Any) -> Iterator[Episode]:
    """Episodes of a folder or file, checked one by one. Raises BadData naming the file and the reason."""
    number = -1
    for number, episode in enumerate(IMPORTERS.get(kind)(Path(path), size, **about)):  # noqa: B007
        yield episode
    if number < 0:
        raise BadData(f"{path}: {NO_EPISODES}")


def checked_frames(frames: np.ndarray, path: Path, least: int = 2) -> np.ndarray:
    """frames if they are uint8 (T >= least, H, W, 3); else BadData."""
    if frames.dtype != np.uint8:
        raise BadData(f"{path}: frames are {frames.dtype}, not uint8")
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise BadData(f"{path}: frames have shape {frames.shape}, not (T, H, W, 3)")
    if len(frames) < least:
        raise BadData(f"{path}: {len(frames)} frames, at least {least} are needed")
    if not min(frames.shape[1:3]):
        raise BadData(f"{path}: frames are empty, {frames.shape}")
    return frames


CHOICES = {"camera": "source_camera", "instruction": "instruction"}
"""What `datasets.<task>` can choose of a source -> the parameter of importers that can choose it."""


def chosen_of(kind: str, dataset: Mapping[str, Any], place: str = "datasets.<task>.") -> dict[str, Any]:
    """What an entry of `datasets` chooses, as keywords for its importer. Raises BadParams where this cannot choose.

    place: what stands before the name of a choice in messages.
    """
    takes = inspect.signature(IMPORTERS.get(kind)).parameters
    for name, parameter in CHOICES.items():
        if dataset.get(name) is not None and parameter not in takes:
            other = "; frames.camera says which one" if name == "camera" and kind == "rlbench" else ""
            raise BadParams(f"{place}{name}: sources of kind {kind} have no choice of it{other}; leave it out")
    return {parameter: dataset[name] for name, parameter in CHOICES.items() if dataset.get(name) is not None}


def read_episodes(path: Path, size: int, **_: object) -> Iterator[Episode]:
    """Our own files: every episode of group `episodes`, with returns, seeds and kinds.

    Raises BadData if the checksum or a field is not as it was written.
    """
    from viper_pipeline.data.hdf5 import EpisodeFile, verify

    verify(path)
    for episode in EpisodeFile(path).group("episodes"):
        frames = resized(checked_frames(episode.frames, path), size)
        yield Episode(frames, episode.rewards, episode.seed, episode.kind)


MARGIN = 16 * 2**20
"""Bytes that stay free while an import is written."""


def _check_room(out: Path, needed: int = 0) -> None:
    """Raise OSError (ENOSPC) naming `out` unless so many bytes, and a margin, can be written there.

    HDF5 crashes where it finds the disk full when it closes a file.
    """
    if free_bytes(Path(out).absolute().parent) < needed + MARGIN:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out))


def _while_there_is_room(episodes: Iterable[Episode], out: Path) -> Iterator[Episode]:
    """The episodes, as long as the next one surely fits."""
    for episode in episodes:
        _check_room(out, episode.frames.nbytes)
        yield episode


def import_videos(
    kind: str, path: Path, suite: str, task: str, out: Path, spec: FrameSpec, dataset: Mapping[str, Any] | None = None
) -> str:
    """Convert everything at `path`; says in one line what was written. Raises BadData and writes nothing otherwise.

    dataset: `camera` and `instruction`, as an entry of `datasets` has them.

    spec: how frames of this suite and task are made. What drew an imported video is unknown; an episodes file
    knows it, and keeps what it says, so that a reward can refuse frames of another kind.
    """
    from viper_pipeline.data.hdf5 import EpisodeFile, verify, write_groups

    check_writable(out)
    _check_room(out)
    if kind == "episodes":
        verify(path)
        spec = EpisodeFile(path).spec.model_copy(update={"size": spec.size})
    else:
        spec = spec.model_copy(update={"gl_backend": "unknown", "library": "unknown"})
    given = {name: value for name, value in (dataset or {}).items() if value is not None}
    chosen = chosen_of(kind, given, "--")
    lineage = {"steps": {}, "imported": {"kind": kind, "path": Path(path).name, **given}}
    videos = read_videos(kind, Path(path), spec.size, camera=spec.camera, task=task, **chosen)
    write_groups(
        out,
        {"episodes": _while_there_is_room(videos, Path(out))},
        suite=suite,
        task=task,
        spec=spec,
        lineage=lineage,
    )
    file = EpisodeFile(out)
    group = file.group("episodes")
    line = f"{out}: {len(group)} episodes, {int(group.starts[-1])} frames of {spec.size}x{spec.size}"
    file.close()
    return f"{line}, from {listed(Path(path)).count()}" if kind in ("npz", "video") else line


def kind_of(path: Path) -> str:
    """`lerobot` or `minari` for their folders; else by the endings of names `npz`, `episodes`, or `video`.

    Raises BadData for a path that is not there, and for a folder with files of several importers.
    """
    if dataset := dataset_kind(Path(path)):
        return dataset
    found = listed(Path(path))
    if len(found.kinds) > 1:
        raise BadData(f"{path}: holds {found.count()}, which are read in different ways; give each a folder of its own")
    return found.kinds[0] if found.kinds else "video"
