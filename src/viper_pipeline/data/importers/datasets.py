"""What folders of other projects' datasets have in common: how one is known, and which of its cameras is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from viper_pipeline.core.errors import BadData

DATASETS = {"meta/info.json": "lerobot", "data/main_data.hdf5": "minari", "main_data.hdf5": "minari"}
"""The file by which a dataset's folder is known -> its importer."""


def dataset_kind(path: Path) -> str | None:
    """The importer of a folder that is one dataset; None for folders of files."""
    return next((kind for file, kind in DATASETS.items() if (Path(path) / file).is_file()), None)


def choose_camera(found: Sequence[str], wanted: str | None, suite: int | str, place: Path) -> str:
    """Which of the cameras `found` in a dataset is read: the one `wanted`, the only one, or that of the suite's name.

    A name is that of the camera or its last part: `front` is `observation.images.front`. Raises BadData, which lists
    the cameras, where none or several fit.
    """

    def named(name: str) -> list[str]:
        return [camera for camera in found if camera == name or re.split("[./]", camera)[-1] == name]

    fitting = list(found) if len(found) == 1 and wanted is None else named(str(suite if wanted is None else wanted))
    if len(fitting) == 1:
        return fitting[0]
    what = f"holds {len(found)} cameras" if wanted is None else f"holds no camera '{wanted}'"
    if len(fitting) > 1:
        what = f"several cameras are called '{wanted or suite}'"
    raise BadData(f"{place}: {what}; datasets.<task>.camera or --camera can be {', '.join(found)}")
