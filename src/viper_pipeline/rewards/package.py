"""The two folders that hold a whole reward: one exported for others, and one in a project's `data/rewards`.

An exported folder stands alone: `tokenizer/`, `video_model/`, `reward/`, a card README.md, the lineage, and
manifest.json with the SHA-256 of all but the card. Weights are safetensors; nothing in it is run when it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from viper_pipeline.errors import BadData
from viper_pipeline.files import md5_of
from viper_pipeline.training.artifacts import CONFIG, LINEAGE

MANIFEST, CARD, FORMAT = "manifest.json", "README.md", 1
PARTS = {"tokenizer": "train_tokenizer", "video_model": "train_video_model", "reward": "evaluate_reward"}
"""Folder of a part, and the stage that makes it."""


@dataclass(frozen=True)
class Package:
    """Where the parts of a reward lie, and what is known of it."""

    suite: str
    folders: Mapping[str, Path]
    lineage: Mapping[str, Any]


def open_package(folder: Path) -> Package:
    """The parts of a reward, checked against the hashes that came with them. Raises BadData for anything amiss."""
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        return _exported(folder)
    if (folder / CONFIG).is_file() and (folder / LINEAGE).is_file():
        return _in_project(folder)
    raise BadData(
        f"{folder}: no reward; give a folder that `viper export-reward` wrote, or a project's data/rewards/SUITE/MODEL"
    )


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _exported(folder: Path) -> Package:
    manifest = _json(folder / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise BadData(f"{folder / MANIFEST}: format is {manifest.get('format')!r}; this version reads {FORMAT}")
    for name, expected in manifest["files"].items():
        file = folder / name
        if not file.is_file():
            raise BadData(f"{file}: missing; export or copy the folder again")
        if sha256(file) != expected:
            raise BadData(f"{file}: damaged, for {MANIFEST} has another SHA-256; export or copy the folder again")
    return Package(manifest["suite"], {part: folder / part for part in PARTS}, _json(folder / LINEAGE))


def _in_project(folder: Path) -> Package:
    """The reward's lineage names the tokenizer and the video model, and their hashes."""
    full, lineage = folder.resolve(), _json(folder / LINEAGE)
    steps = lineage.get("steps", {})
    own = next((p for p in steps if full.as_posix().endswith(f"/{p}") and _stage(steps[p]) == PARTS["reward"]), None)
    if own is None:
        raise BadData(f"{folder}: its {LINEAGE} names no reward of this place; it was moved, or is no reward at all")
    root, folders = full.parents[len(PurePosixPath(own).parts) - 1], {"reward": full}
    for part in ("tokenizer", "video_model"):
        name = next(p for p in steps[own]["parents"] if p in steps and _stage(steps[p]) == PARTS[part])
        if not (root / name).is_dir():
            raise BadData(f"{root / name}: missing; {folder} was made with it. `dvc pull` or `viper run` brings it")
        if md5_of(root / name) != steps[own]["parents"][name]:
            raise BadData(f"{root / name}: not the one that {folder} was made with; `viper run` makes them fit")
        folders[part] = root / name
    return Package(steps[own]["stage"].split(".")[0], folders, lineage)


def _stage(step: Mapping[str, Any]) -> str:
    """`train_tokenizer` of `dmc.train_tokenizer.all`."""
    return step["stage"].split(".")[1]


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise BadData(f"{path}: missing; export or copy the folder again") from error
    except ValueError as error:
        raise BadData(f"{path}: not JSON ({error}); export or copy the folder again") from error
