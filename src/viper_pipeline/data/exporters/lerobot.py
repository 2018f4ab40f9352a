"""Episodes as a LeRobot dataset of version 3: one camera, rewards, no actions and states, which our files do not hold.

    meta/info.json, meta/stats.json, meta/tasks.parquet, meta/episodes/chunk-000/file-000.parquet
    meta/viper.json                                          suite, task, frame specification and lineage
    data/chunk-000/file-<f>.parquet                          a row per frame
    videos/observation.image/chunk-000/file-<f>.mp4          the same episodes, end to end

Groups become LeRobot's splits. Seeds and kinds of episodes are two more columns in the list of episodes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.exporters import ExportConfig, Numbered, episodes_of
from viper_pipeline.data.exporters.files import Film
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.data.importers.lerobot import KIND, SEED, require_parquet

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = "v3.0"
CAMERA = "observation.image"
DATA, VIDEOS = (
    "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    ("videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"),
)
EPISODES, TASKS = "meta/episodes/chunk-000/file-000.parquet", "meta/tasks.parquet"
CHUNK, DATA_MB, VIDEO_MB = 1000, 100, 200
"""LeRobot's defaults: files per chunk, and megabytes after which a file is full."""
NUMBERS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
    "next.done": "bool",
    "next.reward": "float32",
}
"""Columns of `data` and their types."""
Stats = dict[str, np.ndarray]
"""min, max, mean, std (each of a feature's shape) and count (1,)."""


def write_lerobot(file: EpisodeFile, folder: Path, config: ExportConfig) -> tuple[str, list[Path]]:
    """Write all episodes of a file; the importer is `lerobot`. Raises BadEnvironment without pyarrow."""
    require_parquet()
    rewarded = any(not np.isnan(file.group(name).rewards).all() for name in file.groups)
    writer = Writer(folder, config, rewarded)
    for one in episodes_of(file):
        writer.add(one)
    writer.close(config.instruction or file.task)
    about = {"suite": file.suite, "task": file.task, "frame_spec": file.spec.model_dump(mode="json")}
    _write_json(folder / "meta/viper.json", about | {"lineage": file.lineage})
    return "lerobot", [folder]


