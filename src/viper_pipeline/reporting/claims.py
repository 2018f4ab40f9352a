"""The paper's claims, and what the numbers of the reports say of each: n, effect, interval, verdict.

A claim that one method does better than another is judged by a test over seeds; without the seeds for one, or without
runs, it counts as not tested, whatever the means are. A claim on the reward is judged by its AUROCs' intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from viper_pipeline.core.files import JsonView
from viper_pipeline.reporting.comparisons import ALPHA, compare, count_text, p_text
from viper_pipeline.reporting.metrics import normalized, unit
from viper_pipeline.reporting.paper_data import PAPER_TASKS
from viper_pipeline.reporting.plots import method_style
from viper_pipeline.reporting.results import Metrics
from viper_pipeline.reporting.statistics import ENOUGH, difference_interval, over_seeds, permutation_test, task_mean
from viper_pipeline.rewards.methods import RATIO_MODEL

REPRODUCED, CONTRADICTED, NOT_SHOWN, NOT_TESTED = "reproduced", "contradicted", "not shown", "not tested"
SuiteMetrics = Mapping[str, Metrics]
"""Suite -> its metrics.json."""


class Judged(NamedTuple):
    """What the reports have on a claim."""

    ours: str
    n: str
    effect: str
    interval: str
    verdict: str


class ClaimRow(NamedTuple):
    """One row of the table of claims."""

    where: str  # in the paper
    claim: str
    ours: str
    n: str
    effect: str
    interval: str
    verdict: str


def likelihoods_of(suites: SuiteMetrics, suite: str) -> Metrics:
    """Model -> its numbers, of the rewards that the paper speaks of: the likelihood ratio is not in it."""
    models = suites.get(suite, {}).get("rewards", {}).get(suite, {})
    return {name: numbers for name, numbers in models.items() if name != RATIO_MODEL}


def nothing(ours: str) -> Judged:
    """No run of ours speaks to the claim."""
    return Judged(ours, "0", "", "", NOT_TESTED)


def elsewhere(page: str) -> Callable[[SuiteMetrics], Judged]:
    """A claim that no number of metrics.json judges; what there is stands on a page."""
    return lambda suites: Judged(page, "", "", "", f"{NOT_TESTED} over seeds")


class Sides(NamedTuple):
    """Two methods on the tasks that both have, by one agent."""

    agent: str
    tasks: list[str]
    ours: list[np.ndarray]  # per task, the normalized score of each seed
    theirs: list[np.ndarray]


def sides_of(metrics: Metrics, suite: str, ours: str, theirs: str) -> Iterator[Sides]:
    """One per agent that has both methods on some task."""
    found: dict[str, list[tuple[str, np.ndarray, np.ndarray]]] = {}
    for task, agents in metrics["agents"].get(suite, {}).items():
        for agent, columns in agents.items():
            if ours in columns and theirs in columns:
                scores = [
                    np.array([normalized(suite, task, value) for value in columns[name]["per_seed"]])
                    for name in (ours, theirs)
                ]
                found.setdefault(agent, []).append((task, scores[0], scores[1]))
    for agent, rows in found.items():
        tasks, mine, other = (list(column) for column in zip(*rows, strict=True))
        yield Sides(agent, tasks, mine, other)


def better_than(suite: str, ours: str, theirs: str) -> Callable[[SuiteMetrics], Judged]:
    """The claim that a method of ours does better than another, on average over the tasks of a suite."""

    def judge(suites: SuiteMetrics) -> Judged:
        names = " - ".join(method_style(name).label for name in (ours, theirs))
        found = list(sides_of(suites[suite], suite, ours, theirs)) if suite in suites else []
        if not found:
            return nothing(f"{suite}: no task has both {names.replace(' - ', ' and ')}")
        sides = max(found, key=lambda side: (len(side.tasks), min(map(len, side.ours))))
        mine, other = over_seeds(task_mean, sides.ours), over_seeds(task_mean, sides.theirs)
        span = difference_interval(mine, other)
        between = f"{span[0]:.2f} to {span[1]:.2f}" if span else ""
        many = f"{count_text(len(sides.tasks), 'task')} x {len(mine)} and {count_text(len(other), 'seed')}"
        effect = f"{mine.mean() - other.mean():+.2f} ({unit(suite)})"
        verdict = verdict_of(mine, other)
        return Judged(f"{suite}, {sides.agent}: {names}", many, effect, between, verdict)

    return judge


def verdict_of(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Of the claim that ours is greater; values: one per seed."""
    if min(len(ours), len(theirs)) < ENOUGH:
        return f"{NOT_TESTED}: fewer than {ENOUGH} seeds"
    test = permutation_test(ours.tolist(), theirs.tolist())
    outcome = NOT_SHOWN if test.p >= ALPHA else REPRODUCED if ours.mean() > theirs.mean() else CONTRADICTED
    return f"{outcome} ({p_text(test.p)})"


