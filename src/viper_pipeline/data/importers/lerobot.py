"""LeRobot datasets of versions 2 and 3: one camera's pictures as episodes. LeRobot itself is not needed.

    meta/info.json                                version, frames per second, features, and where files lie
    meta/episodes.jsonl                           version 2: length and tasks of each episode
    meta/episodes/chunk-<c>/file-<f>.parquet      version 3: the same, and which part of which file is the episode's
    data/...parquet                               a row per frame: its time, its reward, pictures that are no video
    videos/...mp4                                 version 2: a file per episode; version 3: episodes lie end to end

A frame of an episode is the picture at its row's time, which version 3 counts from the episode's `from_timestamp`. A
row's `next.reward` was given on the way to the next row's picture. The last row's has no such picture and is added to
the last frame's. Without rewards, but with `next.success`, the frame at which success begins has reward 1. Actions and
states stay behind: a reward from videos has no use for them, and no file of ours a place.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from viper_pipeline.core.errors import BadData, BadEnvironment
from viper_pipeline.core.files import JsonView
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.data.episode import KINDS, Episode, resized, unknown_rewards
from viper_pipeline.data.importers import checked_frames
from viper_pipeline.data.importers.datasets import choose_camera
from viper_pipeline.data.importers.video import open_film, unreadable

if TYPE_CHECKING:
    import pyarrow as pa

INFO = "meta/info.json"
EPISODES = {2: "meta/episodes.jsonl", 3: "meta/episodes"}
"""Version -> where the list of episodes lies."""
REWARDS, SUCCESS = ("next.reward", "reward"), ("next.success", "success")
"""Columns of `data`, the first that is there counts."""
SEED, KIND = "viper.seed", "viper.kind"
"""Columns of the list of episodes that `viper export` adds."""
NEAR = 0.25
"""Frames by which a picture's time may differ from its row's; LeRobot itself refuses what differs by 0.1 ms."""
"""ffmpeg's option: errors end the decoding, where it would conceal them."""


class Feature(BaseModel):
    """One column, as meta/info.json describes it."""

    model_config = ConfigDict(frozen=True)

    dtype: str
    shape: tuple[int, ...] = ()
    info: JsonView | None = None
    video_info: JsonView | None = None

    @property
    def depth(self) -> bool:
        """Whether its pictures are distances instead of colors."""
        about = {**(self.video_info or {}), **(self.info or {})}
        return bool(about.get("is_depth_map") or about.get("video.is_depth_map"))


class DatasetInfo(BaseModel):
    """meta/info.json, as far as it is read here; both versions have more fields."""

    model_config = ConfigDict(frozen=True)

    codebase_version: str
    fps: float = Field(gt=0)
    features: dict[str, Feature]
    total_episodes: int = Field(ge=0)
    data_path: str
    video_path: str | None = None
    chunks_size: int = Field(1000, gt=0)

    @property
    def version(self) -> int:
        """2 or 3; 0 for others."""
        found = re.fullmatch(r"v?([23])\.\d+.*", self.codebase_version)
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class Stored:
    """Where an episode lies."""

    number: int
    length: int
    tasks: tuple[str, ...]
    data: Path
    video: Path | None  # None: pictures lie in `data`
    begins: float = 0.0  # in the video, seconds
    seed: int = 0
    kind: str = "expert"


def read_lerobot(
    path: Path,
    size: int,
    *,
    camera: int | str = 0,
    source_camera: str | None = None,
    instruction: str | None = None,
    **_: object,
) -> Iterator[Episode]:
    """Every episode of a dataset, in the order of its numbers.

    source_camera: a picture feature of the dataset, or its last part (`front` for `observation.images.front`); needed
    if there are several and none is called `camera`. instruction: only episodes of this task, in the dataset's words.
    """
    info = _info(path)
    cameras = [name for name, feature in info.features.items() if _colored(feature)]
    if not cameras:
        raise BadData(f"{path}: has no camera; its features are {', '.join(info.features)}")
    chosen = choose_camera(cameras, source_camera, camera, path)
    if info.version == 2:
        episodes = _episodes_2(path, info, chosen)
    else:
        episodes = _episodes_3(path, info, chosen)
    for episode in _of_instruction(episodes, instruction, path):
        yield _read(episode, info, chosen, size, path)


def _colored(feature: Feature) -> bool:
    return feature.dtype in ("video", "image") and not feature.depth


def _info(path: Path) -> DatasetInfo:
    file = path / INFO
    if not file.is_file():
        inside = sorted(p.parent.parent.name for p in path.glob(f"*/{INFO}")) if path.is_dir() else []
        found = f" (datasets found in it: {', '.join(inside)})" if inside else ""
        raise BadData(f"{path}: holds no {INFO}; name the folder of one LeRobot dataset{found}")
    try:
        info = DatasetInfo.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise BadData(f"{file}: {f'{field}: ' if field else ''}{first['msg']}") from error
    if not info.version:
        raise BadData(
            f"{file}: codebase_version {info.codebase_version} is not read here, only v2 and v3; LeRobot can convert it"
        )
    return info


