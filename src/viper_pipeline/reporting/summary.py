"""A report in words: five short answers that follow from its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.envs.atari import GAMES, human_normalized
from viper_pipeline.reporting.comparisons import OURS, compare, count_text, p_text
from viper_pipeline.reporting.paper_data import PAPER_TASKS
from viper_pipeline.reporting.results import Metrics, ModelKey, StageName
from viper_pipeline.reporting.statistics import ENOUGH, FEWEST

UNKNOWN = "not recorded"


@dataclass(frozen=True)
class StageCost:
    """All runs of one stage."""

    stage: str
    runs: int
    seconds: float  # in total
    longest: float
    peak_rss_mb: float
    machines: tuple[str, ...]
    gpu_percent: float | None = None  # mean utilization of the GPU; None where none was monitored


def by_stage(costs: Mapping[str, JsonView]) -> list[StageCost]:
    """node -> {seconds, peak_rss_mb, machine, gpu_percent if monitored} -> one row per stage, sorted by name."""
    groups: dict[str, list[JsonView]] = {}
    for node, cost in costs.items():
        groups.setdefault(StageName.parse(node).title, []).append(cost)
    return [
        StageCost(
            stage,
            len(rows),
            sum(float(r["seconds"]) for r in rows),
            max(float(r["seconds"]) for r in rows),
            max(float(r["peak_rss_mb"]) for r in rows),
            tuple(sorted({str(r.get("machine", UNKNOWN)) for r in rows})),
            fmean(monitored) if (monitored := [r["gpu_percent"] for r in rows if "gpu_percent" in r]) else None,
        )
        for stage, rows in sorted(groups.items())
    ]


def rough_duration(seconds: float) -> str:
    """42 s, 3.5 min, 2.1 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


PAPER_FRAMES = {"dmc": "15,000,000", "atari": "10,000,000", "rlbench": "2,000,000"}


def expert_set_text(suite: str, task: str, baselines: Mapping[str, float | None]) -> Iterator[str]:
    """Atari: the expert set's score against random play and against people."""
    expert, random = baselines["expert_return"], baselines["random_return"]
    if suite != "atari" or expert is None or random is None:
        return
    game = GAMES[task]
    yield (
        f"Expert set: mean score {expert:.1f}, random play {random:.1f}; human-normalized "
        f"{human_normalized(task, expert):.2f} (0 is random play as published, {game.random:g}; 1 is a human "
        f"tester, {game.human:g}). Episodes may be cut short by suites.atari.env.max_frames; the published "
        "scores are of whole games."
    )


class Answer(NamedTuple):
    """A question and what the numbers say."""

    question: str
    answer: str


class TaskRow(NamedTuple):
    """One task with one agent."""

    suite: str
    task: str
    agent: str
    methods: JsonView  # column -> its numbers
    levels: JsonView  # baselines of the task


def task_rows(metrics: Metrics) -> list[TaskRow]:
    """One row per task and agent."""
    return [
        TaskRow(suite, task, agent, methods, metrics["baselines"].get(suite, {}).get(task, {}))
        for suite, tasks in metrics["agents"].items()
        for task, agents in tasks.items()
        for agent, methods in agents.items()
    ]


def answers(metrics: Metrics, differing: Mapping[str, int] | None = None, figures: bool = False) -> list[Answer]:
    """differing: suite of the paper -> settings that differ from its profile; None if the profile is not known.

    figures: whether the page lists the paper's figures.
    """
    rows = task_rows(metrics)
    return [
        Answer("Does VIPER work here?", " ".join(whether_it_works(rows))),
        Answer("On what?", " ".join(on_what(metrics, rows))),
        Answer("How sure are we?", " ".join(how_sure(metrics, rows))),
        Answer("What did it cost?", cost_text(metrics.get("costs", {}))),
        Answer("What differs from the paper?", " ".join(differences_text(metrics, rows, differing, figures))),
    ]


def whether_it_works(rows: Sequence[TaskRow]) -> Iterator[str]:
    """Against both baselines, where there are seeds for a test; the numbers stand in the table below the answers."""
    tried = [row for row in rows if OURS in row.methods]
    if not tried:
        yield "Not tried: there is no agent whose reward came from the video model."
        return
    agents = Counter(row.task for row in tried)
    named: dict[str, list[str]] = {"beats": [], "unclear": [], "worse": [], "untested": []}
    largest = 0.0
    for row in tried:
        name = f"{row.task} ({row.agent})" if agents[row.task] > 1 else row.task
        found = [c for c in compare(row.methods, row.levels) if c.baseline]
        if not found or any(c.p is None for c in found):
            named["untested"].append(name)
        elif all(c.better for c in found):
            named["beats"].append(name)
            largest = max(largest, *(c.p or 0.0 for c in found))
        else:
            worse = any(c.shown and not c.better for c in found)
            named["worse" if worse else "unclear"].append(name)
    tested = len(tried) - len(named["untested"])
    if tested:
        many = f"On {len(named['beats'])} of {count_text(tested, 'tested task')}"
        which = f": {', '.join(named['beats'])} (largest {p_text(largest)}, over seeds)" if named["beats"] else ""
        yield f"{many} VIPER's return is above that of random and of idle behavior{which}."
    if named["unclear"]:
        yield f"No difference from the better of the two is shown on {', '.join(named['unclear'])}."
    if named["worse"]:
        yield f"VIPER does worse than one of the two on {', '.join(named['worse'])}."
    if named["untested"]:
        yield (
            f"Not tested, for fewer than {ENOUGH} seeds or baselines without an error: {', '.join(named['untested'])}. "
            "Their numbers stand below, without a claim."
        )