@dataclass
class Writer:
    """A dataset that is written episode by episode; files of data and of video are full together."""

    folder: Path
    config: ExportConfig
    rewarded: bool
    film: Film | None = None
    about_film: Json = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    rows: list[dict[str, np.ndarray]] = field(default_factory=list)  # of the file that is being written
    episodes: list[Json] = field(default_factory=list)
    stats: list[dict[str, Stats]] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    files: int = 0
    frames: int = 0

    def add(self, one: Numbered) -> None:
        """Append an episode."""
        episode, length = one.episode, len(one.episode)
        names = {"chunk_index": self.files // CHUNK, "file_index": self.files % CHUNK}
        if self.film is None:
            self.shape = episode.frames.shape[1:]
            path = self.folder / VIDEOS.format(video_key=CAMERA, **names)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.film = Film(path, self.shape[:2], self.config)
        begins = self.film.frames
        self.film.add(episode.frames)
        rows = self._rows(episode, one.number)
        stats = {name: stats_of(values) for name, values in rows.items()}
        stats[CAMERA] = stats_of(episode.frames / 255, axes=(0, 1, 2))
        self.rows.append(rows)
        self.stats.append(stats)
        self.groups.append(one.group)
        self.episodes.append(
            {
                "episode_index": one.number,
                "length": length,
                **{f"data/{name}": number for name, number in names.items()},
                **{f"videos/{CAMERA}/{name}": number for name, number in names.items()},
                f"videos/{CAMERA}/from_timestamp": begins / self.config.fps,
                f"videos/{CAMERA}/to_timestamp": (begins + length) / self.config.fps,
                "dataset_from_index": self.frames,
                "dataset_to_index": self.frames + length,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
                SEED: episode.seed,
                KIND: episode.kind,
            }
        )
        self.frames += length
        if self.film.path.stat().st_size > VIDEO_MB * 2**20:
            self._close_file()

    def _rows(self, episode: Episode, number: int) -> dict[str, np.ndarray]:
        """The columns of an episode, (T,) each. The first frame has no reward, so none is lost in `next.reward`."""
        length = len(episode)
        steps = np.arange(length)
        columns = {
            "timestamp": steps / self.config.fps,
            "frame_index": steps,
            "episode_index": np.full(length, number),
            "index": self.frames + steps,
            "task_index": np.zeros(length),
            "next.done": steps == length - 1,
        }
        if self.rewarded:
            unknown = np.isnan(episode.rewards).all()
            columns["next.reward"] = np.append(episode.rewards[1:], np.nan if unknown else 0.0)
        return {name: values.astype(NUMBERS[name]) for name, values in columns.items()}

    def _close_file(self) -> None:
        """Write the rows and the film of the episodes since the last file."""
        if self.film is None:
            return
        self.film.close()
        self.about_film, self.film = self.film.about(self.config), None
        path = self.folder / DATA.format(chunk_index=self.files // CHUNK, file_index=self.files % CHUNK)
        _write_tables(path, [_table(rows) for rows in self.rows])
        self.rows, self.files = [], self.files + 1

    def close(self, instruction: str) -> None:
        """Write what is left, and the folder `meta`. instruction: the task of all episodes, in words."""
        import pandas as pd

        self._close_file()
        columns = {name: [episode[name] for episode in self.episodes] for name in self.episodes[0]}
        columns["tasks"] = [[instruction]] * len(self.episodes)
        for name, stats in self.stats[0].items():
            for key in stats:
                columns[f"stats/{name}/{key}"] = [of[name][key].tolist() for of in self.stats]
        _write_tables(self.folder / EPISODES, [_table(columns)])
        tasks = pd.DataFrame({"task_index": [0]}, index=pd.Index([instruction], name="task"))
        tasks.to_parquet(self.folder / TASKS)
        whole = {name: together([of[name] for of in self.stats]) for name in self.stats[0]}
        plain = {name: {key: value.tolist() for key, value in stats.items()} for name, stats in whole.items()}
        _write_json(self.folder / "meta/stats.json", plain)
        _write_json(self.folder / "meta/info.json", self._info())

    def _info(self) -> Json:
        numbers = {name: kind for name, kind in NUMBERS.items() if self.rewarded or name != "next.reward"}
        features: Json = {
            CAMERA: {
                "dtype": "video",
                "shape": list(self.shape),
                "names": ["height", "width", "channels"],
                "info": self.about_film,
            },
            **{name: {"dtype": kind, "shape": [1], "names": None} for name, kind in numbers.items()},
        }
        return {
            "codebase_version": VERSION,
            "robot_type": None,
            "total_episodes": len(self.episodes),
            "total_frames": self.frames,
            "total_tasks": 1,
            "chunks_size": CHUNK,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": self.config.fps,
            "splits": dict(_splits(self.groups)),
            "data_path": DATA,
            "video_path": VIDEOS,
            "features": features,
        }


def _splits(groups: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(group, first:end) of episodes that lie group by group. Other names than LeRobot's `train` are allowed."""
    for name in dict.fromkeys(groups):
        first = groups.index(name)
        yield name, f"{first}:{first + groups.count(name)}"


def stats_of(values: np.ndarray, axes: tuple[int, ...] = (0,)) -> Stats:
    """Of a feature over an episode; of pictures (T, H, W, 3), over all their pixels, (3, 1, 1)."""
    unknown = bool(np.isnan(values).all())  # such rewards count for nothing
    numbers = np.zeros(values.shape) if unknown else values.astype(np.float64)
    shape = (3, 1, 1) if len(axes) > 1 else (1,)
    found = {"min": numbers.min(axes), "max": numbers.max(axes), "mean": numbers.mean(axes), "std": numbers.std(axes)}
    return {name: np.reshape(value, shape) for name, value in found.items()} | {
        "count": np.array([0 if unknown else len(values)])
    }


def together(stats: Sequence[Stats]) -> Stats:
    """Of all episodes, from those of each."""
    stats = [one for one in stats if one["count"][0]]
    count = np.concatenate([one["count"] for one in stats])
    weights = (count / count.sum()).reshape(-1, *[1] * stats[0]["mean"].ndim)
    mean = sum(w * one["mean"] for w, one in zip(weights, stats, strict=True))
    square = sum(w * (one["std"] ** 2 + (one["mean"] - mean) ** 2) for w, one in zip(weights, stats, strict=True))
    return {
        "min": np.min([one["min"] for one in stats], 0),
        "max": np.max([one["max"] for one in stats], 0),
        "mean": np.asarray(mean),
        "std": np.sqrt(square),
        "count": np.array([count.sum()]),
    }


def _table(columns: JsonView) -> pa.Table:
    import pyarrow as pa

    return pa.table(dict(columns))


def _write_tables(path: Path, tables: Sequence[pa.Table]) -> None:
    """One group of rows per table, as LeRobot writes episodes: each is read without the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with require_parquet().ParquetWriter(path, tables[0].schema, compression="snappy") as writer:
        for table in tables:
            writer.write_table(table)


def _write_json(path: Path, content: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4) + "\n")
