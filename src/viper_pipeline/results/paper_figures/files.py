"""Figures as files: PNG, SVG where lines are drawn, CSV for tables, and a list of what they show."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from viper_pipeline.results.evidence import Evidence
from viper_pipeline.results.paper_figures.entry import Drawn, Entry
from viper_pipeline.results.style import as_png, as_svg

INDEX = "paper.json"


def paper_files(evidence: Evidence, entries: Sequence[Entry]) -> dict[str, bytes]:
    """Every entry that has anything to show, and INDEX: name, state, caption, files and what is missing of each."""
    files: dict[str, bytes] = {}
    index = []
    for entry in entries:
        state, caption, names = entry.state(evidence), "", []
        if state != "missing":
            drawn = entry.draw(evidence)
            mine = as_files(entry.name, drawn)
            files |= mine
            caption, names = drawn.caption, sorted(mine)
        index.append(
            {
                "name": entry.name,
                "title": entry.title,
                "plots": entry.plots,
                "feeds": entry.feeds.words,
                "remark": entry.remark,
                "state": state,
                "missing": entry.missing(evidence),
                "caption": caption,
                "files": names,
            }
        )
    return files | {INDEX: (json.dumps(index, indent=1) + "\n").encode()}


def as_files(name: str, drawn: Drawn) -> dict[str, bytes]:
    """The figure is used up."""
    if drawn.rows:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(drawn.rows)
        return {f"{name}.csv": buffer.getvalue().encode()}
    svg = {f"{name}.svg": as_svg(drawn.figure)} if drawn.vector else {}
    return svg | {f"{name}.png": as_png(drawn.figure) if drawn.vector else as_png(drawn.figure, 75, 32)}