def _episodes_2(path: Path, info: DatasetInfo, camera: str) -> list[Stored]:
    file = path / EPISODES[2]
    if not file.is_file():
        raise BadData(f"{file}: is missing; download the whole dataset")
    episodes = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        try:
            row = json.loads(line)
            index, length, tasks = int(row["episode_index"]), int(row["length"]), tuple(map(str, row["tasks"]))
        except (ValueError, TypeError, KeyError) as error:
            raise BadData(f"{file}: line {number} has no episode_index, length and tasks ({error})") from error
        names = {"episode_chunk": index // info.chunks_size, "episode_index": index, "video_key": camera}
        episodes.append(Stored(index, length, tasks, *_files(path, info, camera, names, names)))
    return _counted(episodes, info, file)


def _episodes_3(path: Path, info: DatasetInfo, camera: str) -> list[Stored]:
    folder = path / EPISODES[3]
    files = sorted(folder.glob("*/*.parquet"))
    if not files:
        raise BadData(f"{folder}: holds no .parquet file; download the whole dataset")
    video = info.features[camera].dtype == "video"
    fields = ["episode_index", "length", "tasks", "data/chunk_index", "data/file_index"]
    fields += [f"videos/{camera}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")] if video else []
    episodes = []
    for file in files:
        table = _table(file, fields, optional=(SEED, KIND))
        for row in table.to_pylist():
            if missing := [field for field in fields if row[field] is None]:
                raise BadData(f"{file}: episode {row['episode_index']} has no {missing[0]}")
            names = [
                {"chunk_index": row[f"{at}/chunk_index"], "file_index": row[f"{at}/file_index"], "video_key": camera}
                for at in ("data", *([f"videos/{camera}"] if video else []))
            ]
            episodes.append(
                Stored(
                    row["episode_index"],
                    row["length"],
                    tuple(row["tasks"]),
                    *_files(path, info, camera, names[0], names[-1]),
                    begins=row[f"videos/{camera}/from_timestamp"] if video else 0.0,
                    seed=row.get(SEED) or 0,
                    kind=row.get(KIND) or "expert",
                )
            )
            if episodes[-1].kind not in KINDS:
                raise BadData(f"{file}: {KIND} is '{episodes[-1].kind}', not one of {', '.join(KINDS)}")
    return _counted(episodes, info, folder)


def _files(path: Path, info: DatasetInfo, camera: str, data: JsonView, video: JsonView) -> tuple[Path, Path | None]:
    """The files of an episode, by the patterns of meta/info.json."""
    found: list[Path | None] = []
    is_video = info.features[camera].dtype == "video"
    for field, pattern, names in (("data_path", info.data_path, data), ("video_path", info.video_path, video)):
        if field == "video_path" and not is_video:
            found.append(None)
            continue
        try:
            name = PurePosixPath(str(pattern).format(**names))
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise BadData(f"{path / INFO}: {field} '{pattern}' is no pattern of this version ({error!r})") from error
        if pattern is None or name.is_absolute() or ".." in name.parts:
            raise BadData(f"{path / INFO}: {field} '{pattern}' leads out of the dataset")
        found.append(path / name)
    assert found[0] is not None
    return found[0], found[1]


def _counted(episodes: list[Stored], info: DatasetInfo, place: Path) -> list[Stored]:
    episodes = sorted(episodes, key=lambda episode: episode.number)
    if [episode.number for episode in episodes] != list(range(info.total_episodes)):
        raise BadData(
            f"{place}: lists {len(episodes)} episodes, but {INFO} speaks of {info.total_episodes}, numbered from 0; "
            "download the whole dataset"
        )
    return episodes


def _of_instruction(episodes: Sequence[Stored], instruction: str | None, path: Path) -> Sequence[Stored]:
    if instruction is None:
        return episodes
    kept = [episode for episode in episodes if instruction in episode.tasks]
    if not kept:
        known = sorted({task for episode in episodes for task in episode.tasks})
        raise BadData(f"{path}: no episode has the instruction '{instruction}'{did_you_mean(instruction, known)}")
    return kept


def _read(episode: Stored, info: DatasetInfo, camera: str, size: int, path: Path) -> Episode:
    """One episode. Its rows are sorted by time; LeRobot writes them so."""
    pictures = [] if episode.video else [camera]
    table = _table(
        episode.data,
        ["episode_index", "frame_index", "timestamp", *pictures],
        optional=(*REWARDS, *SUCCESS),
        only=("episode_index", episode.number),
    )
    place = f"{episode.data}: episode {episode.number}"
    numbers = _column(table, "frame_index", place)
    if not np.array_equal(numbers, np.arange(episode.length)):
        listed = f"{EPISODES[info.version]} says {episode.length}, numbered from 0"
        raise BadData(f"{place}: has rows of {len(numbers)} frames, {listed}")
    if episode.length < 2:
        raise BadData(f"{place}: {episode.length} frames, at least 2 are needed")
    if episode.video:
        times = episode.begins + _column(table, "timestamp", place)
        frames = np.stack(list(_film(episode.video, times, NEAR / info.fps, size)))
    else:
        stored = table.column(camera).to_pylist()
        frames = np.stack([resized(_picture(one, path, place)[None], size)[0] for one in stored])
    return Episode(frames, _rewards(table, place), episode.seed, episode.kind)


