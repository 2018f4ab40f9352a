"""What an entry of the paper's figures is: its parts, its state, what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from viper_pipeline.reporting.results import Evidence, RunResult

State = Literal["complete", "partial", "missing", "stale"]
SEEDS = 3  # of each run in the paper


@dataclass(frozen=True)
class Part:
    """One thing that the paper's figure shows: a curve, a picture, a column."""

    name: str
    have: int  # seeds, or pictures
    need: int = 1
    note: str = ""  # why it counts for less than the paper's, or is not there
    sources: tuple[str, ...] = ()  # inputs of the report's stages that it is drawn from
    unit: str = "seeds"

    @property
    def whole(self) -> bool:
        """As in the paper: as many seeds, of the same agent."""
        return self.have >= self.need and not self.note


@dataclass(frozen=True)
class Drawn:
    """A picture or a table, and what to know of it."""

    figure: Any  # matplotlib's, or None for a table
    caption: str
    vector: bool = True  # whether lines are drawn; pictures of frames are no better as SVG
    rows: Sequence[Sequence[str]] = ()  # of a table, its header first


class Feeds(NamedTuple):
    """What a figure takes."""

    words: str
    stages: tuple[str, ...] = ()  # beginnings of their names, from the first on


@dataclass(frozen=True)
class Entry:
    """One figure or table of the paper."""

    name: str  # fig05, table1
    title: str
    plots: str  # what the paper shows
    feeds: Feeds  # which stages and runs it takes
    suites: tuple[str, ...]
    parts: Callable[[Evidence], list[Part]]
    draw: Callable[[Evidence], Drawn]
    remark: str = ""  # what to know of the paper's own

    def state(self, evidence: Evidence, stale: Collection[str] = ()) -> State:
        """stale: the inputs that are no longer what their recipe would make."""
        parts = self.parts(evidence)
        if not any(part.have for part in parts):
            return "missing"
        if any(source in stale for part in parts for source in part.sources):
            return "stale"
        return "complete" if all(part.whole for part in parts) else "partial"

    def missing(self, evidence: Evidence) -> list[str]:
        """What the paper shows and this does not, a line a reason."""
        lines: dict[str, list[str]] = {}
        for part in self.parts(evidence):
            if not part.whole:
                short = f"{part.have} of {part.need} {part.unit}" if part.have and part.need > part.have else ""
                reason = "; ".join(text for text in (short, part.note) if text) or "not made"
                lines.setdefault(reason, []).append(part.name)
        return [f"{shortened(names)}: {reason}" for reason, names in lines.items()]


def shortened(names: Sequence[str], most: int = 4) -> str:
    """A list for people: the first few, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def run_source(run: RunResult) -> str:
    """The name under which a run is an input of the report's stages."""
    return f"run__{run.suite}__{run.task}__{run.method}__{run.agent}__{run.seed}"


def runs_part(
    evidence: Evidence, suite: str, task: str, method: str, agents: Sequence[str], paper_agent: str = "dreamer"
) -> Part:
    """Seeds of a run that the paper made with DreamerV3, or with what `paper_agent` says."""
    found = evidence.runs_of(suite, task, method, agents)
    other = found and not found[0].agent.startswith(paper_agent)
    note = f"{found[0].agent} in the place of the paper's agent" if other else ""
    return Part(f"{task} {method}", len(found), SEEDS, note, tuple(run_source(run) for run in found))


def budget(runs: Sequence[RunResult]) -> str:
    """How much training a figure's runs had, in words."""
    if not runs:
        return "no runs of ours"
    tasks = len({(r.suite, r.task) for r in runs})
    kinds = [(r.suite, r.task, r.method, r.agent) for r in runs]
    seeds = sorted({kinds.count(kind) for kind in kinds})
    steps = sorted({r.budget for r in runs})
    frames = sorted({r.budget * r.action_repeat for r in runs})

    def span(values: Sequence[int]) -> str:
        return f"{values[0]:,}" if values[0] == values[-1] else f"{values[0]:,} to {values[-1]:,}"

    episodes = sorted({r.judged for r in runs})
    return (
        f"ours: {tasks} task{'s' if tasks > 1 else ''}, n = {span(seeds)} seed{'s' if seeds[-1] > 1 else ''} "
        f"a method, {span(steps)} agent steps ({span(frames)} frames) of {', '.join(sorted({r.agent for r in runs}))}, "
        f"{span(episodes)} fresh episodes a seed at the end"
    )
