"""The HTML pages: one per suite, self-contained, with what its numbers say in words, and the overview of all suites."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import jinja2
from pydantic import Field, ValidationError

from viper_pipeline.core.config import Config, ParamsBlock, value_at
from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.data.episode import png
from viper_pipeline.reporting.cards import Card
from viper_pipeline.reporting.claims import claim_rows
from viper_pipeline.reporting.comparisons import OURS, p_text, score_text, verdicts
from viper_pipeline.reporting.metrics import EXPERT_UNIT, TASK_UNITS, unit
from viper_pipeline.reporting.paper_data import PAPER_SEEDS, PAPER_TASKS, paper_methods, paper_score
from viper_pipeline.reporting.paper_figures.ablations import AXIS_TEXTS, ablation_sentences
from viper_pipeline.reporting.paper_figures.frames import StripKey
from viper_pipeline.reporting.paper_figures.index import INDEX
from viper_pipeline.reporting.paper_figures.tables import Difference, differing_settings
from viper_pipeline.reporting.plots import BASELINE_TEXTS, embed, method_of, method_style
from viper_pipeline.reporting.results import LineageSteps, Metrics, RunKey, StageName, TaskKey
from viper_pipeline.reporting.reward_metrics import RIVALS
from viper_pipeline.reporting.summary import (
    RIVAL_NAMES,
    HeldOut,
    answers,
    auroc_text,
    by_stage,
    expert_set_text,
    reward_sentences,
    rough_duration,
    task_rows,
    transfers,
    whether_it_works,
)
from viper_pipeline.rewards.methods import RATIO_MODEL

WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 178, 40, 226, 58, 8
"""Of a box, and from one to the next, in pixels."""


def stage_graph(steps: LineageSteps) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """steps: path -> {stage, parents} -> how many artifacts each stage made, and which stage feeds which.

    A parent that no stage made is a source, under its own path.
    """
    counts: dict[str, int] = {}
    edges: set[tuple[str, str]] = set()
    for step in steps.values():
        name = StageName.parse(step["stage"]).title
        counts[name] = counts.get(name, 0) + 1
        for parent in step.get("parents", {}):
            source = StageName.parse(steps[parent]["stage"]).title if parent in steps else parent
            if source not in counts and parent not in steps:
                counts[source] = 1
            if source != name:
                edges.add((source, name))
    return counts, edges


def depths(names: Mapping[str, int], edges: set[tuple[str, str]]) -> dict[str, int]:
    """The longest way from a source to each stage."""
    found = dict.fromkeys(names, 0)
    for _ in names:  # as many rounds as the longest way can have steps
        deeper = {b: max(found[b], found[a] + 1) for a, b in sorted(edges) if found[a] + 1 > found[b]}
        if not deeper:
            break
        found |= deeper
    return found


def draw_lineage(steps: LineageSteps) -> str:
    """SVG in the colors of the page around it; empty if nothing is known."""
    counts, edges = stage_graph(steps)
    if not counts:
        return ""
    depth, made = depths(counts, edges), {StageName.parse(step["stage"]).title for step in steps.values()}
    columns: dict[int, list[str]] = {}
    for name in counts:
        columns.setdefault(depth[name], []).append(name)
    place = {
        name: (MARGIN + column * ACROSS, MARGIN + row * DOWN)
        for column, names in columns.items()
        for row, name in enumerate(names)
    }
    width = max(x for x, _ in place.values()) + WIDTH + MARGIN
    height = max(y for _, y in place.values()) + HEIGHT + MARGIN
    parts = [f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}"']
    parts[0] += ' role="img" aria-label="lineage of the results">'
    for a, b in sorted(edges):
        (x1, y1), (x2, y2) = place[a], place[b]
        start, end, half = x1 + WIDTH, x2, (x2 - x1 - WIDTH) / 2
        line = f"M{start} {y1 + HEIGHT / 2} C{start + half} {y1 + HEIGHT / 2} {end - half} {y2 + HEIGHT / 2}"
        parts.append(f'<path class="edge" d="{line} {end} {y2 + HEIGHT / 2}"/>')
    for name, (x, y) in place.items():
        suite, _, short = name.partition(".") if name in made else ("source", "", name)
        many = f" x {counts[name]}" if counts[name] > 1 else ""
        parts.append(f'<rect class="box" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>')
        parts.append(f'<text x="{x + 8}" y="{y + 17}">{escape(short[-24:])}{many}</text>')
        parts.append(f'<text class="soft" x="{x + 8}" y="{y + 32}">{escape(suite)}</text>')
    return "".join(parts) + "</svg>"


class Measurement(Config):
    """What a benchmark found, as a table. Its rows have equal keys; numbers are shown as they are."""

    suite: str = Field(description="on whose page it is shown")
    title: str = Field(description="what is compared")
    text: str = Field(description="how it was measured, with which command and machine")
    rows: list[dict[str, str | int | float]] = Field(min_length=1, description="first row first")


def measurements(files: Mapping[str, bytes], suites: Container[str]) -> list[Measurement]:
    """The measurements of these suites among JSON files, name -> content."""
    found = [read_measurement(name, content) for name, content in sorted(files.items()) if name.endswith(".json")]
    return [m for m in found if m.suite in suites]


def read_measurement(name: str, content: bytes) -> Measurement:
    """One file. Raises BadData naming the file and the field."""
    try:
        return Measurement.model_validate_json(content)
    except ValidationError as problem:
        where = ".".join(str(part) for part in problem.errors()[0]["loc"])
        raise BadData(f"reports/measured/{name}: {where}: {problem.errors()[0]['msg']}; correct or delete it") from None


TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Origins:
    """Where results come from; empty if the page is made outside of the pipeline."""

    cards: Sequence[Card] = ()
    steps: LineageSteps = field(default_factory=dict)  # lineage: path -> {stage, params, parents}
    settings: Mapping[str, ParamsBlock] = field(default_factory=dict)  # suite -> its block of params.yaml
    paper: Mapping[str, ParamsBlock] = field(default_factory=dict)  # suite -> its block of the paper's profile

    def differing_settings(self) -> dict[str, list[Difference]]:
        """Suite -> settings that differ from the paper's profile, where that has the suite."""
        return {s: differing_settings(block, self.paper[s]) for s, block in self.settings.items() if s in self.paper}


