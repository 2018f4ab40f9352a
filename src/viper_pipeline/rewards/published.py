"""A finished reward for anybody's code: `viper_pipeline.load_reward(path_or_name)`."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np

from viper_pipeline.errors import BadData
from viper_pipeline.plugs import did_you_mean
from viper_pipeline.rewards.live import fitted
from viper_pipeline.rewards.load import load_reward as assemble
from viper_pipeline.rewards.package import Package, open_package
from viper_pipeline.rewards.viper import ViperReward
from viper_pipeline.suites import SUITES
from viper_pipeline.suites.frames import FrameSettings, FrameSpec
from viper_pipeline.training.artifacts import load_directory

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
        return nats - reward.doubt(shown, codes)

    def environment(self, task: str | None = None, seed: int = 0, pixels: bool = True) -> gymnasium.Env:
        """A new environment of the task, with such frames as the models learned from.

        Its observations are frames, or the simulator's state if not `pixels`; `render()` draws a frame in any case.
        """
        task = self.known(task)
        suite, kept = SUITES.get(self.suite)(), self.spec(task).model_dump()
        fields = getattr(suite, "Frames", FrameSettings).model_fields
        settings = {name: kept[name] for name in fields if name in kept}
        return suite.make(task, seed, suite.frame_spec(task, settings), pixels)
