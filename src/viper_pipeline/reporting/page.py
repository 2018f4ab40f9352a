"""The report: one self-contained page that says in words what the numbers say."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import jinja2
from pydantic import Field, ValidationError

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import png
from viper_pipeline.reporting.cards import Card
from viper_pipeline.reporting.paper_data import paper_score
from viper_pipeline.reporting.paper_figures.index import INDEX
from viper_pipeline.reporting.paper_figures.tables import Difference, differences
from viper_pipeline.reporting.plots import embed, in_words
from viper_pipeline.reporting.summary import HeldOut, answers, by_stage, duration, transfers, verdicts

WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 178, 40, 226, 58, 8
"""Of a box, and from one to the next, in pixels."""


def stage_of(step: Mapping[str, Any]) -> str:
    """`dmc.train_agent_viper.cartpole_balance-drq-0` -> `dmc.train_agent_viper`."""
    return str(step["stage"]).rpartition(".")[0] or str(step["stage"])


def stages(steps: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """steps: path -> {stage, parents} -> artifacts that each stage made, and which stage feeds which.

    Parents that no stage made are sources, under their own path.
    """
    counts: dict[str, int] = {}
    edges: set[tuple[str, str]] = set()
    for step in steps.values():
        name = stage_of(step)
        counts[name] = counts.get(name, 0) + 1
        for parent in step.get("parents", {}):
            source = stage_of(steps[parent]) if parent in steps else parent
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


def draw_lineage(steps: Mapping[str, Mapping[str, Any]]) -> str:
    """SVG, in the colours of the page around it; empty if nothing is known."""
    counts, edges = stages(steps)
    if not counts:
        return ""
    depth, made = depths(counts, edges), {stage_of(step) for step in steps.values()}
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
    """A table. Its rows have equal keys; numbers are shown as they stand."""

    suite: str = Field(description="on whose page it is shown")
    title: str = Field(description="what is compared")
    text: str = Field(description="how it was measured, with which command and machine")
    rows: list[dict[str, str | int | float]] = Field(min_length=1, description="first row first")


def measurements(files: Mapping[str, bytes], suites: Container[str]) -> list[Measurement]:
    """Those of the JSON files, name -> content, that speak of these suites."""
    found = [read(name, content) for name, content in sorted(files.items()) if name.endswith(".json")]
    return [m for m in found if m.suite in suites]


def read(name: str, content: bytes) -> Measurement:
    """One file, or one clear message."""
    try:
        return Measurement.model_validate_json(content)
    except ValidationError as problem:
        where = ".".join(str(part) for part in problem.errors()[0]["loc"])
        raise BadData(f"reports/measured/{name}: {where}: {problem.errors()[0]['msg']}; mend or delete it") from None


TEMPLATES = Path(__file__).parent / "templates"
SEEDS = 3  # of each run in the paper
METHODS = {
    "viper": "paid by the video model",
    "oracle": "the same agent, paid the true reward",
    "exploration": "the same agent, paid for novelty alone",
    "amp": "adversarial motion prior of the task's videos",
    "amp_multi": "adversarial motion prior of every task's videos",
    "random": "random actions",
    "idle": "zero action",
    "expert": "the expert videos",
}


@dataclass(frozen=True)
class Origins:
    """Where results come from; empty where the report is made outside of the pipeline."""

    cards: Sequence[Card] = ()
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # lineage: path -> {stage, params, parents}
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # suite -> its block of params.yaml
    paper: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # suite -> its block of the paper's profile

    def differences(self) -> dict[str, list[Difference]]:
        """Suite -> settings that differ from the paper's profile, where that has the suite."""
        return {s: differences(block, self.paper[s]) for s, block in self.settings.items() if s in self.paper}


NOWHERE = Origins()


