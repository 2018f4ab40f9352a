"""What the numbers say, in words; computed, never assumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ENOUGH = 3
"""Seeds from which on a method is said to beat another; below, the page speaks of the runs that were made."""


def verdicts(methods: Mapping[str, Mapping[str, Any]], floors: Mapping[str, float | None]) -> Iterator[str]:
    """Sentences on whether `viper` beats each floor and each rival, judged by its interval.

    The interval of one seed is made of its episodes alone, so with fewer than `ENOUGH` seeds on either side
    no sentence speaks of methods, only of these runs.
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
        value = floors[f"{kind}_return"]
        if value is not None:
            yield against_floor(kind, value, low, high, seeds)
    for rival in ("exploration", "oracle"):
        if rival in methods:
            yield against_rival(rival, methods[rival], low, high, seeds)
    expert = floors["expert_return"]
    if expert:
        yield f"It reaches {100 * viper['final_return'] / expert:.0f} % of the expert videos' return ({expert:.0f})."


def against_floor(kind: str, value: float, low: float, high: float, seeds: int) -> str:
    """One sentence on `kind` behaviour, whose mean return is `value`."""
    if low <= value <= high:
        return f"VIPER cannot be told from {kind} behaviour ({value:.0f}): the interval holds it."
    if seeds < ENOUGH:
        return f"The runs made ended {'above' if low > value else 'below'} {kind} behaviour ({value:.0f})."
    if low > value:
        return f"VIPER beats {kind} behaviour ({value:.0f}): its whole interval lies above."
    return f"VIPER does worse than {kind} behaviour ({value:.0f})."


def against_rival(rival: str, other: Mapping[str, Any], low: float, high: float, seeds: int) -> str:
    """One sentence on another method with the same budget."""
    if low <= other["ci95_high"] and other["ci95_low"] <= high:
        return f"It cannot be told from method {rival} with this budget: the intervals overlap."
    if min(seeds, other["seeds"]) < ENOUGH:
        return f"The runs made ended {'above' if low > other['ci95_high'] else 'below'} those of method {rival}."
    if low > other["ci95_high"]:
        return f"It beats method {rival}; the intervals do not touch."
    return f"Method {rival} beats it; the intervals do not touch."
