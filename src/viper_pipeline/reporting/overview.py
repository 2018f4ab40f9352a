"""The root page: every suite's results in one chart, what its rewards know, and the paper's claims."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.reporting.charts import draw_dots, embedded, result_dots
from viper_pipeline.reporting.claims import claim_rows
from viper_pipeline.reporting.metrics import AVERAGED, suite_of, unit, widest
from viper_pipeline.reporting.page import environment, title_of
from viper_pipeline.reporting.paper_data import PAPER_TASKS
from viper_pipeline.reporting.results import Metrics
from viper_pipeline.reporting.summary import task_rows, whether_it_works


class MethodLine(NamedTuple):
    """One method with one agent, over the tasks of a suite that have runs."""

    method: str
    agent: str
    tasks: int
    seeds: int
    mean: float
    low: float | None  # 95 % interval of the mean, if there are seeds for one
    high: float | None
    iqm: float


class SuiteOverview(NamedTuple):
    """What the root page says of a suite's report."""

    name: str  # the folder of reports/
    title: str
    tasks: list[str]
    paper_tasks: int | None  # how many the paper has
    unit: str  # of the means
    methods: list[MethodLine]
    missing: list[str]  # methods of the suite without any run
    answer: str  # does VIPER work?


def suite_overview(name: str, metrics: Metrics) -> SuiteOverview:
    """From its metrics.json."""
    suite = suite_of(name, metrics)
    title = title_of(suite) + (f", profile {metrics['profile']}" if suite != name else "")
    aggregates = metrics["aggregates"].get(suite, {})
    answer = " ".join(whether_it_works(task_rows(metrics)))
    tasks, paper = list(metrics["baselines"].get(suite, {})), PAPER_TASKS.get(suite)
    lines = list(_method_lines(aggregates))
    run = {line.method.partition(" [")[0] for line in lines}
    missing = [method for method in metrics.get("methods", {}).get(suite, []) if method not in run]
    many = len(paper) if paper else None
    return SuiteOverview(name, title, tasks, many, unit(suite), lines, missing, answer)


def _method_lines(aggregates: Metrics) -> Iterator[MethodLine]:
    for agent, block in aggregates.items():
        for method, numbers in block["methods"].items():
            mean, iqm = numbers["mean"], numbers["iqm"]
            yield MethodLine(
                method,
                agent,
                numbers["tasks"],
                numbers["seeds"],
                mean["value"],
                mean["ci95_low"],
                mean["ci95_high"],
                iqm["value"],
            )


class RewardLine(NamedTuple):
    """The AUROCs of one reward, of frames or of windows: on the hardest task and on the easiest."""

    report: str
    model: str
    what: str
    tasks: int
    lowest: JsonView
    lowest_on: str
    highest: JsonView
    highest_on: str
    unusable: list[str]  # tasks on which experts are not ranked above play


def reward_lines(metrics: Mapping[str, Metrics]) -> Iterator[RewardLine]:
    """metrics: report -> its metrics.json."""
    for name, numbers in metrics.items():
        for model, reward in numbers["rewards"].get(suite_of(name, numbers), {}).items():
            tasks = reward["tasks"]
            unusable = [task for task, m in tasks.items() if not m.get("gate", {"usable": True})["usable"]]
            for measure, what in zip(AVERAGED, ("single frames", "windows"), strict=True):
                found = {task: m[measure] for task, m in tasks.items() if m.get(measure)}
                if found:
                    low, high = (end(found, key=lambda task: found[task]["value"]) for end in (min, max))
                    yield RewardLine(name, model, what, len(found), found[low], low, found[high], high, unusable)


def render_overview(metrics: Mapping[str, Metrics], pages: Sequence[str] | None = None) -> str:
    """metrics: report -> its metrics.json -> the page as HTML, reports in the order of their names.

    pages: the folders of reports/ that have a page; those of `metrics` and the ablations if it is not said.
    """
    metrics = {name: metrics[name] for name in sorted(metrics)}
    dots = result_dots(metrics)
    return (
        environment()
        .get_template("overview.html.jinja")
        .render(
            root="",
            here="overview",
            pages=pages if pages is not None else [*metrics, "ablations"],
            suites=[suite_overview(name, numbers) for name, numbers in metrics.items()],
            rewards=list(reward_lines(metrics)),
            claims=[row for row in claim_rows(widest(metrics)) if not row.where.startswith("Fig 9")],
            results=embedded(draw_dots(dots, "results")) if dots else None,
        )
    )


def read_metrics(root: Path, reports: Iterable[str]) -> dict[str, Json]:
    """The metrics.json of every such folder of root/reports that has one. Raises BadData naming a broken file."""
    found = {}
    for name in reports:
        path = root / "reports" / name / "metrics.json"
        if path.exists():
            try:
                found[name] = json.loads(path.read_text())
            except ValueError as error:
                raise BadData(f"{path}: not JSON ({error}); delete it and run `viper run`") from error
    return found
