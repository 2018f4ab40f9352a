"""Run records: results of agent runs without weights, JSON files in reports/runs, shown beside the graph's own runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field, ValidationError

from viper_pipeline.core.config import Config, ParamsBlock, value_at
from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.reporting.results import (
    AblationRun,
    Build,
    Evidence,
    LineageSteps,
    RunKey,
    RunResult,
    RunTable,
    in_columns,
)


class RunRecord(Config):
    """One agent run, without its weights."""

    suite: str = Field(description="whose page shows it")
    task: str = Field(description="of the suite")
    method: str = Field(description="where the agent's reward came from")
    agent: str = Field(description="which agent")
    seed: int = Field(description="of the run")
    budget: int = Field(gt=0, description="agent steps of training")
    action_repeat: int = Field(gt=0, description="environment steps per agent step")
    steps: list[int] = Field(description="agent steps of the evaluations during training")
    returns: list[float] = Field(description="their mean true returns")
    final_returns: list[float] = Field(min_length=1, description="of fresh episodes after training, or their mean")
    episodes: int = Field(gt=0, description="how many fresh episodes there were")
    params: Json = Field(description="what the run and everything it comes from read in params.yaml")
    axis: str = Field("", description="of an ablation: the part of VIPER that was changed")
    value: str = Field("", description="of an ablation: what it was changed to")
    digest: str = Field(
        "", description="of the code and the parameters that made the run and all it comes from; empty: not recorded"
    )
    commit: str = Field(description="of the code")
    machine: str = Field(description="what it ran on")
    seconds: float | None = Field(None, description="how long it took there, where that was noted")

    @property
    def key(self) -> RunKey:
        """Its place in the grid."""
        return RunKey(self.suite, self.task, self.method, self.agent, self.seed)

    @property
    def build(self) -> Build:
        """What made it."""
        return Build(self.digest, self.machine, "" if self.digest else self.commit)

    @property
    def file(self) -> str:
        """The name of its file: its place in the grid, and a digest of what made it, so that no two builds meet.

        Files are read by any name; those of older records have no digest in theirs.
        """
        changed = [f"{self.axis}_{self.value}"] if self.axis else []
        build = hashlib.sha256(f"{self.digest} {self.machine}".encode()).hexdigest()[:8]
        return "-".join([*map(str, self.key), *changed, build]) + ".json"

    def ablation(self) -> AblationRun:
        """The curve that Fig 9 draws."""
        return AblationRun(self.axis, self.value, self.task, self.agent, np.array(self.steps), np.array(self.returns))

    def result(self) -> RunResult:
        """The run as figures and tables take it."""
        return RunResult(
            *self.key,
            np.array(self.steps),
            np.array(self.returns),
            tuple(self.final_returns),
            self.budget,
            self.action_repeat,
            episodes=self.episodes,
            origin=f"commit {self.commit}, {self.machine}",
            build=self.build,
        )


def read_run_records(files: Mapping[str, bytes]) -> Iterator[RunRecord]:
    """The records among JSON files, name -> content. Raises BadData naming the file and the field."""
    for name, content in sorted(files.items()):
        if name.endswith(".json"):
            try:
                yield RunRecord.model_validate_json(content)
            except ValidationError as problem:
                first = problem.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise BadData(f"reports/runs/{name}: {where}: {first['msg']}; correct or delete it") from None


@dataclass(frozen=True)
class MatchedRecords:
    """Run records that belong to today's params.yaml, and why others do not."""

    shown: Sequence[RunResult]
    other_mask: Sequence[RunResult]  # rewards of models that saw other masks than params.yaml has today (Fig 6)
    ablations: Sequence[AblationRun]  # with one part changed (Fig 9)
    left_out: Mapping[str, int]  # why -> how many
    other_settings: Sequence[tuple[str, RunResult]] = ()  # what differs, and the run: tables of their own

    def as_metrics(self) -> Json:
        """Where the shown records come from, those of other parameters, and why others were left out: how many each."""
        shown: dict[str, int] = {}
        for run in self.shown:
            name = f"{run.suite} {run.task} {run.method} {run.agent}: {run.origin}"
            shown[name] = shown.get(name, 0) + 1
        cells: dict[tuple[str, ...], list[RunResult]] = {}
        for what, run in self.other_settings:
            cells.setdefault((run.task, run.agent, run.method, what, run.origin), []).append(run)
        names = ("task", "agent", "method", "differs", "origin")
        others = [
            {
                **dict(zip(names, cell, strict=True)),
                "steps": runs[0].budget,
                "seeds": len(runs),
                "final_return": float(np.mean([run.final_return for run in runs])),
                "per_seed": [run.final_return for run in runs],
            }
            for cell, runs in cells.items()
        ]
        return {"shown": shown, "left_out": dict(self.left_out), "other_settings": others}


