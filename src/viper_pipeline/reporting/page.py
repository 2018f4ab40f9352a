"""The HTML page of a suite and that of the ablations: charts, films, tables, and what the numbers say in words."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import jinja2
from pydantic import Field, ValidationError

from viper_pipeline.core.config import Config, ParamsBlock, value_at
from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.data.episode import png
from viper_pipeline.reporting.cards import Card
from viper_pipeline.reporting.charts import ablation_dots, draw_curves, draw_dots, embedded, result_dots, reward_dots
from viper_pipeline.reporting.comparisons import OURS, p_text, remarks, score_text, verdict_rows
from viper_pipeline.reporting.films import Film
from viper_pipeline.reporting.metrics import EXPERT_UNIT, TASK_UNITS
from viper_pipeline.reporting.paper_data import PAPER_SEEDS, PAPER_TASKS, paper_methods, paper_score
from viper_pipeline.reporting.paper_figures.ablations import AXIS_TEXTS, ablation_sentences
from viper_pipeline.reporting.paper_figures.frames import StripKey
from viper_pipeline.reporting.paper_figures.index import INDEX
from viper_pipeline.reporting.paper_figures.tables import Difference, differing_settings
from viper_pipeline.reporting.plots import BASELINE_TEXTS, embed, method_of, method_style
from viper_pipeline.reporting.results import LineageSteps, Metrics, StageName, TaskKey
from viper_pipeline.reporting.reward_metrics import MEANS_OF, RIVALS
from viper_pipeline.reporting.summary import (
    RIVAL_NAMES,
    HeldOut,
    answers,
    auroc_number,
    auroc_text,
    by_stage,
    expert_set_text,
    rough_duration,
    task_rows,
    transfers,
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


BLURRED = 20.0
"""Error of moving parts, of 255, from which on a page says that they are lost."""
LOST = "Much of what moves is lost: models and rewards see no more of it than the lower rows show."


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
    found.filters["blurred"] = lambda kinds: LOST if any(q["foreground_l1"] >= BLURRED for q in kinds.values()) else ""
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
    return "" if row is None else auroc_number(row)


TITLES = {"dmc": "DeepMind Control", "atari": "Atari", "tabletop": "Tabletop manipulation", "rlbench": "RLBench"}
"""Suites by their names; others are called as in params.yaml."""


def title_of(suite: str) -> str:
    """What a suite is called."""
    return TITLES.get(suite, suite.replace("_", " "))


def render_page(
    suite: str,
    profile: str,
    metrics: Metrics,
    figures: Mapping[str, bytes],
    films: Sequence[Film],
    reconstructions: Mapping[TaskKey, bytes],
    rollouts: Mapping[StripKey, bytes],
    quality: JsonView,
    origins: Origins = UNKNOWN_ORIGINS,
    held_out: HeldOut | None = None,
    measured: Sequence[Measurement] = (),
    points: Sequence[Mapping[str, str]] = (),
    pages: Sequence[str] | None = None,
    probe: JsonView | None = None,
) -> str:
    """reports/<suite>/index.html. It shows the files of figures/ beside it and is drawn by ../charts.js.

    figures: the files of figures/; reconstructions and rollouts: PNG strips; quality: suite -> task -> kind of frame ->
    metrics of the tokenizer; held_out: tasks that a model was not trained on; measured: what benchmarks found; points:
    rows of curves.csv; pages: the folders of reports/ that have a page; this one alone if it is not said;
    probe: task -> what the tokenizer keeps of its figure, where it was looked for.
    """
    baselines, result = metrics["baselines"].get(suite, {}), TASK_UNITS.get(suite, "return")
    dots, curves = result_dots({suite: metrics}), draw_curves(points, baselines, result)
    rewards = {model: reward_dots(found, RIVAL_NAMES) for model, found in metrics["rewards"].get(suite, {}).items()}
    differing = origins.differing_settings()
    index = json.loads(figures.get(INDEX, b"[]"))
    return (
        environment()
        .get_template("suite.html.jinja")
        .render(
            root="../",
            here=suite,
            pages=pages if pages is not None else [suite],
            suite=suite,
            title=title_of(suite),
            profile=profile,
            metrics=metrics,
            figures=figures,
            films=films,
            results=embedded(draw_dots(dots, "results")) if dots else None,
            curves=embedded(curves) if curves else None,
            reward_charts={
                model: embedded(draw_dots(found, f"reward_{number}")) if found else None
                for number, (model, found) in enumerate(rewards.items())
            },
            reconstructions=reconstructions,
            rollouts=rollouts,
            quality=quality,
            probe=probe or {},
            held_out=held_out or {},
            measured=measured,
            compared=list(compared_rewards(metrics)),
            ratio_model=RATIO_MODEL,
            means_of=MEANS_OF,
            transfers=list(transfers(metrics["rewards"], held_out or {})),
            lead=" ".join(lead_sentences(suite, metrics, origins.settings.get(suite, {}))),
            tasks=list(task_tables(metrics)),
            short=short_table(suite, metrics),
            unit=result,
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


def render_ablations(
    profile: str, metrics: Metrics, figures: Mapping[str, bytes], pages: Sequence[str] = ("ablations",)
) -> str:
    """The page of the ablations, reports/ablations/index.html; pages: the folders of reports/ that have a page."""
    return (
        environment()
        .get_template("ablations.html.jinja")
        .render(
            root="../",
            here="ablations",
            pages=pages,
            profile=profile,
            metrics=metrics,
            figures=figures,
            axes=AXIS_TEXTS,
            said=" ".join(ablation_sentences(metrics)),
            results=embedded(draw_dots(ablation_dots(metrics), "results")),
        )
    )


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


COMPARED = {"auroc_frame": "frames", "auroc_mean": f"means of {MEANS_OF} frames", "auroc_window": "windows"}
"""AUROCs of two rewards that stand side by side."""


def compared_rewards(metrics: Metrics) -> Iterator[Json]:
    """Where a suite has the likelihood ratio: its AUROCs beside those of the other models, by task and kind of play."""
    for suite, models in metrics["rewards"].items():
        if RATIO_MODEL not in models or len(models) < 2:
            continue
        measured = [
            (model, name, what)
            for name, what in COMPARED.items()
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
        yield {"suite": suite, "columns": [(model, what) for model, _, what in measured], "rows": rows}


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
                yield {
                    "suite": suite,
                    "task": task,
                    "agent": agent,
                    "rows": rows,
                    "baselines": {kind: levels.get(f"{kind}_return") for kind in BASELINE_TEXTS},
                    "comparisons": verdict_rows(suite, methods, levels),
                    "remarks": [*expert_set_text(suite, task, levels), *remarks(methods, levels, wanted)],
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
