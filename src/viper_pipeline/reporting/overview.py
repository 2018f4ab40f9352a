"""The root page, reports/index.html: tasks, methods and aggregate numbers of every suite, and links to the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from viper_pipeline.core.errors import BadData
from viper_pipeline.reporting.metrics import unit
from viper_pipeline.reporting.page import environment
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
    low: float | None  # 95 % interval of the mean, if there are two seeds or more
    high: float | None


class SuiteOverview(NamedTuple):
    """What the root page says of a suite."""

    name: str
    tasks: list[str]
    paper_tasks: int | None  # how many the paper has
    unit: str  # of the means
    methods: list[MethodLine]
    rewards: dict[str, float]  # video model -> AUROC of held-out expert frames against random ones
    answer: str  # does VIPER work?


def suite_overview(name: str, metrics: Metrics) -> SuiteOverview:
    """From the suite's metrics.json."""
    aggregates = metrics["aggregates"].get(name, {})
    answer = " ".join(whether_it_works(task_rows(metrics)))
    rewards = {model: numbers["auroc_step"] for model, numbers in metrics["rewards"].get(name, {}).items()}
    tasks, paper = list(metrics["baselines"].get(name, {})), PAPER_TASKS.get(name)
    lines = list(_method_lines(aggregates))
    return SuiteOverview(name, tasks, len(paper) if paper else None, unit(name), lines, rewards, answer)


def _method_lines(aggregates: Metrics) -> Iterator[MethodLine]:
    for agent, block in aggregates.items():
        for method, numbers in block["methods"].items():
            mean = numbers["mean"]
            yield MethodLine(
                method, agent, numbers["tasks"], numbers["seeds"], mean["value"], mean["ci95_low"], mean["ci95_high"]
            )


def render_overview(metrics: Mapping[str, Metrics]) -> str:
    """metrics: suite -> its metrics.json -> the page as HTML, suites in the order of their names."""
    suites = [suite_overview(name, metrics[name]) for name in sorted(metrics)]
    return environment().get_template("overview.html.jinja").render(suites=suites)


def read_metrics(root: Path, suites: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The metrics.json of every suite that has one in root/reports. Raises BadData naming a broken file."""
    found = {}
    for suite in suites:
        path = root / "reports" / suite / "metrics.json"
        if path.exists():
            try:
                found[suite] = json.loads(path.read_text())
            except ValueError as error:
                raise BadData(f"{path}: not JSON ({error}); delete it and run `viper run`") from error
    return found
