"""What films say of themselves before all of them are decoded: how many frames, how large.

So a training of hours is refused in seconds where its films cannot be used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.importers.folders import files_of

ASPECT = 0.02
"""By how much, relatively, shapes of frames may differ: encoders round to even numbers of pixels."""


@dataclass(frozen=True)
class FilmSize:
    """Of one film."""

    file: Path
    frames: int  # 0: the file does not say
    height: int
    width: int

    @property
    def pixels(self) -> str:
        """As people write it."""
        return f"{self.width}x{self.height}"


def film_sizes(kind: str, path: Path) -> tuple[FilmSize, ...]:
    """Of each film at `path`, in the order in which importer `kind` reads them.

    Nothing for kinds whose files hold several videos. Raises BadData for a film that cannot be opened.
    """
    if kind == "npz":
        from viper_pipeline.data.importers.npz import stored_size as size_of
    elif kind == "video":
        from viper_pipeline.data.importers.video import stored_size as size_of
    else:
        return ()
    return tuple(FilmSize(file, *size_of(file)) for file in files_of(kind, path))


def expected_frames(kind: str, path: Path) -> list[int]:
    """Frames of each video at `path`, in the order in which importer `kind` reads them; [] where the files do not say.

    LeRobot and Minari say how many there are in all: each video counts as their mean. Raises BadData for a film that
    cannot be opened.
    """
    path = Path(path)
    if kind in ("npz", "video"):
        frames = [film.frames for film in film_sizes(kind, path)]
        return frames if all(frames) else []
    if kind == "episodes":
        from viper_pipeline.data.hdf5 import EpisodeFile

        lengths: list[int] = []
        for one in files_of(kind, path):
            file = EpisodeFile(one)
            lengths += map(int, file.group("episodes").lengths)
            file.close()
        return lengths
    for name, unit in (("meta/info.json", "frames"), ("data/metadata.json", "steps"), ("metadata.json", "steps")):
        try:
            about = json.loads((path / name).read_text())
            episodes, total = int(about["total_episodes"]), int(about[f"total_{unit}"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return [max(total // episodes, 1)] * episodes if episodes > 0 else []
    return []


def check_shapes(films: Sequence[FilmSize]) -> None:
    """Raise BadData if frames have different shapes: made square, each would be squeezed in its own way."""
    for film in films:
        first = films[0]
        if abs(film.width * first.height / (film.height * first.width) - 1) > ASPECT:
            raise BadData(
                f"{film.file}: frames of {film.pixels} have another shape than those of {first.file}, {first.pixels}; "
                "crop or pad all videos to one shape"
            )


def check_lengths(films: Sequence[FilmSize], least: int, why: str) -> None:
    """Raise BadData naming a film of fewer than `least` frames, where the file says how many it has."""
    for film in films:
        if 0 < film.frames < least:
            raise BadData(f"{film.file}: a video of {film.frames} frames is shorter than {why}")


def remarks(experts: Sequence[FilmSize], baselines: Sequence[FilmSize], size: int) -> list[str]:
    """What is allowed but should be known, a line each."""
    lines = []
    kinds = [sorted({film.pixels for film in films}) for films in (experts, baselines)]
    if all(kinds) and kinds[0] != kinds[1]:
        lines.append(
            f"experts are {_some(kinds[0])} pixels, baselines {_some(kinds[1])}: a model can tell them apart by their "
            "sharpness alone; better make both at one size"
        )
    small = min((min(film.height, film.width) for film in (*experts, *baselines)), default=size)
    if small < size:
        lines.append(f"videos of {small} pixels are enlarged to {size}; a size of {small} would lose nothing")
    return lines


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:3]) + (" ..." if len(words) > 3 else "")