def above_baselines(suite: str) -> Callable[[SuiteMetrics], Judged]:
    """The claim that agents learn from the reward: they end above random and above idle behavior, task by task."""

    def judge(suites: SuiteMetrics) -> Judged:
        metrics = suites.get(suite, {"agents": {}, "baselines": {}})
        levels = metrics["baselines"].get(suite, {})
        compared = [
            [c for c in compare(columns, levels.get(task, {})) if c.baseline]
            for task, agents in metrics["agents"].get(suite, {}).items()
            for columns in agents.values()
        ]
        rows = [row for row in compared if row]
        if not rows:
            return nothing(f"{suite}: VIPER against random and idle behavior")
        seeds = min(c.seeds for row in rows for c in row)
        tested = [row for row in rows if all(c.p is not None for c in row)]
        won = sum(all(c.better for c in row) for row in tested)
        lost = sum(any(c.shown and not c.better for c in row) for row in tested)
        effect = f"above both on {won} of {count_text(len(tested), 'tested task')}" if tested else ""
        if lost:
            effect += f", below one of them on {lost}"
        verdict = f"{NOT_TESTED}: fewer than {ENOUGH} seeds"
        if tested:
            verdict = (
                REPRODUCED if won == len(tested) else CONTRADICTED if lost == len(tested) else "reproduced in part"
            )
            verdict = NOT_SHOWN if not won and lost < len(tested) else verdict
        many = f"{count_text(len(rows), 'task')} x {count_text(seeds, 'seed')} at least"
        return Judged(f"{suite}: VIPER against random and idle behavior", many, effect, "", verdict)

    return judge


def separates(suite: str, hardest: bool) -> Callable[[SuiteMetrics], Judged]:
    """The claim that experts score above others: random behavior, as in the paper, or the hardest kind of play."""

    def judge(suites: SuiteMetrics) -> Judged:
        models = likelihoods_of(suites, suite)
        against = "the hardest play" if hardest else "random play"
        what = f"{suite}: AUROC of single frames against {against}"
        found = []
        for numbers in models.values():
            for task in numbers["tasks"].values():
                value = task.get("auroc_frame") if hardest else task["kinds"].get("random", {}).get("auroc_frame")
                if value:
                    found.append(value)
        if not found:
            return nothing(what)
        values = [row["value"] for row in found]
        lows = [
            row["ci95_low"] if row["ci95_low"] is not None else (1.0 if row["value"] == 1 else 0.0) for row in found
        ]
        shown = sum(low > 0.5 for low in lows)
        worse = sum(row["ci95_high"] is not None and row["ci95_high"] < 0.5 for row in found)
        verdict = (
            REPRODUCED
            if shown == len(found)
            else CONTRADICTED
            if worse == len(found)
            else f"{REPRODUCED} on {shown} of {len(found)}"
            if shown
            else NOT_SHOWN
        )
        many = f"{count_text(len(found), 'task')} x 1 model"
        effect = f"{min(values):.3f} to {max(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"
        return Judged(what, many, effect, f"lower ends {min(lows):.3f} to {max(lows):.3f}", verdict)

    return judge


def correlates(suite: str) -> Callable[[SuiteMetrics], Judged]:
    """The claim that the likelihood of an episode goes with its return: within noisy play, task by task."""

    def judge(suites: SuiteMetrics) -> Judged:
        models = likelihoods_of(suites, suite)
        what = f"{suite}: Spearman within noisy play"
        rows = [t.get("spearman", {}).get("contrast") for m in models.values() for t in m["tasks"].values()]
        known = [row for row in rows if row and row["value"] is not None]
        if not known:
            return nothing(what)
        values = [row["value"] for row in known]
        high = sum(row["value"] > least_significant(row["videos"]) for row in known)
        verdict = REPRODUCED if high == len(known) else f"{REPRODUCED} on {high} of {len(known)}" if high else NOT_SHOWN
        many = f"{count_text(len(known), 'task')}, {min(row['videos'] for row in known)} videos each at least"
        return Judged(what, many, f"{min(values):.2f} to {max(values):.2f}", "", verdict)

    return judge


def least_significant(videos: int) -> float:
    """The rank correlation of so many videos that chance exceeds in 2.5 % of cases, by Student's t; 1 for very few."""
    import scipy

    if videos < ENOUGH:
        return 1.0
    t = scipy.stats.t.ppf(1 - ALPHA / 2, videos - 2)
    return float(t / (videos - 2 + t**2) ** 0.5)


