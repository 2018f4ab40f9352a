"""The typed table of what a report reads, and what is taken from it: runs, baselines, curves of ablations."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.files import JsonView
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.training.artifacts import ModelArtifact

Metrics: TypeAlias = JsonView
"""The content of a metrics.json, or a part of it."""
LineageSteps: TypeAlias = Mapping[str, JsonView]
"""Lineage: path of an artifact -> {stage, params, parents}."""


class TaskKey(NamedTuple):
    """Where an expert set or the baseline episodes of a task stand in the grid."""

    suite: str
    task: str


class ModelKey(NamedTuple):
    """Where a video model, or the reward made of it, stands in the grid."""

    suite: str
    model: str


class RunKey(NamedTuple):
    """Where an agent's run stands in the grid."""

    suite: str
    task: str
    method: str
    agent: str
    seed: int


Key: TypeAlias = str | TaskKey | ModelKey | RunKey
"""A plain string is the name of a suite."""


class Row(NamedTuple):
    """One line of the table: which kind of artifact (a field of RunTable), and its place in the grid."""

    kind: str
    key: Key


KEY_TYPES: Mapping[str, type] = {
    "agents": RunKey,
    "experts": TaskKey,
    "baseline_episodes": TaskKey,
    "rewards": ModelKey,
    "tokenizers": str,
    "video_models": ModelKey,
    "settings": str,
}
"""Kind of artifact -> type of its key."""


def row(kind: str, parts: Sequence[str]) -> Row:
    """A row from the texts of its key; seeds become numbers."""
    kind_of_key = KEY_TYPES[kind]
    if kind_of_key is str:
        (suite,) = parts
        return Row(kind, suite)
    if kind_of_key is RunKey:
        suite, task, method, agent, seed = parts
        return Row(kind, RunKey(suite, task, method, agent, int(seed)))
    return Row(kind, kind_of_key(*parts))


@dataclass(frozen=True)
class RunTable:
    """The artifacts that a report reads, by kind and by place in the grid, in the order of params.yaml."""

    agents: Mapping[RunKey, ModelArtifact] = field(default_factory=dict)
    experts: Mapping[TaskKey, EpisodeFile] = field(default_factory=dict)
    baseline_episodes: Mapping[TaskKey, EpisodeFile] = field(default_factory=dict)
    rewards: Mapping[ModelKey, ModelArtifact] = field(default_factory=dict)
    tokenizers: Mapping[str, ModelArtifact] = field(default_factory=dict)  # by suite
    video_models: Mapping[ModelKey, ModelArtifact] = field(default_factory=dict)
    settings: Mapping[str, ParamsBlock] = field(default_factory=dict)  # suite -> its block of params.yaml

    @classmethod
    def of(cls, artifacts: Mapping[Row, object]) -> RunTable:
        """The table of these rows."""
        columns: dict[str, dict[Key, Any]] = {kind: {} for kind in KEY_TYPES}
        for (kind, key), artifact in artifacts.items():
            columns[kind][key] = artifact
        return cls(**columns)  # type: ignore[arg-type]

    def run_results(self) -> list[RunResult]:
        """Curve and final returns of every run."""
        return [run_result(key, run) for key, run in self.agents.items()]

    def baseline_levels(self) -> list[Baselines]:
        """Baselines of every task that has an expert set and baseline episodes."""
        return [
            baselines(key, experts, self.baseline_episodes[key])
            for key, experts in self.experts.items()
            if key in self.baseline_episodes
        ]