def on_what(metrics: Metrics, rows: Sequence[TaskRow]) -> Iterator[str]:
    """Suites, tasks, and on which of them agents were trained, for how long."""
    for suite, tasks in metrics["baselines"].items():
        of = f" of the paper's {len(PAPER_TASKS[suite])} tasks" if suite in PAPER_TASKS else " tasks"
        yield f"Suite {suite}: {len(tasks)}{of} ({names_text(list(tasks))}) with experts and baselines."
        mine = [row for row in rows if row.suite == suite]
        for agent in dict.fromkeys(row.agent for row in mine):
            trained = [row for row in mine if row.agent == agent]
            steps = sorted({m["steps"] for row in trained for m in row.methods.values()})
            budget = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
            where = names_text([row.task for row in trained])
            yield f"Agent {agent} was trained on {len(trained)} of them ({where}), for {budget} steps."
        if not mine:
            yield "No agents were trained."


def names_text(names: Sequence[str], most: int = 9) -> str:
    """Names in a list; of a long one, the first."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


RIVAL_NAMES = {"random": "random play", "idle": "idle play", "contrast": "noisy play"}


def auroc_number(found: JsonView) -> str:
    """0.810 (0.700 to 0.910), or without the brackets where there is no interval."""
    low, high = found.get("ci95_low"), found.get("ci95_high")
    return f"{found['value']:.3f}" + ("" if low is None or high is None else f" ({low:.3f} to {high:.3f})")


def auroc_text(found: JsonView) -> str:
    """0.810 (0.700 to 0.910) against noisy play."""
    return f"{auroc_number(found)} against {RIVAL_NAMES[found['against']]}"


def how_sure(metrics: Metrics, rows: Sequence[TaskRow]) -> Iterator[str]:
    """Seeds and episodes behind the numbers, and what intervals cover."""
    viper = [(row.agent, row.methods[OURS]) for row in rows if OURS in row.methods]
    tried = dict.fromkeys(agent for agent, _ in viper)
    for agent in tried:
        seeds = min(m["seeds"] for a, m in viper if a == agent)
        episodes = min(m["episodes"] for a, m in viper if a == agent)
        by = f"By {agent}, n" if len(tried) > 1 else "n"
        yield f"{by} = {count_text(seeds, 'seed')} and {count_text(episodes, 'fresh episode')} per task at least."
    if viper:
        yield (
            f"Intervals are Student's t over seeds, from {FEWEST} on; tests take {ENOUGH} seeds on both sides. "
            "All seeds of VIPER share one reward: how another training of its models would do is not covered."
        )


def cost_text(costs: JsonView) -> str:
    """Time, memory, machine."""
    rows = by_stage(costs)
    if not rows:
        return "Nothing was measured: all results came out of the cache."
    longest = max(rows, key=lambda row: row.longest)
    machines = sorted({m for row in rows for m in row.machines})
    whole, stages = rough_duration(sum(row.seconds for row in rows)), sum(row.runs for row in rows)
    memory = max(row.peak_rss_mb for row in rows)
    return (
        f"{whole} of computing in {stages} stages, added up; the longest took {rough_duration(longest.longest)} "
        f"({longest.stage}), the largest {memory:.0f} MB of memory. Machine: {'; '.join(machines)}."
    )


STANDS_IN = {"tabletop": "RLBench"}
"""Suites that the paper does not have -> what they stand in for."""


def differences_text(
    metrics: Metrics, rows: Sequence[TaskRow], differing: Mapping[str, int] | None, figures: bool
) -> Iterator[str]:
    """Suite, agent, budget, settings."""
    for suite in metrics["baselines"]:
        mine = [row for row in rows if row.suite == suite]
        if suite not in PAPER_TASKS:
            stands = f"; it stands in for {STANDS_IN[suite]}" if suite in STANDS_IN else ""
            yield f"The paper has no suite {suite}{stands}, so there are no settings of its own to compare with."
        agents = sorted({row.agent for row in mine})
        if suite in PAPER_TASKS and agents and not any(agent.startswith("dreamer") for agent in agents):
            yield f"Agents are {', '.join(agents)}; the paper's results task by task are DreamerV3's."
        steps = sorted({m["steps"] for row in mine for m in row.methods.values()})
        if suite in PAPER_FRAMES and steps:
            yield f"{steps[-1]:,} agent steps stand against the paper's {PAPER_FRAMES[suite]} frames."
        if differing is not None and suite in differing:
            yield f"{count_text(differing[suite], 'setting')} of {suite} differ from the paper's profile, listed below."
    if figures:
        yield "Figures and tables of the paper that are missing, or made of fewer runs, are listed with reasons."


HeldOut = Mapping[ModelKey, Sequence[str]]
"""Model -> the tasks that the model was not trained on."""


def transfers(rewards: Metrics, held_out: HeldOut) -> Iterator[Json]:
    """rewards: suite -> model -> numbers, as in metrics.json -> one table per model that held tasks out."""
    for (suite, model), tasks in held_out.items():
        numbers = rewards.get(suite, {}).get(model, {}).get("tasks", {})
        rows = [
            {
                "task": task,
                "trained": task not in tasks,
                "expert": values["kinds"][values["experts"]]["nats"],
                "random": values["kinds"]["random"]["nats"],
                "auroc": values["kinds"]["random"].get("auroc_frame") or values["kinds"]["random"].get("auroc_window"),
                "hardest": values["auroc_frame"] or values["auroc_window"],
            }
            for task, values in numbers.items()
        ]
        if tasks and rows:
            yield {"suite": suite, "model": model, "rows": sorted(rows, key=lambda row: not row["trained"])}
