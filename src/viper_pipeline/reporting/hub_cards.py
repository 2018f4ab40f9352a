"""Cards as the Hugging Face Hub reads them: a README.md that begins with a block of YAML.

The block is what the Hub filters by: license, tags, and for models the library that loads them. What follows is the
card that the artifact has anyway. A license is only stated for what this project made itself; for the rest it must be
given.

Rewards and LeRobot datasets are shared without the libraries of a project; files of episodes need them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.core.files import Json
from viper_pipeline.data.episode import png
from viper_pipeline.data.importers import OWN_KINDS
from viper_pipeline.data.importers.lerobot import INFO
from viper_pipeline.rewards.pretrained import CARD, MANIFEST, open_package
from viper_pipeline.training.artifacts import CONFIG

if TYPE_CHECKING:
    from viper_pipeline.reporting.results import LineageSteps

LIBRARY = "viper-pipeline"
TAGS = ("viper", LIBRARY, "reinforcement-learning", "video")
LICENSES = {"atari": "other"}
"""Suite -> identifier of the license of what this project made of it; MIT for the others."""
ABOUT = "meta/viper.json"
"""Where an exported LeRobot dataset keeps its suite, task and lineage."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""Frames below which the Hub has a class of size."""


@dataclass(frozen=True)
class Shared:
    """What is sent to the Hub: its files by their names there, and its card."""

    kind: str  # the Hub's word: dataset or model
    files: Mapping[str, Path]
    card: str
    pictures: Mapping[str, bytes]


def shared(path: Path, license: str | None = None) -> Shared:
    """What to send of an artifact: a file of episodes, an exported reward, or a LeRobot dataset.

    license: an identifier of the Hub's, such as mit or cc-by-4.0. Raises BadParams if it is needed, BadData for
    what is nothing of these, or damaged.
    """
    if path.is_file() and path.suffix == ".h5":
        return _dataset(path, license)
    if (path / MANIFEST).is_file():
        return _reward(path, license)
    if (path / INFO).is_file():
        return _lerobot(path, license)
    if (path / CONFIG).is_file():
        raise BadData(f"{path}: is a model of a project; `viper export-reward` makes a folder that can be shared")
    if not path.exists():
        raise BadData(f"{path}: there is no such file or folder")
    raise BadData(
        f"{path}: is neither an .h5 file of episodes, nor a folder of `viper export-reward`, nor a LeRobot dataset"
    )


def with_front_matter(block: Json, text: str) -> str:
    """A card for the Hub. A card that has a block already is left as it is."""
    return text if text.startswith("---\n") else f"---\n{yaml.safe_dump(block, sort_keys=False)}---\n\n{text}"


def license_of(suite: str, steps: LineageSteps, imported: bool = False) -> str | None:
    """The identifier of the license of what was made of simulated frames only; None if it came from elsewhere.

    steps: lineage, path -> {stage, params, parents}. imported: the artifact says so itself.
    """
    chosen = [value for step in steps.values() for name, value in step["params"].items() if ".datasets." in name]
    own = all(isinstance(value, Mapping) and value.get("kind") in OWN_KINDS for value in chosen)
    return LICENSES.get(suite, "mit") if steps and own and not imported else None


def _licensed(path: Path, given: str | None, known: str | None) -> str:
    if given or known:
        return given or str(known)
    raise BadParams(
        f"{path}: its videos are not this project's, so --license must say under which license it is shared"
    )


def own_path(path: Path, steps: LineageSteps) -> str:
    """An artifact's name in its lineage: of the step that feeds no other; the file's own name without lineage."""
    parents = {parent for step in steps.values() for parent in step["parents"]}
    return next((name for name in steps if name not in parents), path.name)


def _dataset(path: Path, license: str | None) -> Shared:
    from viper_pipeline.data.hdf5 import EpisodeFile, verify
    from viper_pipeline.reporting.cards import PICTURE, as_markdown, dataset_card

    verify(path)
    file = EpisodeFile(path, verify_checksum=False)
    steps = file.lineage.get("steps", {})
    own = license_of(file.suite, steps, imported="imported" in file.lineage)
    frames = sum(int(file.group(name).starts[-1]) for name in file.groups)
    block = {
        "license": _licensed(path, license, own),
        "pretty_name": f"{file.suite} {file.task}",
        "task_categories": ["reinforcement-learning"],
        "size_categories": [size_class(frames)],
        "tags": [*TAGS, file.suite, file.task],
    }
    card = dataset_card(own_path(path, steps), file, steps)
    card = replace(card, license=f"{license}, as whoever shared it states.") if license else card
    pictures = {} if card.picture is None else {f"{path.stem}.png": png(card.picture)}
    text = as_markdown(card, dict.fromkeys(pictures, PICTURE)) + USE_DATASET.format(file=path.name)
    file.close()
    return Shared("dataset", {path.name: path}, with_front_matter(block, text), pictures)


def _reward(path: Path, license: str | None) -> Shared:
    package = open_package(path)
    block = {
        "license": _licensed(path, license, license_of(package.suite, package.lineage.get("steps", {}))),
        "library_name": LIBRARY,
        "pipeline_tag": "reinforcement-learning",
        "tags": [*TAGS, "reward-model", package.suite],
    }
    return Shared("model", _files(path), with_front_matter(block, (path / CARD).read_text()), {})


def _lerobot(path: Path, license: str | None) -> Shared:
    about = _json(path / ABOUT) if (path / ABOUT).is_file() else {}
    lineage = about.get("lineage", {})
    known = license_of(str(about.get("suite")), lineage.get("steps", {}), imported="imported" in lineage)
    info = _json(path / INFO)
    block = {
        "license": _licensed(path, license, known),
        "task_categories": ["robotics"],
        "size_categories": [size_class(int(info.get("total_frames", 0)))],
        "tags": ["LeRobot", *TAGS, *(str(about[key]) for key in ("suite", "task") if key in about)],
        "configs": [{"config_name": "default", "data_files": "data/*/*.parquet"}],
    }
    facts = {name: info.get(name) for name in ("codebase_version", "total_episodes", "total_frames", "fps")}
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in facts.items())
    named = f"{about['suite']} {about['task']}" if "suite" in about and "task" in about else path.resolve().name
    text = (path / CARD).read_text() if (path / CARD).is_file() else LEROBOT.format(name=named, rows=rows)
    return Shared("dataset", _files(path), with_front_matter(block, text), {})


def size_class(frames: int) -> str:
    """The Hub's class of a number of rows."""
    return next((name for most, name in SIZES if frames < most), "n>1M")


def _files(folder: Path) -> dict[str, Path]:
    """Every file of a folder but its card and hidden ones, by its name in it."""
    names = {p.relative_to(folder): p for p in sorted(folder.rglob("*")) if p.is_file()}
    seen = {n: p for n, p in names.items() if not any(part.startswith(".") for part in n.parts)}
    return {name.as_posix(): file for name, file in seen.items() if name.as_posix() != CARD}


def _json(file: Path) -> Json:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BadData(f"{file}: is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise BadData(f"{file}: is not an object of JSON")
    return content


USE_DATASET = """
## Use

```
viper pull USER/NAME FOLDER
viper check FOLDER/{file}
```

`suites.<suite>.datasets.<task>` of `params.yaml` takes it with `kind: episodes`.
"""
LEROBOT = """# {name}

Videos of one task as a LeRobot dataset: one camera, no actions and no states.

| fact | value |
|---|---|
{rows}

## Use

`suites.<suite>.datasets.<task>` of `params.yaml` takes the folder with `kind: lerobot`.
"""
