"""A report in words: five short answers, and sentences on each task that follow from its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.envs.atari import GAMES, human_normalized
from viper_pipeline.reporting.paper_data import PAPER_TASKS
from viper_pipeline.reporting.plots import TRUE_REWARD, method_style
from viper_pipeline.reporting.results import Metrics, ModelKey, StageName

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


ENOUGH = 3
"""Seeds from which on the page compares methods; with fewer it speaks of the runs that were made."""


def verdicts(methods: Mapping[str, Metrics], baselines: Mapping[str, float | None]) -> Iterator[str]:
    """Sentences on whether the interval of `viper` lies above each baseline and each other method.

    The interval of one seed covers its episodes alone, so with fewer than `ENOUGH` seeds on either side the sentences
    speak of these runs, not of methods.
    """
    viper = methods.get("viper")
    if viper is None:
        yield "There is no run of VIPER on this task."
        return
    low, high, seeds = viper["ci95_low"], viper["ci95_high"], viper["seeds"]
    if seeds < ENOUGH:
        yield (
            f"Made of {seeds} seed{'s' if seeds > 1 else ''} and {viper['episodes']} episodes: too few to say how "
            "VIPER does on this task. What follows holds for the runs made, not for the method."
        )
    for kind in ("random", "idle"):
        value = baselines[f"{kind}_return"]
        if value is not None:
            yield against_baseline(kind, value, low, high, seeds)
    for rival in methods:
        if rival != "viper":
            yield against_rival(rival, methods[rival], low, high, seeds)
    expert = baselines["expert_return"]
    if expert:
        yield f"It reaches {100 * viper['final_return'] / expert:.0f} % of the expert videos' return ({expert:.0f})."


def against_baseline(kind: str, value: float, low: float, high: float, seeds: int) -> str:
    """One sentence on `kind` behavior, whose mean return is `value`."""
    if low <= value <= high:
        return f"VIPER cannot be distinguished from {kind} behavior ({value:.0f}): the interval holds it."
    if seeds < ENOUGH:
        return f"The runs made ended {'above' if low > value else 'below'} {kind} behavior ({value:.0f})."
    if low > value:
        return f"VIPER beats {kind} behavior ({value:.0f}): its whole interval lies above."
    return f"VIPER does worse than {kind} behavior ({value:.0f})."


def against_rival(rival: str, other: JsonView, low: float, high: float, seeds: int) -> str:
    """One sentence on another method with the same budget."""
    name = method_style(rival).label
    if low <= other["ci95_high"] and other["ci95_low"] <= high:
        return f"It cannot be distinguished from method {name} with this budget: the intervals overlap."
    if min(seeds, other["seeds"]) < ENOUGH:
        return f"The runs made ended {'above' if low > other['ci95_high'] else 'below'} those of method {name}."
    if low > other["ci95_high"]:
        return f"It beats method {name}; the intervals do not touch."
    return f"Method {name} beats it; the intervals do not touch."


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


TaskRow = tuple[str, str, str, JsonView, JsonView]
"""Suite, task, agent, numbers of its methods, baselines of the task."""


def task_rows(metrics: Metrics) -> list[TaskRow]:
    """One row per task and agent."""
    return [
        (suite, task, agent, methods, metrics["baselines"].get(suite, {}).get(task, {}))
        for suite, tasks in metrics["agents"].items()
        for task, agents in tasks.items()
        for agent, methods in agents.items()
    ]


def answers(metrics: Metrics, changed: int | None = None) -> list[Answer]:
    """changed: settings that differ from the paper's profile; None if it is not known."""
    rows = task_rows(metrics)
    return [
        Answer("Does VIPER work here?", " ".join(whether_it_works(rows))),
        Answer("On what?", " ".join(on_what(metrics, rows))),
        Answer("How sure are we?", " ".join(how_sure(metrics, rows))),
        Answer("What did it cost?", cost_text(metrics.get("costs", {}))),
        Answer("What differs from the paper?", " ".join(differences_text(metrics, rows, changed))),
    ]


