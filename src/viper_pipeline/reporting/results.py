"""Everything that has been made and can be shown; figures draw what is there and say what is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.training.artifacts import Directory


@dataclass(frozen=True)
class RunResult:
    """One agent run: suite x task x method x agent x seed."""

    suite: str
    task: str
    method: str
    agent: str
    seed: int
    steps: np.ndarray  # agent steps of the evaluations on the way
    returns: np.ndarray  # their mean true returns
    final_returns: tuple[float, ...]  # of fresh episodes at the end; of some kept runs their mean alone
    budget: int  # agent steps of training
    action_repeat: int
    episodes: int = 0  # how many fresh episodes there were, where `final_returns` does not tell
    origin: str = ""  # of a kept run: the commit and the machine that made it

    @property
    def judged(self) -> int:
        """The number of fresh episodes at the end."""
        return self.episodes or len(self.final_returns)


@dataclass(frozen=True)
class Floors:
    """What a task returns to those who have learned nothing, and to its expert videos; None where unknown."""

    suite: str
    task: str
    random: float
    idle: float
    expert: float | None


@dataclass(frozen=True)
class AblationRun:
    """One curve of Fig 9: an agent whose reward had one part changed."""

    axis: str  # beta, model, context or scoring
    value: str
    task: str
    agent: str
    steps: np.ndarray  # agent steps
    returns: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """Artifacts by their places in the grid. Mappings hold what exists, in the order of params.yaml."""

    runs: Sequence[RunResult] = ()
    other_mask: Sequence[RunResult] = ()  # of the same grid, paid by models that saw what today's do not, or vice versa
    floors: Sequence[Floors] = ()
    experts: Mapping[tuple[str, ...], EpisodeFile] = field(default_factory=dict)  # suite, task
    baselines: Mapping[tuple[str, ...], EpisodeFile] = field(default_factory=dict)  # suite, task
    tokenizers: Mapping[tuple[str, ...], Directory] = field(default_factory=dict)  # suite
    video_models: Mapping[tuple[str, ...], Directory] = field(default_factory=dict)  # suite, model
    rewards: Mapping[tuple[str, ...], Directory] = field(default_factory=dict)  # suite, model
    run_configs: Mapping[tuple[str, ...], Mapping[str, Any]] = field(default_factory=dict)  # suite, task, method...
    ablations: Sequence[AblationRun] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # suite -> its block of params.yaml
    paper: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # the same of profiles/paper.yaml

    def runs_of(self, suite: str, task: str, method: str, agents: Sequence[str] = ()) -> list[RunResult]:
        """Seeds of one method on one task, by the first of `agents` that has any; all agents if none are named."""
        mine = [r for r in self.runs if (r.suite, r.task, r.method) == (suite, task, method)]
        for agent in agents or sorted({r.agent for r in mine}):
            if found := [r for r in mine if r.agent == agent]:
                return found
        return []

    @property
    def manipulation(self) -> str:
        """The suite that stands for the paper's RLBench: itself, or the table top where only that has been recorded."""
        suites = {suite for suite, _ in self.experts}
        return "tabletop" if "tabletop" in suites and "rlbench" not in suites else "rlbench"


class KeptRun(Config):
    """One agent run, without its weights."""

    suite: str = Field(description="whose page shows it")
    task: str = Field(description="of the suite")
    method: str = Field(description="who paid the agent")
    agent: str = Field(description="which agent")
    seed: int = Field(description="of the run")
    budget: int = Field(gt=0, description="agent steps of training")
    action_repeat: int = Field(gt=0, description="control steps a frame")
    steps: list[int] = Field(description="agent steps of the evaluations on the way")
    returns: list[float] = Field(description="their mean true returns")
    final_returns: list[float] = Field(min_length=1, description="of fresh episodes at the end, or their mean alone")
    episodes: int = Field(gt=0, description="how many fresh episodes there were")
    params: dict[str, Any] = Field(description="what the run and all that it comes from read in params.yaml")
    axis: str = Field("", description="of an ablation: the part of VIPER that was changed")
    value: str = Field("", description="of an ablation: what it was changed to")
    commit: str = Field(description="of the code")
    machine: str = Field(description="what it ran on")
    seconds: float | None = Field(None, description="how long it took there, where that was noted")

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """Its place in the grid."""
        return self.suite, self.task, self.method, self.agent, self.seed

    @property
    def file(self) -> str:
        """The name of its file."""
        changed = [f"{self.axis}_{self.value}"] if self.axis else []
        return "-".join([*map(str, self.key), *changed]) + ".json"

    def ablation(self) -> AblationRun:
        """As Fig 9 takes runs."""
        return AblationRun(self.axis, self.value, self.task, self.agent, np.array(self.steps), np.array(self.returns))

    def result(self) -> RunResult:
        """As reports take runs."""
        return RunResult(
            *self.key,
            np.array(self.steps),
            np.array(self.returns),
            tuple(self.final_returns),
            self.budget,
            self.action_repeat,
            episodes=self.episodes,
            origin=f"commit {self.commit}, {self.machine}",
        )


def kept_runs(files: Mapping[str, bytes]) -> Iterator[KeptRun]:
    """Those of the JSON files, name -> content. Raises BadData naming the file and the field."""
    for name, content in sorted(files.items()):
        if name.endswith(".json"):
            try:
                yield KeptRun.model_validate_json(content)
            except ValidationError as problem:
                first = problem.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise BadData(f"reports/runs/{name}: {where}: {first['msg']}; mend or delete it") from None
