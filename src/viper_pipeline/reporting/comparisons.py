"""VIPER against every other method and every baseline on a task: what the seeds show, and the sentence that says it.

A sentence claims a difference only by a test over at least `ENOUGH` seeds on both sides, which it names with its p.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from viper_pipeline.core.files import Json
from viper_pipeline.reporting.plots import method_style
from viper_pipeline.reporting.results import SUCCESS_SUITES, Metrics
from viper_pipeline.reporting.statistics import ENOUGH, Sample, permutation_test, t_interval, welch_test

ALPHA = 0.05
BASELINE_KINDS = ("random", "idle")
OURS = "viper"


@dataclass(frozen=True)
class Comparison:
    """VIPER against one other column of a task's table."""

    against: str  # a baseline, or a column of the table
    baseline: bool
    ours: float  # mean over seeds
    theirs: float  # mean over seeds; of a baseline, over episodes
    seeds: int  # of VIPER
    count: int  # of the other: seeds, or episodes of a baseline; 0 if it is not known
    above: int  # seeds of VIPER above the other's mean
    test: str | None = None  # its name; None if there are too few seeds for one
    p: float | None = None  # two-sided

    @property
    def shown(self) -> bool:
        """Whether the test finds a difference."""
        return self.p is not None and self.p < ALPHA

    @property
    def better(self) -> bool:
        """VIPER is above, and the test shows it."""
        return self.shown and self.ours > self.theirs

    def as_json(self) -> Json:
        """For metrics.json."""
        return asdict(self)


def compare(methods: Mapping[str, Metrics], levels: Mapping[str, float | None]) -> list[Comparison]:
    """VIPER against both baselines, then against every other column.

    methods: column -> its row of metrics.json; levels: the task's baselines. A baseline's own error counts: its
    episodes are one side of Welch's t-test, VIPER's seeds are the other.
    """
    viper = methods.get(OURS)
    if viper is None:
        return []
    ours = viper["per_seed"]
    found = []
    for kind in BASELINE_KINDS:
        value = levels.get(f"{kind}_return")
        if value is None:
            continue
        count, std = int(levels.get(f"{kind}_episodes") or 0), levels.get(f"{kind}_std")
        test = None
        if len(ours) >= ENOUGH and count > 1 and std is not None:
            test = welch_test(Sample.of(ours), Sample(value, std, count))
        found.append(_comparison(kind, True, ours, value, count, *(test or (None, None))))
    for column, row in methods.items():
        if column == OURS:
            continue
        theirs = row["per_seed"]
        enough = min(len(ours), len(theirs)) >= ENOUGH
        test = permutation_test(ours, theirs) if enough else None
        found.append(_comparison(column, False, ours, row["final_return"], len(theirs), *(test or (None, None))))
    return found


def _comparison(
    against: str,
    baseline: bool,
    ours: Sequence[float],
    theirs: float,
    count: int,
    test: str | None,
    p: float | None,
) -> Comparison:
    mean, above = sum(ours) / len(ours), sum(value > theirs for value in ours)
    return Comparison(against, baseline, mean, theirs, len(ours), count, above, test, p)


def score_text(suite: str, value: float) -> str:
    """A task's result as text: success in percent, else a return or score."""
    if suite in SUCCESS_SUITES:
        return f"{100 * value:.0f} %"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"


def p_text(p: float) -> str:
    """p = 0.012, or p < 0.001."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def count_text(number: int, word: str) -> str:
    """1 seed, 3 seeds."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def other_name(comparison: Comparison) -> str:
    """The other side, in a sentence."""
    return (
        f"{comparison.against} behavior" if comparison.baseline else f"method {method_style(comparison.against).label}"
    )


def sentence(suite: str, comparison: Comparison) -> str:
    """What is to be said of VIPER against one other."""
    c, name = comparison, other_name(comparison)
    theirs = score_text(suite, c.theirs)
    of = "" if not c.count else f" of {count_text(c.count, 'episode' if c.baseline else 'seed')}"
    if c.p is None:
        higher = f"{c.above} of {count_text(c.seeds, 'seed')} of VIPER above it"
        why = (
            f"too few seeds for a test (from {ENOUGH} on)"
            if c.seeds < ENOUGH or not c.baseline
            else "its error unknown"
        )
        return f"{name[:1].upper()}{name[1:]}: {theirs}{of}, {higher}; {why}."
    by = f"{p_text(c.p)}, {c.test}, {count_text(c.seeds, 'seed')} against {c.count} {'episodes' if c.baseline else ''}"
    by = f"({by.strip()}; {theirs} against VIPER's {score_text(suite, c.ours)})"
    if not c.shown:
        return f"No difference from {name} is shown {by}."
    return f"VIPER beats {name} {by}." if c.better else f"VIPER does worse than {name} {by}."


