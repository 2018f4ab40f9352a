"""The way from sources to results as a drawing: one box a stage, however many tasks and seeds it ran for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 178, 40, 226, 58, 8
"""Of a box, and from one to the next, in pixels."""


def stage_of(step: Mapping[str, Any]) -> str:
    """`dmc.train_agent_viper.cartpole_balance-drq-0` -> `dmc.train_agent_viper`."""
    return str(step["stage"]).rpartition(".")[0] or str(step["stage"])


def stages(steps: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """steps: path -> {stage, parents} -> artifacts that each stage made, and which stage feeds which.

    Parents that no stage made are sources, under their own path.
    """
    counts: dict[str, int] = {}
    edges: set[tuple[str, str]] = set()
    for step in steps.values():
        name = stage_of(step)
        counts[name] = counts.get(name, 0) + 1
        for parent in step.get("parents", {}):
            source = stage_of(steps[parent]) if parent in steps else parent
            if source not in counts and parent not in steps:
                counts[source] = 1
            if source != name:
                edges.add((source, name))
    return counts, edges


def depths(names: Mapping[str, int], edges: set[tuple[str, str]]) -> dict[str, int]:
    """The longest way from a source to each stage."""
    found = dict.fromkeys(names, 0)
    for _ in names:  # as many rounds as the longest way can have steps
        deeper = {b: max(found[b], found[a] + 1) for a, b in sorted(edges) if found[a] + 1 > found[b]}
        if not deeper:
            break
        found |= deeper
    return found


def draw_lineage(steps: Mapping[str, Mapping[str, Any]]) -> str:
    """SVG, in the colours of the page around it; empty if nothing is known."""
    counts, edges = stages(steps)
    if not counts:
        return ""
    depth, made = depths(counts, edges), {stage_of(step) for step in steps.values()}
    columns: dict[int, list[str]] = {}
    for name in counts:
        columns.setdefault(depth[name], []).append(name)
    place = {
        name: (MARGIN + column * ACROSS, MARGIN + row * DOWN)
        for column, names in columns.items()
        for row, name in enumerate(names)
    }
    width = max(x for x, _ in place.values()) + WIDTH + MARGIN
    height = max(y for _, y in place.values()) + HEIGHT + MARGIN
    parts = [f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}"']
    parts[0] += ' role="img" aria-label="lineage of the results">'
    for a, b in sorted(edges):
        (x1, y1), (x2, y2) = place[a], place[b]
        start, end, half = x1 + WIDTH, x2, (x2 - x1 - WIDTH) / 2
        line = f"M{start} {y1 + HEIGHT / 2} C{start + half} {y1 + HEIGHT / 2} {end - half} {y2 + HEIGHT / 2}"
        parts.append(f'<path class="edge" d="{line} {end} {y2 + HEIGHT / 2}"/>')
    for name, (x, y) in place.items():
        suite, _, short = name.partition(".") if name in made else ("source", "", name)
        many = f" x {counts[name]}" if counts[name] > 1 else ""
        parts.append(f'<rect class="box" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>')
        parts.append(f'<text x="{x + 8}" y="{y + 17}">{escape(short[-24:])}{many}</text>')
        parts.append(f'<text class="soft" x="{x + 8}" y="{y + 32}">{escape(suite)}</text>')
    return "".join(parts) + "</svg>"
