"""A trained reward as a folder, for use in any program: `viper_pipeline.load_reward(path_or_name)`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import gymnasium
import numpy as np

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.extras import extras_named
from viper_pipeline.core.files import Json, JsonView, md5_of, sha256_of
from viper_pipeline.core.process import load_triton, settle
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.rewards.viper import ViperReward, assemble_reward
from viper_pipeline.rewards.wrappers import fitted
from viper_pipeline.training.artifacts import CONFIG, LINEAGE, load_artifact

MANIFEST, CARD, FORMAT = "manifest.json", "README.md", 1
PARTS = {"tokenizer": "train_tokenizer", "video_model": "train_video_model", "reward": "evaluate_reward"}
"""Folder of each part, and the stage that makes it."""


@dataclass(frozen=True)
class Package:
    """Where the parts of a reward are, and its lineage."""

    suite: str
    folders: Mapping[str, Path]
    lineage: JsonView


def open_package(folder: Path) -> Package:
    """The parts of a reward, checked against the stored hashes. Raises BadData if any is missing or damaged."""
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        return _exported(folder)
    if (folder / CONFIG).is_file() and (folder / LINEAGE).is_file():
        return _in_project(folder)
    if not folder.exists():
        raise BadData(f"{folder}: there is no such folder; in a project, `viper run` makes data/rewards/SUITE/MODEL")
    raise BadData(
        f"{folder}: not a reward; give a folder of `viper export-reward`, or data/rewards/SUITE/MODEL of a project"
    )


def _exported(folder: Path) -> Package:
    manifest = _json(folder / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise BadData(f"{folder / MANIFEST}: format is {manifest.get('format')!r}; this version reads {FORMAT}")
    for name, expected in manifest["files"].items():
        file = folder / name
        if not file.is_file():
            raise BadData(f"{file}: missing; export or copy the folder again")
        if sha256_of(file) != expected:
            raise BadData(f"{file}: damaged: {MANIFEST} has another SHA-256; export or copy the folder again")
    return Package(manifest["suite"], {part: folder / part for part in PARTS}, _json(folder / LINEAGE))


def _in_project(folder: Path) -> Package:
    """A reward in a project; its lineage names the tokenizer and the video model, with their hashes."""
    full, lineage = folder.resolve(), _json(folder / LINEAGE)
    steps = lineage.get("steps", {})
    own = next((p for p in steps if full.as_posix().endswith(f"/{p}") and _stage(steps[p]) == PARTS["reward"]), None)
    if own is None:
        raise BadData(
            f"{folder}: its {LINEAGE} names no reward with this path; the folder was moved, or is not a reward"
        )
    root, folders = full.parents[len(PurePosixPath(own).parts) - 1], {"reward": full}
    for part in ("tokenizer", "video_model"):
        name = next(p for p in steps[own]["parents"] if p in steps and _stage(steps[p]) == PARTS[part])
        if not (root / name).is_dir():
            raise BadData(
                f"{root / name}: missing; {folder} was made with it; `dvc pull` or `viper run` brings it back"
            )
        if md5_of(root / name) != steps[own]["parents"][name]:
            raise BadData(f"{root / name}: not the one that {folder} was made with; `viper run` makes both again")
        folders[part] = root / name
    return Package(steps[own]["stage"].split(".")[0], folders, lineage)


def _stage(step: JsonView) -> str:
    """`train_tokenizer` of `dmc.train_tokenizer.all`; stages of the likelihood ratio count as those of any model."""
    return step["stage"].split(".")[1].removesuffix("_ratio")


def _json(path: Path) -> Json:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise BadData(f"{path}: missing; export or copy the folder again") from error
    except ValueError as error:
        raise BadData(f"{path}: not JSON ({error}); export or copy the folder again") from error


PRETRAINED = Path(__file__).parents[1] / "pretrained"


def pretrained() -> tuple[str, ...]:
    """Names of the rewards that are part of the package."""
    return tuple(sorted(path.name for path in PRETRAINED.glob("*") if path.is_dir()))


def load_reward(source: str | Path) -> RewardModel:
    """A trained reward: one of the package's, by name, or one from a folder.

    source: a name in `pretrained()`, a folder that `viper export-reward` wrote, or `data/rewards/<suite>/<model>` of a
    project. Raises BadData, naming the rewards that there are, for another name; and if a file is missing, damaged,
    or not the one it was made with.
    """
    if str(source) in pretrained():
        return RewardModel(open_package(PRETRAINED / str(source)))
    if Path(source).is_dir():
        return RewardModel(open_package(Path(source)))
    shipped = ", ".join(pretrained())
    if (suite := str(source)) in SUITES.names():
        raise BadData(
            f"{suite}: the package has no reward of this name, only {shipped}. `viper run pipelines/{suite}/dvc.yaml` "
            f"in a project makes one, data/rewards/{suite}/videogpt, which load_reward takes as it is; `viper "
            "export-reward` copies it to any place. `viper train-reward` makes one from videos"
        )
    meant = did_you_mean(str(source), pretrained())
    raise BadData(f"{source}: neither a folder nor one of the package's rewards{meant}")


class RewardModel:
    """A tokenizer, a video model and a scale per task: p(next frame | earlier frames) as a reward."""

    def __init__(self, package: Package) -> None:
        self.suite, self.lineage, self.device = package.suite, package.lineage, "cpu"
        self._tokenizer, self._video_model, self._reward = (
            load_artifact(package.folders[part]) for part in ("tokenizer", "video_model", "reward")
        )

    def to(self, device: str) -> RewardModel:
        """This reward, which from now on computes on `device`, such as `cuda`. Scores always are NumPy arrays."""
        self.device = device
        return self

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it has rewards for."""
        return tuple(self._reward.config["specs"])

    def known(self, task: str | None) -> str:
        """`task`, or the only task if None. Raises BadData for an unknown task, and for None if there are several."""
        if task is None and len(self.tasks) == 1:
            return self.tasks[0]
        if task is None:
            raise BadData(f"this reward has {len(self.tasks)} tasks; give one of {', '.join(self.tasks)}")
        if task not in self.tasks:
            raise BadData(f"this reward has no task '{task}'{did_you_mean(task, self.tasks)}")
        return task

    def spec(self, task: str | None = None) -> FrameSpec:
        """How the frames were made that the models were trained on."""
        return FrameSpec.model_validate(self._reward.config["specs"][self.known(task)])

    def of(self, task: str | None = None) -> ViperReward:
        """The reward of one task, as agents and wrappers use it."""
        reward = assemble_reward(self._tokenizer, self._video_model, self._reward, self.known(task))
        return reward.to(self.device)

    def score(self, frames: np.ndarray, task: str | None = None) -> np.ndarray:
        """A whole video, uint8 (T, H, W, 3) -> ln p of each frame given the earlier ones, in nats (T,) float32.

        The first number is that of a frame without a context and belongs to no transition. At stride s, the context of
        a frame is every s-th frame before it.
        """
        reward = self.of(task)
        fitting = fitted(frames, reward.spec)
        codes, stride = reward.encode(fitting), reward.spec.stride
        nats = np.empty(len(codes), np.float32)
        for first in range(min(stride, len(codes))):
            nats[first::stride] = reward.log_prob(codes[first::stride][None])[0].float().numpy()
        return nats - reward.reconstruction_penalty(fitting, codes)

    def surprise(self, frames: np.ndarray, task: str | None = None) -> np.ndarray:
        """As `score`, but where in the picture: minus ln p of each code of each frame, (T, h, w) float32.

        These are conditional scores in mode joint, too, and do not add up to what `score` says there.
        """
        reward = self.of(task)
        codes, stride = reward.encode(fitted(frames, reward.spec)), reward.spec.stride
        nats = np.empty(codes.shape, np.float32)
        for first in range(min(stride, len(codes))):
            nats[first::stride] = reward.log_prob(codes[first::stride][None], per_code=True)[0].float().numpy()
        return -nats

    def environment(self, task: str | None = None, seed: int = 0, pixels: bool = True) -> gymnasium.Env:
        """A new environment of the task, whose frames are made as those that the models were trained on.

        Its observations are frames, or the simulator's state if not `pixels`; `render()` returns a frame in both cases.
        Raises BadEnvironment if the suite's simulator is not installed, or cannot draw.
        """
        settle()
        load_triton()
        task = self.known(task)
        with extras_named():
            suite, kept = SUITES.get(self.suite)(), self.spec(task).model_dump()
            env, frames = (
                {name: kept[name] for name in kind.model_fields if name in kept} for kind in (suite.Env, suite.Frames)
            )
            return suite.make(task, seed, env, suite.frame_spec(task, env, frames), pixels)
