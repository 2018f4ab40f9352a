"""What the numbers say, in words; computed, never assumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def verdicts(methods: Mapping[str, Mapping[str, Any]], floors: Mapping[str, float | None]) -> Iterator[str]:
    """Sentences on whether `viper` beats each floor and each rival, judged by its interval."""
    viper = methods.get("viper")
    if viper is None:
        yield "There is no run of VIPER on this task."
        return
    low, high, seeds = viper["ci95_low"], viper["ci95_high"], viper["seeds"]
    for kind in ("random", "idle"):
        value = floors[f"{kind}_return"]
        if value is None:
            continue
        if low > value:
            yield f"VIPER beats {kind} behaviour ({value:.0f}): its whole interval lies above."
        elif high < value:
            yield f"VIPER does worse than {kind} behaviour ({value:.0f})."
        else:
            yield f"VIPER cannot be told from {kind} behaviour ({value:.0f}): the interval holds it."
    for rival in ("exploration", "oracle"):
        if rival not in methods:
            continue
        other = methods[rival]
        if low > other["ci95_high"]:
            yield f"It beats method {rival}; the intervals do not touch."
        elif high < other["ci95_low"]:
            yield f"Method {rival} beats it; the intervals do not touch."
        else:
            yield f"It cannot be told from method {rival} with this budget: the intervals overlap."
    if seeds < 3:
        yield f"With {seeds} seed{'s' if seeds > 1 else ''} the interval says nothing of how much seeds differ."
    expert = floors["expert_return"]
    if expert:
        yield f"It reaches {100 * viper['final_return'] / expert:.0f} % of the expert videos' return ({expert:.0f})."
