"""The typed table of what a report reads, and what is taken from it: runs, baselines, curves of ablations."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.files import JsonView
from viper_pipeline.data.hdf5 import EpisodeFile, EpisodeGroup
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
    "probes": str,
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
    probes: Mapping[str, JsonView] = field(default_factory=dict)  # suite -> what `probe_tokenizer` found
    settings: Mapping[str, ParamsBlock] = field(default_factory=dict)  # suite -> its block of params.yaml

    @classmethod
    def of(cls, artifacts: Mapping[Row, object]) -> RunTable:
        """The table of these rows."""
        columns: dict[str, dict[Key, Any]] = {kind: {} for kind in KEY_TYPES}
        for (kind, key), artifact in artifacts.items():
            columns[kind][key] = artifact
        return cls(**columns)  # type: ignore[arg-type]

    def run_results(self, steps: LineageSteps | None = None, costs: JsonView | None = None) -> list[RunResult]:
        """Curve and final returns of every run.

        steps: lineage, which says what code and parameters made a run; costs: node -> cost, which says on what machine.
        A run out of DVC's cache has no cost: it counts to its siblings' machine if they had only one, and is marked.
        """
        paths = {step["stage"]: path for path, step in (steps or {}).items()}
        found = []
        for key, run in self.agents.items():
            node = f"{key.suite}.train_agent_{key.method}.{key.task}-{key.agent}-{key.seed}"
            digest = run_digest(paths[node], steps or {}) if node in paths else ""
            machine = str((costs or {}).get(node, {}).get("machine", ""))
            found.append(replace(run_result(key, run), build=Build(digest, machine), machine_noted=bool(machine)))
        machines: dict[str, set[str]] = {}
        for result in found:
            if result.machine_noted:
                machines.setdefault(result.build.digest, set()).add(result.build.machine)
        return [
            replace(r, build=Build(r.build.digest, min(known)))
            if not r.machine_noted and len(known := machines.get(r.build.digest, set())) == 1
            else r
            for r in found
        ]

    def baseline_levels(self) -> list[Baselines]:
        """Baselines of every task that has an expert set and baseline episodes."""
        return [
            baselines(key, experts, self.baseline_episodes[key])
            for key, experts in self.experts.items()
            if key in self.baseline_episodes
        ]


SUCCESS_SUITES = ("rlbench", "tabletop")
"""Suites whose result is whether an episode succeeded. Their reward is 1 at every step from success on, so that its sum
says when the task was done, not how often."""


class Build(NamedTuple):
    """What made a run, besides its place in the grid: runs of one build are seeds of one cell, all others are not."""

    digest: str = ""  # of code and parameters, see `run_digest`; empty if it is not known
    machine: str = ""  # its kind
    commit: str = ""  # of a record without a digest


UNKNOWN_BUILD = Build()


def run_digest(path: str, steps: LineageSteps) -> str:
    """A digest of the code and the parameters that made the run at `path` and all that it comes from.

    steps: lineage. Equal for all seeds of a cell: places in the grid count for what the run comes from, not for itself.
    Settings of the machine (`runtime`) do not count. Empty if the lineage says nothing of the run's code.
    """
    if not steps.get(path, {}).get("code"):
        return ""
    todo, seen = [path], {path}
    made = []
    while todo:
        name = todo.pop()
        step = steps.get(name, {})
        stage = str(step.get("stage", name))
        read = {k: v for k, v in step.get("params", {}).items() if not k.startswith("runtime")}
        made.append([StageName.parse(stage).title if name == path else stage, step.get("code", ""), read])
        new = [parent for parent in step.get("parents", {}) if parent not in seen]
        seen |= set(new)
        todo += new
    whole = json.dumps(sorted(made, key=lambda item: (item[0], item[1])), sort_keys=True, default=str)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RunResult:
    """Curve and final returns of one agent run. In suites of `SUCCESS_SUITES`, success stands for return."""

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
    build: Build = UNKNOWN_BUILD
    machine_noted: bool = True  # no: the machine in `build` is its siblings', or not known
    other: str = ""  # what tells it from the runs of the same method that stand in the main column; empty for those

    @property
    def column(self) -> str:
        """Its column in tables, its line in figures: the method, and what tells it from others of that method."""
        return f"{self.method} [{self.other}]" if self.other else self.method

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
    column, final = "eval_return", config["final_returns"]
    if key.suite in SUCCESS_SUITES:
        column = "eval_success" if "eval_success" in table else column
        final = config.get("final_successes") or [float(value > 0) for value in final]
    return RunResult(
        *key,
        table["step"].to_numpy(),
        table[column].to_numpy(),
        tuple(map(float, final)),
        config["run"]["steps"],
        config["action_repeat"],
    )


def in_columns(runs: Sequence[RunResult]) -> list[RunResult]:
    """The runs, those of one cell (suite, task, agent, method) told apart by what made them.

    The main column has the graph's own runs, or if there are none, the build with most seeds; other builds are named.
    """
    cells: dict[tuple[str, str, str, str], dict[Build, list[RunResult]]] = {}
    for run in runs:
        cell = cells.setdefault((run.suite, run.task, run.agent, run.method), {})
        cell.setdefault(run.build, []).append(run)
    found: dict[int, RunResult] = {}
    for builds in cells.values():
        ranked = sorted(builds.items(), key=lambda item: (all(r.origin for r in item[1]), -len(item[1])))
        names: set[str] = set()
        for number, (_, mine) in enumerate(ranked):
            origin = mine[0].origin or f"this graph, machine {mine[0].build.machine or 'not recorded'}"
            name = origin if number else ""
            while name and name in names:
                name = f"{origin}, {len(names)}"
            names.add(name)
            found |= {id(run): replace(run, other=name) for run in mine}
    return [found[id(run)] for run in runs]


@dataclass(frozen=True)
class Baselines:
    """Mean returns of random and idle behavior and of the expert videos on a task; None where unknown."""

    suite: str
    task: str
    random: float
    idle: float
    expert: float | None
    episodes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # kind -> return of each episode


def baselines(key: TaskKey, experts: EpisodeFile, episodes: EpisodeFile) -> Baselines:
    """Means over episodes."""
    everything = episodes.group("episodes")
    kinds, values = np.array(everything.kinds), scores_of(key.suite, everything)
    shown = np.concatenate([scores_of(key.suite, experts.group(name)) for name in ("train", "held_out", "test")])
    known = shown[~np.isnan(shown)]
    of_kind = {kind: values[kinds == kind] for kind in ("random", "idle")}
    return Baselines(
        *key,
        random=float(of_kind["random"].mean()),
        idle=float(of_kind["idle"].mean()),
        expert=float(known.mean()) if len(known) else None,
        episodes={kind: tuple(map(float, found)) for kind, found in of_kind.items()},
    )


def scores_of(suite: str, group: EpisodeGroup) -> np.ndarray:
    """`score_of` each episode, (N,)."""
    ends = [group.rewards[end - 1] for end in group.starts[1:]]
    return np.array([score_of(suite, ret, last) for ret, last in zip(group.returns, ends, strict=True)])


def score_of(suite: str, ret: float, last: float) -> float:
    """The true return of an episode whose last reward is given; NaN where unknown.

    In suites of `SUCCESS_SUITES` 1 or 0 for success, from which on every reward is positive.
    """
    if suite not in SUCCESS_SUITES:
        return float(ret)
    return math.nan if math.isnan(last) else float(last > 0)


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
        mine = [r for r in self.runs if (r.suite, r.task, r.method, r.other) == (suite, task, method, "")]
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
