"""A finished reward for anybody's code: `viper_pipeline.load_reward(path_or_name)`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import gymnasium
import numpy as np

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import md5_of
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import FrameSettings, FrameSpec
from viper_pipeline.rewards.viper import ViperReward
from viper_pipeline.rewards.viper import load_reward as assemble
from viper_pipeline.rewards.wrappers import fitted
from viper_pipeline.training.artifacts import CONFIG, LINEAGE, load_directory

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


PRETRAINED = Path(__file__).parents[1] / "pretrained"


def pretrained() -> tuple[str, ...]:
    """Names of the rewards that come with the package."""
    return tuple(sorted(path.name for path in PRETRAINED.glob("*") if path.is_dir()))


def load_reward(source: str | Path) -> RewardModel:
    """A trained reward, by the name of one that comes with the package, or from a folder.

    Folders are those of `viper export-reward`, and `data/rewards/<suite>/<model>` of a project. Raises BadData if
    there is none, or if a file is missing, damaged, or not the one that the reward was made with.
    """
    if str(source) in pretrained():
        return RewardModel(open_package(PRETRAINED / str(source)))
    if not Path(source).is_dir():
        raise BadData(
            f"{source}: neither a folder nor a reward of the package{did_you_mean(str(source), pretrained())}"
        )
    return RewardModel(open_package(Path(source)))


class RewardModel:
    """A tokenizer, a video model and a scale for each task: p(next frame given the last) as a reward."""

    def __init__(self, package: Package) -> None:
        self.suite, self.lineage = package.suite, package.lineage
        self._tokenizer, self._video_model, self._kept = (
            load_directory(package.folders[part]) for part in ("tokenizer", "video_model", "reward")
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it can pay for."""
        return tuple(self._kept.config["specs"])

    def known(self, task: str | None) -> str:
        """`task`, or the only one there is. Raises BadData for another, or for none where there are several."""
        if task is None and len(self.tasks) == 1:
            return self.tasks[0]
        if task is None:
            raise BadData(f"this reward knows {len(self.tasks)} tasks: say which of {', '.join(self.tasks)}")
        if task not in self.tasks:
            raise BadData(f"this reward knows no task '{task}'{did_you_mean(task, self.tasks)}")
        return task

    def spec(self, task: str | None = None) -> FrameSpec:
        """How the frames were made that the models learned from."""
        return FrameSpec.model_validate(self._kept.config["specs"][self.known(task)])

    def of(self, task: str | None = None) -> ViperReward:
        """The reward of one task, as agents and wrappers use it."""
        return assemble(self._tokenizer, self._video_model, self._kept, self.known(task))

    def score(self, frames: np.ndarray, task: str | None = None) -> np.ndarray:
        """A whole video, uint8 (T, H, W, 3) -> ln p of each frame given the last ones, nats (T,) float32.

        The first frame has nothing before it: its number is no transition's. At stride s, frames s apart are compared.
        """
        reward = self.of(task)
        shown = fitted(frames, reward.spec)
        codes, stride = reward.encode(shown), reward.spec.stride
        nats = np.empty(len(codes), np.float32)
        for first in range(min(stride, len(codes))):
            nats[first::stride] = reward.log_prob(codes[first::stride][None])[0].float().numpy()
        return nats - reward.reconstruction_penalty(shown, codes)

    def environment(self, task: str | None = None, seed: int = 0, pixels: bool = True) -> gymnasium.Env:
        """A new environment of the task, with such frames as the models learned from.

        Its observations are frames, or the simulator's state if not `pixels`; `render()` draws a frame in any case.
        """
        task = self.known(task)
        suite, kept = SUITES.get(self.suite)(), self.spec(task).model_dump()
        fields = getattr(suite, "Frames", FrameSettings).model_fields
        settings = {name: kept[name] for name in fields if name in kept}
        return suite.make(task, seed, suite.frame_spec(task, settings), pixels)
