"""Where values meet the disk: Kedro datasets for every kind of artifact. Writing is atomic and repeatable.

Kedro-Viz shows what a dataset's `preview` returns, and chooses how by the name of the annotated type. A preview of what
is not there yet is empty: a graph can be looked at before anything has run.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NewType

from kedro.io import AbstractDataset

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.files import Json, atomic_dir, atomic_write
from viper_pipeline.data.episode import Episode, png
from viper_pipeline.data.hdf5 import EpisodeFile, read_lineage, write_groups
from viper_pipeline.data.importers.folders import listed
from viper_pipeline.dvc_bridge.project import read_params
from viper_pipeline.dvc_bridge.provenance import Provenance
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.pipelines.wiring import by_key
from viper_pipeline.reporting.cards import PICTURE, as_markdown, dataset_card, model_card
from viper_pipeline.training.artifacts import CONFIG, ModelArtifact, as_json, load_artifact, save_artifact

ImagePreview = NewType("ImagePreview", str)  # a PNG, base64
JSONPreview = NewType("JSONPreview", str)
TablePreview = NewType("TablePreview", dict)  # index, columns, and data by rows


@dataclass(frozen=True)
class Recording:
    """Episodes on their way to the disk, group by group; streamed, never all in memory at once."""

    groups: Mapping[str, Iterable[Episode]]
    suite: str
    task: str
    spec: FrameSpec
    payload: str = "frames"


def by_task(prefix: str, inputs: ParamsBlock) -> Json:
    """The inputs called `<prefix>__<task>`, by task, in the order of the task list."""
    return {task: value for (task,), value in by_key(prefix, inputs).items()}


CARD = "README.md"
READERS = {".h5": read_lineage}
"""Files that carry their lineage inside, beside folders: how it is read."""


def with_card(artifact: ModelArtifact, path: Path, provenance: Provenance | None) -> ModelArtifact:
    """The model as the running stage is about to save it at `path`, with its card; without a stage, as it is."""
    if provenance is None:
        return artifact
    pictures = {name: name for name in sorted(artifact.files) if name.endswith((".png", ".gif"))}
    text = as_markdown(model_card(provenance.name(path), artifact, provenance.lineage["steps"]), pictures)
    return replace(artifact, files={**artifact.files, CARD: text.encode()})


def card_beside(path: Path, suffixes: Collection[str], provenance: Provenance | None) -> None:
    """Write the card of the episodes that the running stage has saved at `path`: Markdown, and a picture for `.png`."""
    if provenance is None:
        return
    card = dataset_card(provenance.name(path), EpisodeFile(path), provenance.lineage["steps"])
    pictures = {}
    if ".png" in suffixes and card.picture is not None:
        picture = path.with_suffix(".png")
        atomic_write(picture, png(card.picture))
        pictures[picture.name] = PICTURE
    atomic_write(path.with_suffix(".md"), as_markdown(card, pictures).encode())


class _File(AbstractDataset):
    """A path, and what the catalog says of it."""

    def __init__(self, *, filepath: str = "", metadata: Json | None = None) -> None:
        self._filepath = PurePosixPath(filepath)
        self.metadata = metadata
        self.provenance: Provenance | None = None  # of the node that is about to save; the hooks set it

    def lineage(self) -> Json:
        """Where the artifact that is being saved comes from; empty outside of a stage."""
        return self.provenance.lineage if self.provenance else {}

    @property
    def path(self) -> Path:
        """The file or folder."""
        return Path(self._filepath)

    def load(self) -> Any:
        return self.path

    def save(self, data: Any) -> None:
        raise TypeError(f"{type(self).__name__} is read only")

    def _exists(self) -> bool:
        return self.path.exists()

    def _describe(self) -> Json:
        return {"filepath": str(self._filepath)}


def _as_table(columns: list[str], rows: list[list[Any]]) -> TablePreview:
    return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": rows})


class SourcePath(_File):
    """A file or folder of videos that params.yaml names; loads as its path, and says what it found there."""

    def load(self) -> Path:
        if self.path.is_dir() and (found := listed(self.path)).files:
            print(f"{self.path}: {found.count()}", flush=True)  # into the stage's log: none is left out in silence
        return self.path


class Private(_File):
    """What only a running node has, put in by the hooks: its private folder for checkpoints, or its provenance.

    metadata.dvc.kind says which of them; outside of a stage it is None.
    """

    def load(self) -> None:
        return None

    def _exists(self) -> bool:
        return True


class CostsDataset(_File):
    """What stages took on this machine, by node: it differs from run to run, so it is no dependency in DVC."""

    def load(self) -> Json:
        return {path.stem: json.loads(path.read_text()) for path in sorted(self.path.glob("*.json"))}

    def _exists(self) -> bool:
        return True


class ModelArtifactDataset(_File):
    """A model's folder, its card inside; see training.artifacts."""

    def load(self) -> ModelArtifact:
        return load_artifact(self.path)

    def save(self, data: ModelArtifact) -> None:
        save_artifact(self.path, with_card(data, self.path, self.provenance), self.lineage())

    def preview(self) -> JSONPreview:
        """Its settings and what was measured of it, without its weights."""
        config = self.path / CONFIG
        return JSONPreview(config.read_text() if config.exists() else "{}")


