"""Run records: results of agent runs without weights, JSON files in reports/runs, shown beside the graph's own runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field, ValidationError

from viper_pipeline.core.config import Config, ParamsBlock, value_at
from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import Json
from viper_pipeline.reporting.results import AblationRun, Evidence, RunKey, RunResult, RunTable


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
    commit: str = Field(description="of the code")
    machine: str = Field(description="what it ran on")
    seconds: float | None = Field(None, description="how long it took there, where that was noted")

    @property
    def key(self) -> RunKey:
        """Its place in the grid."""
        return RunKey(self.suite, self.task, self.method, self.agent, self.seed)

    @property
    def file(self) -> str:
        """The name of its file."""
        changed = [f"{self.axis}_{self.value}"] if self.axis else []
        return "-".join([*map(str, self.key), *changed]) + ".json"

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

    def as_metrics(self) -> Json:
        """Where the shown records come from, and why others were left out: how many each."""
        shown: dict[str, int] = {}
        for run in self.shown:
            name = f"{run.suite} {run.task} {run.method} {run.agent}: {run.origin}"
            shown[name] = shown.get(name, 0) + 1
        return {"shown": shown, "left_out": dict(self.left_out)}


def match_records(
    own: Sequence[RunResult], files: Mapping[str, bytes], settings: Mapping[str, ParamsBlock]
) -> MatchedRecords:
    """Records of the settings' suites and tasks; a run of `own` hides the record of the same place in the grid.

    files: name -> content; settings: suite -> its block of params.yaml.
    """
    existing = {run.key for run in own}
    shown: list[RunResult] = []
    other_mask: list[RunResult] = []
    ablations: list[AblationRun] = []
    left_out: dict[str, int] = {}
    for record in read_run_records(files):
        block = settings.get(record.suite)
        if block is None or record.task not in block["tasks"]:
            continue
        names = changed_settings(record, block)
        if names and not record.axis and all(differs_in_mask_only(record, block, name) for name in names):
            other_mask.append(record.result())
        elif record.key in existing and not record.axis:
            continue
        elif names:
            reason = f"another value of {first_few(names)}"
            left_out[reason] = left_out.get(reason, 0) + 1
        elif record.axis:
            ablations.append(record.ablation())
        else:
            shown.append(record.result())
    return MatchedRecords(shown, other_mask, ablations, left_out)


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


def evidence_of(table: RunTable, paper: ParamsBlock, records: Mapping[str, bytes]) -> Evidence:
    """Everything that figures draw. paper: the whole of profiles/paper.yaml; records: files of reports/runs by name."""
    own = table.run_results()
    matched = match_records(own, records, table.settings)
    return Evidence(
        **vars(table),
        runs=[*own, *matched.shown],
        other_mask=matched.other_mask,
        ablations=matched.ablations,
        baselines=table.baseline_levels(),
        paper=paper.get("suites", {}),
    )


def first_few(names: Sequence[str], most: int = 4) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