def render(
    profile: str,
    metrics: Mapping[str, Any],
    figures: Mapping[str, bytes],
    episodes: Mapping[tuple[str, ...], bytes],
    reconstructions: Mapping[tuple[str, ...], bytes],
    rollouts: Mapping[tuple[str, ...], bytes],
    quality: Mapping[str, Any],
    origins: Origins = NOWHERE,
    held_out: HeldOut | None = None,
    beside: Sequence[Measurement] = (),
) -> str:
    """The page as HTML text; every picture is inside it, and nothing is loaded from elsewhere.

    episodes: (suite, task, method, agent, seed) -> GIF; reconstructions: (suite, task) -> PNG;
    rollouts: (suite, model, task) -> PNG; quality: suite -> task -> kind of frame -> metrics of the tokenizer;
    held_out: tasks that a model was not trained on; beside: what benchmarks found.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["embed"] = embed
    environment.filters["number"] = lambda x: "n/a" if x is None else f"{x:.0f}"
    environment.filters["duration"] = duration
    environment.filters["png"] = png
    differing = origins.differences()
    index = json.loads(figures.get(INDEX, b"[]"))
    return environment.get_template("index.html.jinja").render(
        profile=profile,
        metrics=metrics,
        figures=figures,
        episodes=episodes,
        reconstructions=reconstructions,
        rollouts=rollouts,
        quality=quality,
        held_out=held_out or {},
        beside=beside,
        transfers=list(transfers(metrics["rewards"], held_out or {})),
        tasks=list(task_tables(metrics)),
        methods=METHODS | {name: "" for name in named_methods(metrics) - METHODS.keys()},
        missing=list(missing(metrics)),
        answers=answers(metrics, sum(map(len, differing.values())) if origins.paper else None),
        index=index,
        tables={entry["name"]: table_rows(figures, entry["files"]) for entry in index},
        cards=origins.cards,
        lineage=draw_lineage(origins.steps),
        differing=differing,
        stages=by_stage(metrics["costs"]),
    )


def table_rows(figures: Mapping[str, bytes], names: Sequence[str]) -> list[list[str]]:
    """The rows of a table's CSV file, its header first; none for a figure."""
    texts = [figures[name].decode() for name in names if name.endswith(".csv")]
    return [row for text in texts for row in csv.reader(io.StringIO(text))]


def named_methods(metrics: Mapping[str, Any]) -> set[str]:
    """Every method that has a run."""
    agents = [a for tasks in metrics["agents"].values() for t in tasks.values() for a in t.values()]
    return {method for methods in agents for method in methods}


def task_tables(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One table a task: methods and floors, ours and the paper's, and what they say in words."""
    for suite, tasks in metrics["oracles"].items():
        for task, floors in tasks.items():
            agents = metrics["agents"].get(suite, {}).get(task, {})
            for agent, methods in agents.items() or [("", {})]:
                rows = [
                    {"name": name, "paper": paper_score(suite, task, name), **values}
                    for name, values in methods.items()
                ]
                for kind in ("random", "idle", "expert"):
                    rows.append({"name": kind, "final_return": floors[f"{kind}_return"], "seeds": None, "paper": None})
                yield {
                    "suite": suite,
                    "task": task,
                    "agent": agent,
                    "rows": rows,
                    "verdicts": [*in_words(suite, task, floors), *verdicts(methods, floors)],
                }


def missing(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What the paper shows and this report does not."""
    for suite, tasks in metrics["oracles"].items():
        for task in tasks:
            found = {m for methods in metrics["agents"].get(suite, {}).get(task, {}).values() for m in methods}
            for method in ("viper", "oracle", "exploration", "amp", "amp_multi"):
                if method not in found:
                    yield f"{suite} {task}: no run of method {method}"
            for agent, methods in metrics["agents"].get(suite, {}).get(task, {}).items():
                for method, values in methods.items():
                    if values["seeds"] < SEEDS:
                        yield f"{suite} {task}: {values['seeds']} of the paper's {SEEDS} seeds of {method}, {agent}"