UNKNOWN_ORIGINS = Origins()


def environment() -> jinja2.Environment:
    """The templates, with the filters that they use."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    found.filters["embed"] = embed
    found.filters["number"] = lambda x: "n/a" if x is None else f"{x:.0f}"
    found.filters["score"] = lambda x, suite: "n/a" if x is None else score_text(suite, x)
    found.filters["interval"] = lambda row, suite: _interval(row, lambda x: score_text(suite, x))
    found.filters["share"] = lambda row: f"{row['value']:.2f}" + _in_brackets(_interval(row, lambda x: f"{x:.2f}"))
    found.filters["auroc"] = lambda row: _auroc(row)
    found.filters["against"] = auroc_text
    found.filters["play"] = lambda kind: RIVAL_NAMES.get(kind, kind.replace("_", " "))
    found.filters["p"] = lambda p: "" if p is None else p_text(p)
    found.filters["duration"] = rough_duration
    found.filters["png"] = png
    found.filters["label"] = lambda name: name if name in BASELINE_TEXTS else method_style(name).label
    found.filters["described"] = lambda name: BASELINE_TEXTS.get(name) or method_style(name).text
    return found


def _interval(row: JsonView, text: Callable[[float], str]) -> str:
    """low to high; nothing where there is no interval."""
    low, high = row.get("ci95_low"), row.get("ci95_high")
    return "" if low is None or high is None else f"{text(low)} to {text(high)}"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _auroc(row: JsonView | None) -> str:
    """An AUROC with its interval; nothing where it was not measured."""
    return "" if row is None else f"{row['value']:.3f}" + _in_brackets(_interval(row, lambda x: f"{x:.3f}"))


def render_page(
    suite: str,
    profile: str,
    metrics: Metrics,
    figures: Mapping[str, bytes],
    episodes: Mapping[RunKey, bytes],
    reconstructions: Mapping[TaskKey, bytes],
    rollouts: Mapping[StripKey, bytes],
    quality: JsonView,
    origins: Origins = UNKNOWN_ORIGINS,
    held_out: HeldOut | None = None,
    measured: Sequence[Measurement] = (),
) -> str:
    """The page as HTML. All pictures are inside it; nothing is loaded from elsewhere.

    episodes: WebP films; reconstructions and rollouts: PNG strips; quality: suite -> task -> kind of frame -> metrics
    of the tokenizer; held_out: tasks that a model was not trained on; measured: what benchmarks found.
    """
    differing = origins.differing_settings()
    index = json.loads(figures.get(INDEX, b"[]"))
    return (
        environment()
        .get_template("suite.html.jinja")
        .render(
            suite=suite,
            profile=profile,
            metrics=metrics,
            figures=figures,
            episodes=episodes,
            reconstructions=reconstructions,
            rollouts=rollouts,
            quality=quality,
            held_out=held_out or {},
            measured=measured,
            compared=list(compared_rewards(metrics)),
            ratio_model=RATIO_MODEL,
            transfers=list(transfers(metrics["rewards"], held_out or {})),
            lead=" ".join(lead_sentences(suite, metrics, origins.settings.get(suite, {}))),
            tasks=list(task_tables(metrics)),
            short=short_table(suite, metrics),
            unit=TASK_UNITS.get(suite, "return"),
            expert_unit=EXPERT_UNIT,
            wanted=metrics.get("methods", {}).get(suite, []),
            missing=list(missing_runs(metrics)),
            answers=answers(
                metrics, {s: len(rows) for s, rows in differing.items()} if origins.paper else None, bool(index)
            ),
            index=index,
            tables={entry["name"]: table_rows(figures, entry["files"]) for entry in index},
            cards=origins.cards,
            lineage=draw_lineage(origins.steps),
            differing=differing,
            stages=by_stage(metrics["costs"]),
        )
    )


def render_ablations(profile: str, metrics: Metrics, figures: Mapping[str, bytes]) -> str:
    """The page of the ablations, reports/ablations/index.html."""
    page = environment().get_template("ablations.html.jinja")
    said = " ".join(ablation_sentences(metrics))
    return page.render(profile=profile, metrics=metrics, figures=figures, axes=AXIS_TEXTS, said=said)


def table_rows(figures: Mapping[str, bytes], names: Sequence[str]) -> list[list[str]]:
    """The rows of a table's CSV file, its header first; none for a figure."""
    texts = [figures[name].decode() for name in names if name.endswith(".csv")]
    return [row for text in texts for row in csv.reader(io.StringIO(text))]


