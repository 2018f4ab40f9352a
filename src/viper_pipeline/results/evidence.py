"""Everything that has been made and can be shown; figures draw what is there and say what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from viper_pipeline.results.inputs import Floors, RunResult
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.videos.store import EpisodeFile


@dataclass(frozen=True)
class AblationRun:
    """One curve of Fig 9: an agent whose reward had one part changed."""

    axis: str  # beta, model, context or way
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