def seeds_sentence(suite: str, viper: Metrics) -> str:
    """What VIPER's seeds got, with an interval if there are seeds for one."""
    values, points = viper["per_seed"], ", ".join(score_text(suite, value) for value in viper["per_seed"])
    mean, interval = score_text(suite, viper["final_return"]), t_interval(values)
    if len(values) == 1:
        return f"VIPER has 1 seed here: {mean} over {count_text(viper['episodes'], 'episode')}. One run is no method."
    if interval is None:
        return f"VIPER has {len(values)} seeds here: {points}; too few for an interval."
    span = f"95 % t-interval {score_text(suite, interval[0])} to {score_text(suite, interval[1])}"
    if len(values) < ENOUGH:
        return f"VIPER's {len(values)} seeds got {points}: mean {mean}, {span}. Too few for a test."
    return f"VIPER: mean {mean} of {len(values)} seeds, {span}."


def place_sentence(suite: str, value: float, levels: Mapping[str, float | None]) -> str | None:
    """Where VIPER stands between random behavior and the expert videos; None if that is not known.

    A plain share of the experts' return would say nothing for returns whose zero is arbitrary.
    """
    random, expert = levels.get("random_return"), levels.get("expert_return")
    if random is None or expert is None:
        return None
    low, high = score_text(suite, random), score_text(suite, expert)
    if expert <= random:
        return f"The expert videos ({high}) are no better than random behavior ({low})."
    share = normalized_by_expert(value, random, expert)
    if share < 0:
        return f"Its mean is below random behavior ({low}); the expert videos have {high}."
    return f"Its mean is {100 * share:.0f} % of the way from random behavior ({low}) to the expert videos ({high})."


def normalized_by_expert(value: float, random: float, expert: float) -> float:
    """The expert-normalized return: random behavior is 0, the expert videos are 1."""
    return (value - random) / (expert - random)


class VerdictRow(NamedTuple):
    """VIPER against one other, as texts."""

    against: str
    difference: str  # of means
    above: str  # seeds of VIPER above the other's mean
    n: str
    p: str
    test: str
    verdict: str


def verdict_rows(suite: str, methods: Mapping[str, Metrics], levels: Mapping[str, float | None]) -> list[VerdictRow]:
    """VIPER against each baseline and each column. A verdict takes a test, and a test `ENOUGH` seeds on both sides."""
    rows = []
    for c in compare(methods, levels):
        few = c.seeds < ENOUGH or not c.baseline
        untested = f"not tested: fewer than {ENOUGH} seeds" if few else "not tested: the baseline's error is unknown"
        tested = ("viper is higher" if c.better else "viper is lower") if c.shown else "no difference shown"
        other = count_text(c.count, "episode" if c.baseline else "seed") if c.count else "unknown"
        difference = 100 * (c.ours - c.theirs) if suite in SUCCESS_SUITES else c.ours - c.theirs
        rows.append(
            VerdictRow(
                c.against,
                f"{difference:+.0f}{' points' if suite in SUCCESS_SUITES else ''}",
                f"{c.above} of {c.seeds}",
                f"{c.seeds} against {other}",
                "" if c.p is None else p_text(c.p).removeprefix("p = ").removeprefix("p "),
                c.test or "",
                untested if c.p is None else tested,
            )
        )
    return rows


def remarks(
    methods: Mapping[str, Metrics], levels: Mapping[str, float | None], wanted: Sequence[str] = ()
) -> Iterator[str]:
    """What a task's tables do not say by themselves. wanted: the suite's `methods`, of which every one is named."""
    if wanted and OURS not in methods:
        yield "There is no run of VIPER on this task."
    random, expert = levels.get("random_return"), levels.get("expert_return")
    if random is not None and expert is not None and expert <= random:
        yield "The expert videos are no better than random behavior, so that charts leave this task out."
    missing = [method_style(name).label for name in wanted if name not in methods and name != OURS]
    if missing:
        yield f"Not run on this task: {', '.join(missing)}."


def verdicts(
    suite: str,
    methods: Mapping[str, Metrics],
    levels: Mapping[str, float | None],
    wanted: Sequence[str] = (),
) -> Iterator[str]:
    """Sentences on a task: VIPER's seeds, VIPER against each baseline and each column, and methods that were not run.

    wanted: the suite's `methods`, of which every one is named.
    """
    viper = methods.get(OURS)
    if viper is None:
        yield "There is no run of VIPER on this task."
    else:
        yield seeds_sentence(suite, viper)
        for comparison in compare(methods, levels):
            yield sentence(suite, comparison)
        if (place := place_sentence(suite, viper["final_return"], levels)) is not None:
            yield place
    missing = [method_style(name).label for name in wanted if name not in methods and name != OURS]
    if missing:
        yield f"Not run on this task: {', '.join(missing)}."