def lead_sentences(suite: str, metrics: Metrics, settings: ParamsBlock) -> Iterator[str]:
    """What the reward is, and what its models have seen; settings: the suite's block of params.yaml, or nothing."""
    modes = {numbers.get("mode") for numbers in metrics["rewards"].get(suite, {}).values()}
    if "joint" in modes:
        yield "The reward of method viper is the sum of ln p over the frames of a window, under a video model."
    elif modes:
        yield "The reward of method viper is ln p(next frame given the frames before it), under a video model."
    of_two = RATIO_MODEL in metrics["rewards"].get(suite, {})
    if of_two:
        yield (
            "That of method viper_ratio is ln p(expert) - ln p(agent), of a model of two classes that was also trained "
            "on random play."
        )
    if settings:
        share = float(value_at(settings, "tokenizer.baseline_share", 0.0) or 0.0)
        zero = value_at(settings, "reward.scale.kind", "range") == "range"
        seen = [f"{100 * share:g} % of the frames that the tokenizer was trained on"] if share else []
        seen += ["the zero of the reward's scale"] if zero else []
        yield f"The video model {'of viper ' if of_two else ''}was trained on expert videos alone" + (
            f"; random and idle play are {' and '.join(seen)}." if seen else "."
        )
    if not metrics["agents"].get(suite):
        yield "No agents were trained on this suite: what follows is about the reward."
    else:
        yield "Results below are true ones, which no agent but those of the true reward was shown."


def compared_rewards(metrics: Metrics) -> Iterator[Json]:
    """Where a suite has the likelihood ratio: its AUROCs beside those of the other models, by task and kind of play."""
    for suite, models in metrics["rewards"].items():
        if RATIO_MODEL not in models or len(models) < 2:
            continue
        measured = [
            (model, name, what)
            for name, what in (("auroc_frame", "frames"), ("auroc_window", "windows"))
            for model, numbers in models.items()
            if any(name in kind for task in numbers["tasks"].values() for kind in task["kinds"].values())
        ]
        rows = []
        for task in models[RATIO_MODEL]["tasks"]:
            for rival in RIVALS:
                found = [models[m]["tasks"].get(task, {}).get("kinds", {}).get(rival, {}) for m, _, _ in measured]
                if any(found):
                    cells = [kind.get(name) for kind, (_, name, _) in zip(found, measured, strict=True)]
                    rows.append({"task": task, "rival": rival, "cells": cells})
        yield {"suite": suite, "columns": [f"{model}, {what}" for model, _, what in measured], "rows": rows}


def wanted_methods(suite: str, metrics: Metrics, found: Iterable[str]) -> list[str]:
    """The suite's `methods`, in the order of params.yaml, then whatever else was run."""
    return list(dict.fromkeys([*metrics.get("methods", {}).get(suite, []), *found]))