def _film(file: Path, times: np.ndarray, near: float, size: int) -> Iterator[np.ndarray]:
    """The pictures (size, size, 3) of a video at rising `times` (T,), seconds, each at most `near` seconds off."""
    if not file.is_file():
        raise BadData(f"{file}: is missing; download the whole dataset")
    wanted = iter(times)
    following = next(wanted)
    time = float(following)
    try:
        with open_film(file) as (container, stream):
            unit = float(stream.time_base or 0)
            container.seek(max(int((time - near) / unit), 0), stream=stream)
            for frame in container.decode(stream):
                now = (frame.pts or 0) * unit
                if now < time - near:
                    continue
                if now > time + near:
                    break
                picture = checked_frames(frame.to_ndarray(format="rgb24")[None], file, least=1)
                yield resized(picture, size)[0]
                following = next(wanted, None)
                if following is None:
                    break
                time = float(following)
    except BadData:
        raise
    except Exception as error:  # decoders have many exceptions of their own
        raise unreadable(file, error) from error
    if following is not None:
        raise BadData(
            f"{file}: has no picture at {time:.3f} s, where a row of the dataset wants one; download it again"
        )


def _picture(stored: Any, path: Path, place: str) -> np.ndarray:
    """A picture (H, W, 3) of a data file: its bytes, or the path of a file of its own."""
    try:
        content = stored["bytes"]
        if content is None:
            name = PurePosixPath(stored["path"])
            if name.is_absolute() or ".." in name.parts:
                raise BadData(f"{place}: a picture lies at {name}, out of the dataset")
            content = (path / name).read_bytes()
        with Image.open(io.BytesIO(content)) as picture:
            return np.asarray(picture.convert("RGB"))
    except BadData:
        raise
    except Exception as error:  # decoders have many exceptions of their own
        raise BadData(f"{place}: a picture cannot be read ({error})") from error


def _rewards(table: pa.Table, place: str) -> np.ndarray:
    """float32 (T,): the reward of arriving at each frame; NaN if the dataset does not say."""
    length = table.num_rows
    for name in REWARDS:
        if name in table.column_names:
            given = _column(table, name, place)
            if np.isnan(given).all():
                return unknown_rewards(length)
            if not np.isfinite(given).all():
                raise BadData(f"{place}: {name} is not finite")
            rewards = np.concatenate([[0.0], given[:-1]])
            rewards[-1] += given[-1]
            return rewards.astype(np.float32)
    for name in SUCCESS:
        if name in table.column_names:
            reached = _column(table, name, place) > 0
            rewards = np.zeros(length, np.float32)
            if reached.any():
                rewards[min(int(np.argmax(reached)) + 1, length - 1)] = 1
            return rewards
    return unknown_rewards(length)


def _column(table: pa.Table, name: str, place: str) -> np.ndarray:
    """A column of numbers (T,), float64; single numbers may be stored as lists of one."""
    try:
        values = np.asarray(table.column(name).to_pylist(), np.float64)
    except (TypeError, ValueError) as error:
        raise BadData(f"{place}: {name} holds something else than numbers") from error
    if values.size != table.num_rows:
        raise BadData(f"{place}: {name} has {values.shape[1:]} numbers per frame, not one")
    return values.reshape(-1)


def _table(
    file: Path, fields: Sequence[str], optional: Sequence[str] = (), only: tuple[str, int] | None = None
) -> pa.Table:
    """Some columns of a Parquet file. optional: read if they are there. only: rows in which a column has a value.

    Raises BadEnvironment without pyarrow, BadData for files and columns that are missing or damaged.
    """
    parquet = require_parquet()
    if not file.is_file():
        raise BadData(f"{file}: is missing; download the whole dataset")
    try:
        there = parquet.read_schema(file).names
        if missing := [field for field in fields if field not in there]:
            raise BadData(f"{file}: has no column {missing[0]} (columns: {', '.join(there)})")
        columns = [*fields, *(field for field in optional if field in there)]
        return parquet.read_table(file, columns=columns, filters=[(only[0], "=", only[1])] if only else None)
    except BadData:
        raise
    except Exception as error:  # pyarrow reports damage in exceptions of many kinds
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise BadData(f"{file}: damaged, or no Parquet file ({reason})") from error


def require_parquet() -> Any:
    """pyarrow's module for Parquet files. Raises BadEnvironment if pyarrow is not installed."""
    if missing := missing_parquet():
        raise BadEnvironment(missing)
    from pyarrow import parquet

    return parquet


def missing_parquet() -> str | None:
    """What to install to read and write LeRobot datasets; None if it is there."""
    return None if find_spec("pyarrow") else "LeRobot datasets need pyarrow: pip install 'viper-pipeline[lerobot]'"
