"""Experts: who makes the videos. An algorithm of `experts.<task>` is one class here, one line in EXPERTS."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import gymnasium
from pydantic import Field

from viper_pipeline.core.config import Config, ParamsBlock
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.core.registry import Registry
from viper_pipeline.data.episode import Kind
from viper_pipeline.envs.base import Feature, FrameSpec, Settings, Suite
from viper_pipeline.experts.policies import Policy
from viper_pipeline.training.progress import Progress, silent

if TYPE_CHECKING:  # recording processes need no torch
    from viper_pipeline.training.artifacts import ModelArtifact

EXPERTS = Registry(
    "expert algorithm",
    {
        "sac": "viper_pipeline.experts.sac:SACExpert",
        "ppo": "viper_pipeline.experts.ppo:PPOExpert",
        "script": "viper_pipeline.experts.scripts:ScriptExpert",
        "rally": "viper_pipeline.experts.rally:RallyExpert",
        "search": "viper_pipeline.experts.search:SearchExpert",
        "planner": "viper_pipeline.experts.scripts:PlannerExpert",
        "file": "viper_pipeline.experts.from_file:FileExpert",
    },
)
"""Each target is a subclass of Expert."""

DEFAULT_ALGORITHM = "sac"
"""The algorithm of a recipe that names none."""
EXPERT_FORMAT = "viper expert 1"
LACKING: dict[Feature, str] = {
    "training": "experts of this suite are not learned",
    "emulator": "the suite has no emulator that plays ahead",
    "scripts": "no scripts are written for this suite",
    "planner": "there is no planner",
}
"""What to say where a suite lacks what an algorithm needs."""


class ExpertConfig(Config):
    """One entry of the block `experts`: an algorithm and its settings."""

    algorithm: str = Field(DEFAULT_ALGORITHM, description="a name in EXPERTS: sac, ppo, script, search, planner")

    @property
    def training_steps(self) -> int:
        """Agent steps of training at most; 0 for experts that do not learn."""
        return 0

    @property
    def imagined(self) -> float:
        """Emulator steps played ahead per agent step while recording."""
        return 0.0


class Expert(ABC):
    """One way to act well in a task. Objects hold settings only; what was learned is in a ModelArtifact."""

    Config: ClassVar[type[ExpertConfig]]
    needs: ClassVar[frozenset[Feature]]
    """What the suite must offer (`Suite.features`)."""
    actions: ClassVar[Literal["any", "continuous", "discrete"]] = "any"
    kinds: ClassVar[tuple[Kind, ...]] = ("expert", "noisy")
    """Kinds of episodes that it can record."""

    def __init__(self, suite: Suite, task: str, config: Any) -> None:
        """config: of the class's own `Config`."""
        self.suite, self.task, self.config = suite, task, config

    def problem(self) -> str | None:
        """Why this algorithm cannot make an expert of this task, in one line; None if it can."""
        if self.actions != "any" and self.suite.discrete != (self.actions == "discrete"):
            kind = "discrete" if self.suite.discrete else "continuous"
            return f"needs {self.actions} actions, and those of this suite are {kind}"
        lacking = sorted(self.needs - self.suite.features)
        return LACKING[lacking[0]] if lacking else None

    def train(
        self,
        make_env: Callable[[int], gymnasium.Env],
        seed: int,
        scratch: Path | None = None,
        progress: Progress = silent,
    ) -> ModelArtifact | None:
        """Learn, and return what `policy` needs; None if there is nothing to learn.

        make_env: seed -> an environment whose observation is the state (D,), under the suite's rules of play.
        scratch: folder for checkpoints; called again after a kill, training goes on from there.
        """
        return None

    @abstractmethod
    def policy(self, learned: ModelArtifact) -> Policy:
        """What acts: (states (E, D), deterministic, rng) -> actions (E, A). learned: what `train` returned."""

    def recording_env(self, env: Settings, frames: FrameSpec) -> Callable[[int], gymnasium.Env]:
        """seed -> an environment with pixels to record in; it must pickle."""
        return partial(self.suite.make, self.task, env=env, frames=frames)


def make_expert(suite: Suite, task: str, recipe: ParamsBlock) -> Expert:
    """The expert of one entry of `experts`. Raises BadParams if the suite or task cannot have it."""
    kind: type[Expert] = EXPERTS.get(recipe.get("algorithm", DEFAULT_ALGORITHM))
    expert = kind(suite, task, kind.Config.model_validate(dict(recipe)))
    if problem := expert.problem():
        raise BadParams(f"suites.{suite.name}.experts.{task}.algorithm: {problem}; use another algorithm")
    return expert


def trained(
    expert: Expert,
    make_env: Callable[[int], gymnasium.Env],
    seed: int,
    scratch: Path | None = None,
    progress: Progress = silent,
) -> ModelArtifact:
    """Train if there is anything to learn. The result says whose it is, so that `load_expert` can read it."""
    from viper_pipeline.training.artifacts import ModelArtifact

    about = {
        "format": EXPERT_FORMAT,
        "suite": expert.suite.name,
        "task": expert.task,
        "recipe": expert.config.model_dump(mode="json"),
    }
    learned = expert.train(make_env, seed, scratch, progress)
    return ModelArtifact(about | learned.config, learned.tensors, learned.files) if learned else ModelArtifact(about)


def load_expert(artifact: ModelArtifact, suite: Suite) -> tuple[Expert, Policy]:
    """An expert and its policy from what `trained` returned. Raises BadData if it is not one, or damaged."""
    about = artifact.config
    if about.get("format") != EXPERT_FORMAT:
        raise BadData(f"config.json: format {about.get('format')!r} is not '{EXPERT_FORMAT}'; train the expert again")
    try:
        expert = make_expert(suite, about["task"], about["recipe"])
        return expert, expert.policy(artifact)
    except KeyError as error:
        raise BadData(f"weights.safetensors or config.json: {error} is missing; train the expert again") from error


def expert_algorithms(suite_config: ParamsBlock) -> set[str]:
    """The algorithms that a suite's block of params.yaml uses: names in EXPERTS."""
    return {recipe.get("algorithm", DEFAULT_ALGORITHM) for recipe in suite_config["experts"].values()}
