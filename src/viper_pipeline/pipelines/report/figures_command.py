"""`viper figures`: every figure and table of the paper, and how much of it has been run here."""

from __future__ import annotations

from pathlib import Path

from viper_pipeline.files import atomic_write
from viper_pipeline.pipelines.report.on_disk import evidence_on_disk
from viper_pipeline.results.paper_figures.files import INDEX, paper_files
from viper_pipeline.results.paper_figures.registry import entries

REASONS = 4  # that are printed of a figure


def figures_command(root: Path, suite: str | None, draw: Path | None) -> None:
    """Print a line a figure with its state and what is missing; with `draw`, write them all into that folder."""
    chosen = entries(suite)
    evidence, stale = evidence_on_disk(root, suite)
    counts: dict[str, int] = {}
    for entry in chosen:
        state = entry.state(evidence, stale)
        counts[state] = counts.get(state, 0) + 1
        print(f"{entry.name:7} {state:9} {entry.title}: {entry.plots}")
        reasons = entry.missing(evidence)
        for reason in reasons[:REASONS]:
            print(f"{'':18}{reason}")
        if len(reasons) > REASONS:
            print(f"{'':18}and {len(reasons) - REASONS} more reasons")
    print(", ".join(f"{number} {state}" for state, number in sorted(counts.items())))
    if draw is not None:
        files = paper_files(evidence, chosen)
        for name, content in files.items():
            atomic_write(draw / name, content)
        print(f"{draw}: {len(files) - 1} files, and {INDEX} with their captions")