def whether_it_works(rows: Sequence[TaskRow]) -> Iterator[str]:
    """Against both baselines, and against the same agent with the true reward."""
    by_agent = Counter(task for _, task, _, methods, _ in rows if "viper" in methods)
    tried = [
        (f"{task} ({agent})" if by_agent[task] > 1 else task, methods, levels)
        for _, task, agent, methods, levels in rows
        if "viper" in methods
    ]
    if not tried:
        yield "Not tried: there is no agent whose reward came from the video model."
        return
    above: list[str] = []
    unclear: list[str] = []
    for task, methods, levels in tried:
        known = [v for kind in ("random", "idle") if (v := levels.get(f"{kind}_return")) is not None]
        beats = bool(known) and methods["viper"]["ci95_low"] > max(known)
        (above if beats else unclear).append(task)
    if above:
        yield (
            f"On {', '.join(above)} the whole 95 % interval of VIPER's return lies above what random and idle "
            "behavior get."
        )
    if unclear:
        tasks = ", ".join(unclear)
        yield f"On {tasks} it cannot be distinguished from the better of random and idle behavior, or is below it."
    for task, methods, levels in tried:
        expert = levels.get("expert_return")
        share = (
            f", {100 * methods['viper']['final_return'] / expert:.0f} % of the expert videos' return" if expert else ""
        )
        true_reward = (
            f"; the same agent with the true reward gets {methods[TRUE_REWARD]['final_return']:.0f}"
            if TRUE_REWARD in methods
            else ""
        )
        yield f"{task}: {methods['viper']['final_return']:.0f}{share}{true_reward}."


def on_what(metrics: Metrics, rows: Sequence[TaskRow]) -> Iterator[str]:
    """Suites, tasks, agents and budgets."""
    for suite, tasks in metrics["baselines"].items():
        agents = sorted({agent for s, _, agent, _, _ in rows if s == suite})
        steps = sorted({m["steps"] for s, _, _, methods, _ in rows if s == suite for m in methods.values()})
        trained = f", agent {', '.join(agents)} for {steps[0]:,} steps" if steps else ", no agents"
        of = f" of the paper's {len(PAPER_TASKS[suite])} tasks" if suite in PAPER_TASKS else " tasks"
        yield f"Suite {suite}: {len(tasks)}{of} ({', '.join(list(tasks)[:6])}){trained}."


def how_sure(metrics: Metrics, rows: Sequence[TaskRow]) -> Iterator[str]:
    """Seeds and episodes behind the numbers, and the chance to beat each rival."""
    viper = [(agent, methods["viper"]) for _, _, agent, methods, _ in rows if "viper" in methods]
    tried = dict.fromkeys(agent for agent, _ in viper)
    for agent in tried:
        seeds = min(m["seeds"] for a, m in viper if a == agent)
        episodes = min(m["episodes"] for a, m in viper if a == agent)
        by = f"By {agent}, n" if len(tried) > 1 else "n"
        yield f"{by} = {seeds} seed{'s' if seeds > 1 else ''} and {episodes} fresh episodes per task at least."
        if seeds < ENOUGH:
            yield "Too few seeds to speak of the method: what is said holds for the runs made."
        else:
            yield "With so few seeds intervals are narrower than 95 % where seeds differ much."
    for suite, agents in metrics.get("aggregates", {}).items():
        for agent, block in agents.items():
            for rival, p in block["viper_against"].items():
                span = "" if p["ci95_low"] is None else f" ({p['ci95_low']:.2f} to {p['ci95_high']:.2f})"
                chance = f"{p['probability']:.2f}{span}"
                name = method_style(rival).label
                yield f"The chance that a VIPER run beats one of {name} ({suite}, {agent}): {chance}."
    for suite, models in metrics["rewards"].items():
        for model, r in models.items():
            auroc = f"{r['auroc_step']:.3f}"
            yield f"The reward ({suite}, {model}) separates held-out experts from random frames with AUROC {auroc}."


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


def differences_text(metrics: Metrics, rows: Sequence[TaskRow], changed: int | None) -> Iterator[str]:
    """Agent, budget, seeds, settings."""
    agents = sorted({agent for _, _, agent, _, _ in rows})
    if agents and not any(agent.startswith("dreamer") for agent in agents):
        yield f"Agents are {', '.join(agents)}; the paper's results task by task are DreamerV3's."
    for suite in metrics["baselines"]:
        steps = sorted({m["steps"] for s, _, _, methods, _ in rows if s == suite for m in methods.values()})
        if suite in PAPER_FRAMES and steps:
            yield f"{steps[-1]:,} agent steps stand against the paper's {PAPER_FRAMES[suite]} frames."
    if changed is not None:
        yield f"{changed} settings differ from the paper's profile; they are listed below."
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
                "expert": values["kinds"]["held_out"]["nats"],
                "random": values["kinds"]["random"]["nats"],
                "auroc_step": values["auroc_step"],
                "auroc_episode": values["auroc_episode"],
            }
            for task, values in numbers.items()
        ]
        if tasks and rows:
            yield {"suite": suite, "model": model, "rows": sorted(rows, key=lambda row: not row["trained"])}