@dataclass(frozen=True)
class RunResult:
    """Curve and final returns of one agent run."""

    suite: str
    task: str
    method: str
    agent: str
    seed: int
    steps: np.ndarray  # (S,) agent steps of the evaluations during training
    returns: np.ndarray  # (S,) their mean true returns
    final_returns: tuple[float, ...]  # of fresh episodes after training; of some run records their mean alone
    budget: int  # agent steps of training
    action_repeat: int  # environment steps per agent step
    episodes: int = 0  # how many fresh episodes there were, where `final_returns` does not say
    origin: str = ""  # of a run record: the commit and the machine that made it

    @property
    def key(self) -> RunKey:
        """Its place in the grid."""
        return RunKey(self.suite, self.task, self.method, self.agent, self.seed)

    @property
    def final_episodes(self) -> int:
        """The number of fresh episodes after training."""
        return self.episodes or len(self.final_returns)

    @property
    def final_return(self) -> float:
        """Mean of `final_returns`."""
        return float(np.mean(self.final_returns))


def run_result(key: RunKey, artifact: ModelArtifact) -> RunResult:
    """Curve and final returns, from the agent's folder."""
    import pandas as pd

    table, config = pd.read_csv(io.BytesIO(artifact.files["curve.csv"])), artifact.config
    return RunResult(
        *key,
        table["step"].to_numpy(),
        table["eval_return"].to_numpy(),
        tuple(config["final_returns"]),
        config["run"]["steps"],
        config["action_repeat"],
    )


@dataclass(frozen=True)
class Baselines:
    """Mean returns of random and idle behavior and of the expert videos on a task; None where unknown."""

    suite: str
    task: str
    random: float
    idle: float
    expert: float | None


def baselines(key: TaskKey, experts: EpisodeFile, episodes: EpisodeFile) -> Baselines:
    """Means over episodes."""
    everything = episodes.group("episodes")
    kinds = np.array(everything.kinds)
    shown = np.concatenate([experts.group("train").returns, experts.group("held_out").returns])
    known = shown[~np.isnan(shown)]
    return Baselines(
        *key,
        random=float(everything.returns[kinds == "random"].mean()),
        idle=float(everything.returns[kinds == "idle"].mean()),
        expert=float(known.mean()) if len(known) else None,
    )


@dataclass(frozen=True)
class AblationRun:
    """One curve of Fig 9: an agent whose reward had one part changed."""

    axis: str  # beta, model, context or scoring
    value: str
    task: str
    agent: str
    steps: np.ndarray  # (S,) agent steps
    returns: np.ndarray  # (S,) mean true returns


@dataclass(frozen=True)
class Evidence(RunTable):
    """Everything that figures draw: the table, and what was computed from it and from run records."""

    runs: Sequence[RunResult] = ()
    other_mask: Sequence[RunResult] = ()  # rewards of models that saw other masks than params.yaml has today (Fig 6)
    baselines: Sequence[Baselines] = ()
    ablations: Sequence[AblationRun] = ()
    paper: Mapping[str, ParamsBlock] = field(default_factory=dict)  # suite -> its block of profiles/paper.yaml

    def runs_of(self, suite: str, task: str, method: str, agents: Sequence[str] = ()) -> list[RunResult]:
        """Seeds of one method on one task, by the first of `agents` that has any; by any agent if none are named."""
        mine = [r for r in self.runs if (r.suite, r.task, r.method) == (suite, task, method)]
        for agent in agents or sorted({r.agent for r in mine}):
            if found := [r for r in mine if r.agent == agent]:
                return found
        return []

    @property
    def manipulation(self) -> str:
        """The suite shown where the paper has RLBench: rlbench, or tabletop where only that has expert videos."""
        suites = {suite for suite, _ in self.experts}
        return "tabletop" if "tabletop" in suites and "rlbench" not in suites else "rlbench"


class StageName(NamedTuple):
    """The parts of a node's name: `dmc.train_tokenizer.all`."""

    suite: str
    stage: str
    item: str

    @classmethod
    def parse(cls, node: str) -> StageName:
        """Items may have dots; a name without dots is a stage of no suite."""
        parts = node.split(".", 2)
        return cls(*parts, *[""] * (3 - len(parts))) if len(parts) > 1 else cls("", node, "")

    @property
    def title(self) -> str:
        """`dmc.train_tokenizer`."""
        return f"{self.suite}.{self.stage}" if self.suite else self.stage
