"""The report: one self-contained page that says in words what the numbers say."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from viper_pipeline.results.cards import Card
from viper_pipeline.results.costs import by_stage, duration
from viper_pipeline.results.experts import in_words
from viper_pipeline.results.films import compact
from viper_pipeline.results.lineage_graph import draw_lineage
from viper_pipeline.results.measurement import Measurement
from viper_pipeline.results.paper import paper_score
from viper_pipeline.results.paper_figures.files import INDEX
from viper_pipeline.results.settings_diff import Difference, differences
from viper_pipeline.results.short import answers
from viper_pipeline.results.transfer import HeldOut, transfers
from viper_pipeline.results.verdict import verdicts
from viper_pipeline.videos.pictures import png

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


def embed(content: bytes) -> str:
    """A GIF, or a PNG made smaller, as a data URL."""
    kind, content = ("gif", content) if content[:3] == b"GIF" else ("webp", compact(content))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


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
