"""The numbers of a suite's report, for programs: metrics.json, headline.json and curves.csv in reports/<suite>."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.envs.atari import GAMES, human_normalized
from viper_pipeline.reporting.comparisons import BASELINE_KINDS, OURS, compare, normalized_by_expert
from viper_pipeline.reporting.results import SUCCESS_SUITES, Baselines, Metrics, RunResult
from viper_pipeline.reporting.reward_metrics import reward_metrics
from viper_pipeline.reporting.statistics import aggregate_statistics, improvement, t_interval, trimmed_mean
from viper_pipeline.rewards.scores import unpack, unpack_frames
from viper_pipeline.training.artifacts import ModelArtifact

UNITS = {"dmc": "return / 1000", "atari": "human-normalized score"} | dict.fromkeys(SUCCESS_SUITES, "success rate")
"""What 1 stands for: the most a task can return, a human tester, success. Other suites show plain returns."""
TASK_UNITS = {"atari": "score"} | dict.fromkeys(SUCCESS_SUITES, "success rate")
"""Of a task's own table; other suites show returns."""
EXPERT_UNIT = "expert-normalized return"
"""0 is random behavior, 1 the expert videos."""
AVERAGED = ("auroc_frame", "auroc_window")
"""AUROCs of a reward that are averaged over tasks, each against the task's hardest kind of play."""


def normalized(suite: str, task: str, value: float) -> float:
    """A return on the suite's scale. The paper averages DMC's plain returns, which are the same times 1000."""
    if suite == "dmc":
        return value / 1000.0
    if suite == "atari" and task in GAMES:
        return human_normalized(task, value)
    return value


def unit(suite: str) -> str:
    """The scale's name."""
    return UNITS.get(suite, "return")


def suite_of(report: str, metrics: JsonView) -> str:
    """The suite that a folder of reports/ is about: its name, or what another profile's report says."""
    return str(metrics.get("suite", report))


def widest(metrics: Mapping[str, Metrics]) -> dict[str, Metrics]:
    """Report -> metrics.json -> by suite, that of the report with the most agents' seeds; of equal ones the first."""
    found: dict[str, Metrics] = {}
    for report, numbers in metrics.items():
        suite = suite_of(report, numbers)
        if suite not in found or _seeds(suite, numbers) > _seeds(suite, found[suite]):
            found[suite] = numbers
    return found


def _seeds(suite: str, metrics: JsonView) -> int:
    columns = [row for agents in metrics["agents"].get(suite, {}).values() for row in agents.values()]
    return sum(len(column["per_seed"]) for row in columns for column in row.values())


ScoreTables = dict[tuple[str, str, str], dict[str, np.ndarray]]
"""(suite, agent, column) -> task -> score of each seed, (seeds,)."""


def score_tables(runs: Sequence[RunResult], levels: Sequence[Baselines] | None = None) -> ScoreTables:
    """Scores on the suite's scale; with `levels`, expert-normalized, of tasks whose experts beat random behavior."""
    ends = {(b.suite, b.task): (b.random, b.expert) for b in levels or []}
    tables: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for r in sorted(runs, key=lambda run: run.seed):
        if levels is None:
            score = normalized(r.suite, r.task, r.final_return)
        else:
            random, expert = ends.get((r.suite, r.task), (0.0, None))
            if expert is None or not expert > random:
                continue
            score = normalized_by_expert(r.final_return, random, expert)
        tasks = tables.setdefault((r.suite, r.agent, r.column), {})
        tasks.setdefault(r.task, []).append(score)
    order = dict.fromkeys((r.suite, r.agent, r.column) for r in runs)
    return {key: {task: np.array(scores) for task, scores in tables[key].items()} for key in order if key in tables}


def suite_metrics(runs: Sequence[RunResult], levels: Sequence[Baselines] = ()) -> Json:
    """{suite: {agent: {unit, methods: {column: statistics}, expert_normalized: {column: ...}, viper_against: ...}}}.

    Methods are compared on the tasks that both have.
    """
    tables = score_tables(runs)
    found: Json = {}
    for (suite, agent, column), tasks in tables.items():
        empty: Json = {"unit": unit(suite), "methods": {}, "expert_normalized": {}, "viper_against": {}}
        block = found.setdefault(suite, {}).setdefault(agent, empty)
        block["methods"][column] = aggregate_statistics(list(tasks.values()))
        viper = tables.get((suite, agent, OURS), {})
        common = [task for task in tasks if task in viper]
        if column != OURS and common:
            compared = improvement([viper[t] for t in common], [tasks[t] for t in common])
            block["viper_against"][column] = compared | {"tasks": len(common)}
    for (suite, agent, column), tasks in score_tables(runs, levels).items():
        found[suite][agent]["expert_normalized"][column] = aggregate_statistics(list(tasks.values()))
    return found


