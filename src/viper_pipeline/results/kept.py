"""Runs whose results are kept in reports/runs: small enough for Git, when their weights and models are elsewhere.

`viper keep` writes them; a report draws them beside the runs of its own graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from viper_pipeline.configs import Config
from viper_pipeline.errors import BadData
from viper_pipeline.results.evidence import AblationRun
from viper_pipeline.results.inputs import RunResult


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