class EpisodesDataset(_File):
    """Episodes or codes in HDF5, and what metadata.dvc.beside names of their card; loads as a lazy reader."""

    def load(self) -> EpisodeFile:
        return EpisodeFile(self.path)

    def save(self, data: Recording) -> None:
        write_groups(
            self.path,
            data.groups,
            suite=data.suite,
            task=data.task,
            spec=data.spec,
            lineage=self.lineage(),
            payload=data.payload,
        )
        if beside := ((self.metadata or {}).get("dvc") or {}).get("beside"):
            card_beside(self.path, beside, self.provenance)

    def preview(self) -> ImagePreview:
        """The picture beside it: frames of one episode."""
        picture = self.path.with_suffix(".png")
        return ImagePreview(base64.b64encode(picture.read_bytes()).decode() if picture.exists() else "")


class JsonDataset(_File):
    """Plain values."""

    def load(self) -> Any:
        return json.loads(self.path.read_text())

    def save(self, data: Any) -> None:
        atomic_write(self.path, as_json(data).encode())

    def preview(self) -> JSONPreview:
        """All of it."""
        return JSONPreview(self.path.read_text() if self.path.exists() else "{}")


class YamlDataset(_File):
    """A file of parameters."""

    def load(self) -> Any:
        return read_params(self.path)


class CsvDataset(_File):
    """A table: a list of rows with equal keys."""

    def load(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.path.read_text())))

    def save(self, data: list[Json]) -> None:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(data[0]) if data else ["empty"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(data)
        atomic_write(self.path, buffer.getvalue().encode())

    def preview(self, nrows: int = 10) -> TablePreview:
        """Its first rows."""
        rows = self.load()[:nrows] if self.path.exists() else []
        return _as_table(list(rows[0]) if rows else [], [list(row.values()) for row in rows])


class FilesDataset(_File):
    """Small files by name, in one folder."""

    def load(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in sorted(self.path.iterdir())}

    def save(self, data: dict[str, bytes]) -> None:
        with atomic_dir(self.path) as folder:
            for name, content in data.items():
                (folder / name).write_bytes(content)

    def preview(self) -> TablePreview:
        """What lies there, and how large it is."""
        files = sorted(self.path.iterdir()) if self.path.is_dir() else []
        return _as_table(["file", "bytes"], [[file.name, file.stat().st_size] for file in files])


class TextDataset(_File):
    """A page of text."""

    def load(self) -> str:
        return self.path.read_text()

    def save(self, data: str) -> None:
        atomic_write(self.path, data.encode())
