"""One figure or table of the paper: its parts, its state, and what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from viper_pipeline.reporting.paper_data import PAPER_SEEDS
from viper_pipeline.reporting.plots import method_style
from viper_pipeline.reporting.results import Evidence, Row, RunResult
from viper_pipeline.reporting.run_records import first_few

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FigureState = Literal["complete", "partial", "missing", "stale"]


@dataclass(frozen=True)
class FigurePart:
    """One thing that the paper's figure shows: a curve, a picture, a column."""

    name: str
    have: int  # seeds, or pictures
    need: int = 1
    note: str = ""  # why it counts for less than the paper's, or is not there
    sources: tuple[Row, ...] = ()  # the artifacts that it is drawn from
    unit: str = "seeds"

    @property
    def complete(self) -> bool:
        """As in the paper: as many seeds, of the same agent."""
        return self.have >= self.need and not self.note


@dataclass(frozen=True)
class Drawn:
    """A picture or a table, and what to know of it."""

    figure: Figure | None  # None for a table
    caption: str
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
    parts: Callable[[Evidence], list[FigurePart]]
    draw: Callable[[Evidence], Drawn]
    remark: str = ""  # what to know of the paper's own

    def state(self, evidence: Evidence, stale: Collection[Row] = ()) -> FigureState:
        """stale: the artifacts that their stages would make anew."""
        parts = self.parts(evidence)
        if not any(part.have for part in parts):
            return "missing"
        if any(source in stale for part in parts for source in part.sources):
            return "stale"
        return "complete" if all(part.complete for part in parts) else "partial"

    def missing(self, evidence: Evidence) -> list[str]:
        """What the paper shows and this does not: one line per reason."""
        lines: dict[str, list[str]] = {}
        for part in self.parts(evidence):
            if not part.complete:
                short = f"{part.have} of {part.need} {part.unit}" if part.have and part.need > part.have else ""
                reason = "; ".join(text for text in (short, part.note) if text) or "not made"
                lines.setdefault(reason, []).append(part.name)
        return [f"{first_few(names)}: {reason}" for reason, names in lines.items()]


def runs_part(
    evidence: Evidence, suite: str, task: str, method: str, agents: Sequence[str], paper_agent: str = "dreamer"
) -> FigurePart:
    """Seeds of a method on a task; the paper's were made with `paper_agent`."""
    found = evidence.runs_of(suite, task, method, agents)
    other = found and not found[0].agent.startswith(paper_agent)
    note = f"{found[0].agent} in the place of the paper's agent" if other else ""
    return FigurePart(f"{task} {method_style(method).label}", len(found), PAPER_SEEDS, note, run_rows(found))


def run_rows(runs: Sequence[RunResult]) -> tuple[Row, ...]:
    """The rows of the table that runs come from."""
    return tuple(Row("agents", run.key) for run in runs)


def budget_text(runs: Sequence[RunResult]) -> str:
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

    episodes, agents = sorted({r.final_episodes for r in runs}), ", ".join(sorted({r.agent for r in runs}))
    return (
        f"ours: {tasks} task{'s' if tasks > 1 else ''}, n = {span(seeds)} seed{'s' if seeds[-1] > 1 else ''} "
        f"per method, {span(steps)} agent steps ({span(frames)} frames) of {agents}, "
        f"{span(episodes)} fresh episodes per seed at the end"
    )