def all_tasks(suite: str) -> Callable[[SuiteMetrics], Judged]:
    """The claim that one model serves all tasks of a suite."""

    def judge(suites: SuiteMetrics) -> Judged:
        models = likelihoods_of(suites, suite)
        most = max((list(m["tasks"]) for m in models.values()), key=len, default=[])
        wanted = PAPER_TASKS[suite]
        what = f"{suite}: one model of {count_text(len(most), 'task')}"
        covered = len(set(most) & set(wanted))
        verdict = f"{NOT_TESTED}: {covered} of the paper's {len(wanted)} tasks"
        if covered == len(wanted):
            verdict = separates(suite, True)(suites).verdict
        return Judged(what, f"{len(most)} tasks x 1 model" if most else "0", "", "", verdict)

    return judge


def ablation(axis: str, better: str, worse: Sequence[str]) -> Callable[[SuiteMetrics, JsonView | None], Judged]:
    """The claim that a value of an axis of Fig 9 does best; `own` stands for the suite's own value."""

    def judge(_: SuiteMetrics, ablations: JsonView | None) -> Judged:
        rows = (ablations or {}).get("axes", {}).get(axis, {})
        best = next((row for value, row in rows.items() if (row["own"] if better == "own" else value == better)), None)
        others = {value: row for value, row in rows.items() if value in worse and row is not best}
        if not best or not others:
            return nothing(f"ablations: {axis} {better} against {', '.join(worse)}")
        parts, verdicts, spans = [], [], []
        for value, row in others.items():
            mine, other = (np.array(r.get("per_seed") or [r["final_return"]]) for r in (best, row))
            parts.append(f"{mine.mean() - other.mean():+.0f} against {value}")
            span = difference_interval(mine, other)
            spans += [f"{span[0]:.0f} to {span[1]:.0f}"] if span else []
            verdicts.append(verdict_of(mine, other))
        many = f"1 task x {count_text(min(r['seeds'] for r in (best, *others.values())), 'seed')} at least"
        verdict = "; ".join(dict.fromkeys(verdicts))
        return Judged(f"{(ablations or {}).get('task', '')}: {axis}", many, ", ".join(parts), "; ".join(spans), verdict)

    return judge


Judge = Callable[[SuiteMetrics], Judged]


def claims() -> Sequence[tuple[str, str, Judge]]:
    """Where each claim stands, what it says, and who judges it. A function: importing this module builds nothing."""
    return (
        ("Fig 5, left", "experts are more likely than random behavior", separates("dmc", False)),
        ("", "the same, against the hardest of random, idle and noisy play (not in the paper)", separates("dmc", True)),
        ("Fig 5, right", "the likelihood of an episode goes with its return", correlates("dmc")),
        ("Alg 1", "an agent learns from it", above_baselines("dmc")),
        ("", "and not from the bonus alone", better_than("dmc", "viper", "exploration")),
        ("Figs 3, 12", "VIPER does better than AMP", better_than("dmc", "viper", "amp")),
        ("", "VIPER does better than AMP of all tasks", better_than("dmc", "viper", "amp_multi")),
        ("", "AMP does better than AMP of all tasks", better_than("dmc", "amp", "amp_multi")),
        ("", "the agent with the true reward does better than VIPER", better_than("dmc", "task_reward", "viper")),
        ("4.1", "one model serves all tasks", all_tasks("dmc")),
        ("Fig 11", "Atari: experts are more likely than random behavior", separates("atari", False)),
        ("", "Atari: an agent learns from it", above_baselines("atari")),
        ("", "Atari: VIPER does better than AMP", better_than("atari", "viper", "amp")),
        ("Fig 10", "RLBench: VIPER does better than true reward", better_than("rlbench", "viper", "task_reward")),
        ("Fig 6", "a mask over the score helps an agent", elsewhere("atari's page, Fig 6")),
        ("Figs 7, 8", "the reward holds for an unseen arm and task", elsewhere("tabletop's page, what was held out")),
    )  # fmt: skip


def ablation_claims() -> Sequence[tuple[str, str, Callable[..., Judged]]]:
    """The same of Fig 9; judges get the ablations' metrics as well."""
    return (
        ("Fig 9, exploration", "the bonus helps (beta 1 > 0.5 > 0)", ablation("beta", "own", ("0.5", "0.0"))),
        ("Fig 9, model", "VideoGPT > BYOL > MaskGIT", ablation("model", "own", ("byol", "maskgit"))),
        ("Fig 9, context", "more context helps", ablation("context", "own", ("2", "1"))),
    )


def claim_rows(suites: SuiteMetrics, ablations: JsonView | None = None) -> list[ClaimRow]:
    """The table. suites: suite -> its metrics.json; ablations: the metrics.json of the ablations, if there are any."""
    rows = [ClaimRow(where, claim, *judge(suites)) for where, claim, judge in claims()]
    return rows + [ClaimRow(where, claim, *judge(suites, ablations)) for where, claim, judge in ablation_claims()]