def short_table(suite: str, metrics: Metrics) -> list[list[str]]:
    """One row per task and agent, a column for each method and baseline, its header first; no rows without agents."""
    rows = [row for row in task_rows(metrics) if row.suite == suite]
    methods = wanted_methods(suite, metrics, (name for row in rows for name in row.methods if " [" not in name))
    if not rows:
        return []
    paper = [paper_score(suite, row.task, method_style(OURS).label) for row in rows]
    with_paper = any(value is not None for value in paper)
    header = ["task", "agent", *(method_style(m).label for m in methods), *BASELINE_TEXTS]
    table = [header + (["paper's viper"] if with_paper else [])]
    for row, theirs in zip(rows, paper, strict=True):
        cells = [row.task, row.agent]
        for method in methods:
            numbers = row.methods.get(method)
            if numbers is None:
                cells.append("no run")
            else:
                span = _in_brackets(_interval(numbers, lambda x: score_text(suite, x)))
                cells.append(f"{score_text(suite, numbers['final_return'])}{span}, n = {numbers['seeds']}")
        ends = [row.levels.get(f"{kind}_return") for kind in BASELINE_TEXTS]
        cells += ["n/a" if value is None else score_text(suite, value) for value in ends]
        table.append(cells + ([score_text(suite, theirs) if theirs is not None else ""] if with_paper else []))
    return table


def task_tables(metrics: Metrics) -> Iterator[Json]:
    """One table per task: every method and baseline, ours and the paper's, and what they say in words."""
    for suite, tasks in metrics["baselines"].items():
        wanted = metrics.get("methods", {}).get(suite, [])
        for task, levels in tasks.items():
            agents = metrics["agents"].get(suite, {}).get(task, {})
            for agent, methods in agents.items() or [("", {})]:
                rows = [
                    {"name": name, "paper": paper_score(suite, task, method_style(name).label), **methods.get(name, {})}
                    for name in wanted_methods(suite, metrics, methods)
                ]
                said = list(verdicts(suite, methods, levels, wanted)) if methods or wanted else []
                yield {
                    "suite": suite,
                    "task": task,
                    "agent": agent,
                    "rows": rows,
                    "baselines": {kind: levels.get(f"{kind}_return") for kind in BASELINE_TEXTS},
                    "verdicts": [*expert_set_text(suite, task, levels), *said],
                }


def missing_runs(metrics: Metrics) -> Iterator[str]:
    """Methods of the suite, or of the paper on a task, without a run here, and those with fewer seeds than there."""
    for suite, tasks in metrics["baselines"].items():
        for task in tasks:
            agents = metrics["agents"].get(suite, {}).get(task, {})
            found = {row.get("method", column) for methods in agents.values() for column, row in methods.items()}
            for method in wanted_methods(suite, metrics, map(method_of, paper_methods(suite, task))):
                if method not in found:
                    yield f"{suite} {task}: no run of method {method_style(method).label}"
            for agent, methods in agents.items():
                for column, values in methods.items():
                    if suite in PAPER_TASKS and values["seeds"] < PAPER_SEEDS:
                        count = f"{values['seeds']} of the paper's {PAPER_SEEDS} seeds"
                        yield f"{suite} {task}: {count} of {method_style(column).label}, {agent}"


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
    """What the root page says of a suite."""

    name: str
    tasks: list[str]
    paper_tasks: int | None  # how many the paper has
    unit: str  # of the means
    methods: list[MethodLine]
    missing: list[str]  # methods of the suite without any run
    rewards: list[str]  # sentences on the AUROCs of its rewards
    answer: str  # does VIPER work?


def suite_overview(name: str, metrics: Metrics) -> SuiteOverview:
    """From the suite's metrics.json."""
    aggregates = metrics["aggregates"].get(name, {})
    answer = " ".join(whether_it_works(task_rows(metrics)))
    models = metrics["rewards"].get(name, {})
    rewards = [text for model, numbers in models.items() for text in reward_sentences(name, model, numbers)]
    tasks, paper = list(metrics["baselines"].get(name, {})), PAPER_TASKS.get(name)
    lines = list(_method_lines(aggregates))
    run = {line.method.partition(" [")[0] for line in lines}
    missing = [method for method in metrics.get("methods", {}).get(name, []) if method not in run]
    return SuiteOverview(name, tasks, len(paper) if paper else None, unit(name), lines, missing, rewards, answer)


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


def render_overview(metrics: Mapping[str, Metrics]) -> str:
    """metrics: suite -> its metrics.json -> the page as HTML, suites in the order of their names."""
    suites = [suite_overview(name, metrics[name]) for name in sorted(metrics)]
    claims = [row for row in claim_rows(metrics) if not row.where.startswith("Fig 9")]
    return environment().get_template("overview.html.jinja").render(suites=suites, claims=claims)


def read_metrics(root: Path, suites: Iterable[str]) -> dict[str, Json]:
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