def match_records(
    own: Sequence[RunResult], files: Mapping[str, bytes], settings: Mapping[str, ParamsBlock]
) -> MatchedRecords:
    """Records of the settings' suites and tasks.

    A run of `own` hides the record of itself: of the same place in the grid, code, parameters and machine. Records of
    other code or machines are shown beside it, those of other parameters in a table of their own.

    files: name -> content; settings: suite -> its block of params.yaml.
    """
    existing = {(run.key, run.build) for run in own}
    unplaced = {(run.key, run.build.digest) for run in own if run.build.digest and not run.build.machine}
    shown: list[RunResult] = []
    other_mask: list[RunResult] = []
    other_settings: list[tuple[str, RunResult]] = []
    ablations: list[AblationRun] = []
    left_out: dict[str, int] = {}

    def leave_out(reason: str) -> None:
        left_out[reason] = left_out.get(reason, 0) + 1

    for record in read_run_records(files):
        block = settings.get(record.suite)
        if block is None or record.task not in block["tasks"]:
            continue
        names = changed_settings(record, block)
        if names and not record.axis and all(differs_in_mask_only(record, block, name) for name in names):
            other_mask.append(record.result())
        elif names and record.axis:
            leave_out(f"another value of {first_few(names)}")
        elif names:
            other_settings.append((first_few(names), record.result()))
        elif record.axis:
            ablations.append(record.ablation())
        elif (record.key, record.build) in existing or (record.key, record.digest) in unplaced:
            leave_out("the same run is there already")
        else:
            existing.add((record.key, record.build))
            shown.append(record.result())
    return MatchedRecords(shown, other_mask, ablations, left_out, other_settings)


def changed_settings(record: RunRecord, block: ParamsBlock) -> list[str]:
    """Settings of the suite's block that the run, or something it comes from, read with another value than today's."""
    own = f"suites.{record.suite}."
    missing = object()
    return [
        name.removeprefix(own)
        for name, value in record.params.items()
        if name.startswith(own) and value_at(block, name.removeprefix(own), missing) != value
    ]


def differs_in_mask_only(record: RunRecord, block: ParamsBlock, name: str) -> bool:
    """Whether `name` is the block of a dataset, and only its mask differs."""
    if not name.startswith("datasets."):
        return False
    then, today = record.params[f"suites.{record.suite}.{name}"], value_at(block, name) or {}
    return {**then, "mask": None} == {**today, "mask": None}


def evidence_of(
    table: RunTable,
    paper: ParamsBlock,
    records: Mapping[str, bytes],
    steps: LineageSteps | None = None,
    costs: JsonView | None = None,
) -> Evidence:
    """Everything that figures draw.

    paper: the whole of profiles/paper.yaml; records: files of reports/runs by name; steps, costs: what made the table's
    runs, and on which machine.
    """
    own = table.run_results(steps, costs)
    matched = match_records(own, records, table.settings)
    return Evidence(
        **vars(table),
        runs=in_columns([*own, *matched.shown]),
        other_mask=matched.other_mask,
        ablations=matched.ablations,
        baselines=table.baseline_levels(),
        paper=paper.get("suites", {}),
    )


def first_few(names: Sequence[str], most: int = 4) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