def agent_metrics(runs: Sequence[RunResult]) -> Json:
    """{suite: {task: {agent: {column: {...}}}}}; everything is over seeds, of which each has one number."""
    table: Json = {}
    for key in dict.fromkeys((r.suite, r.task, r.agent, r.column) for r in runs):
        mine = [r for r in runs if (r.suite, r.task, r.agent, r.column) == key]
        suite, task, agent, column = key
        values = np.array([r.final_return for r in mine])
        low, high = t_interval(values) or (None, None)
        table.setdefault(suite, {}).setdefault(task, {}).setdefault(agent, {})[column] = {
            "method": mine[0].method,
            "made_by": made_by(mine),
            "final_return": float(values.mean()),
            "ci95_low": low,
            "ci95_high": high,
            "iqm": float(trimmed_mean(values)),
            "seeds": len(mine),
            "from_records": sum(bool(r.origin) for r in mine),
            "episodes": sum(r.final_episodes for r in mine),
            "steps": mine[0].budget,
            "per_seed": values.tolist(),
        }
    return table


def made_by(runs: Sequence[RunResult]) -> list[str]:
    """Where the runs of one column come from: this graph, or the commit and machine of records."""
    own = {True: "this graph", False: "this graph, machine not recorded"}
    return list(dict.fromkeys(r.origin or own[r.machine_noted] for r in runs))


def comparison_metrics(agents: Metrics, baselines: Metrics) -> Json:
    """{suite: {task: {agent: [VIPER against a baseline or a column]}}}."""
    return {
        suite: {
            task: {
                agent: [c.as_json() for c in compare(columns, baselines.get(suite, {}).get(task, {}))]
                for agent, columns in of_task.items()
            }
            for task, of_task in tasks.items()
        }
        for suite, tasks in agents.items()
    }


def baseline_metrics(levels: Sequence[Baselines]) -> Json:
    """{suite: {task: {expert_return, and of random and idle: return, std, episodes}}}; null where unknown."""

    def known(value: float | None) -> float | None:
        return None if value is None or math.isnan(value) else value

    table: Json = {}
    for level in levels:
        block: Json = {
            "expert_return": known(level.expert),
            "random_return": known(level.random),
            "idle_return": known(level.idle),
        }
        for kind in BASELINE_KINDS:
            returns = level.episodes.get(kind, ())
            block[f"{kind}_std"] = known(float(np.std(returns, ddof=1))) if len(returns) > 1 else None
            block[f"{kind}_episodes"] = len(returns)
        table.setdefault(level.suite, {})[level.task] = block
    return table


def reward_summary(artifact: ModelArtifact) -> Json:
    """How well an evaluated reward separates experts from others: means over tasks, and every number by task."""
    mode = artifact.config.get("reward", {}).get("mode", "conditional")
    tasks = {
        task: reward_metrics(*unpack(task, artifact.tensors), unpack_frames(task, artifact.tensors), mode)
        for task in artifact.config["scales"]
    }
    for task, gate in artifact.config.get("gates", {}).items():
        tasks[task]["gate"] = gate
    means = {}
    for name in AVERAGED:
        values = [t[name]["value"] for t in tasks.values() if t[name]]
        means[name] = float(np.mean(values)) if values else None
    return {"mode": mode, **means, "tasks": tasks}


def build_metrics(
    runs: Sequence[RunResult],
    levels: Sequence[Baselines],
    rewards: Mapping[str, Metrics],
    costs: JsonView,
    methods: Mapping[str, Sequence[str]] | None = None,
) -> Json:
    """All of metrics.json but the run records.

    rewards: suite -> model -> `reward_summary`; costs: node -> cost; methods: suite -> its `methods` of params.yaml,
    each of which has its place in every table, run or not.
    """
    agents, baselines = agent_metrics(runs), baseline_metrics(levels)
    return {
        "methods": {suite: list(names) for suite, names in (methods or {}).items()},
        "agents": agents,
        "comparisons": comparison_metrics(agents, baselines),
        "aggregates": suite_metrics(runs, levels),
        "baselines": baselines,
        "rewards": dict(rewards),
        "costs": dict(costs),
    }


def headline(metrics: Metrics) -> Json:
    """What `dvc metrics` shows of them, few numbers: {score: {agent: {method: mean over tasks}}, AUROC: {model: mean}}.

    A score is 0 where play is random and 1 at the expert's return; in suites that say otherwise, in their own unit.
    AUROCs are against the hardest of random, idle and noisy play. metrics.json has every task.
    """
    score = {
        agent: {
            method: round(row["mean"]["value"], 3)
            for method, row in (whole.get("expert_normalized") or whole["methods"]).items()
        }
        for agents in metrics["aggregates"].values()
        for agent, whole in agents.items()
    }
    found: Json = {"score": score} if score else {}
    for models in metrics["rewards"].values():
        for model, numbers in models.items():
            for name in AVERAGED:
                if numbers[name] is not None:
                    found.setdefault(name, {})[model] = round(numbers[name], 4)
    return found


def curve_points(runs: Sequence[RunResult]) -> list[Json]:
    """curves.csv: one row per point of every run's curve."""
    return [
        {
            "suite": r.suite,
            "task": r.task,
            "method": r.column,
            "agent": r.agent,
            "seed": r.seed,
            "step": int(step),
            "return_mean": round(float(value), 3),
        }
        for r in runs
        for step, value in zip(r.steps, r.returns, strict=True)
    ]
