"""What was set otherwise than in the paper's profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from viper_pipeline.results.paper_figures.tables import same, words

BY_TASK = ("datasets", "oracles")
"""Blocks with a part for each task; tasks that were not run are no difference of settings."""
UNSET = "not set"


class Difference(NamedTuple):
    """One setting."""

    field: str
    ours: str
    paper: str


def flat(block: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (dotted name, printed value)."""
    if isinstance(block, Mapping):
        for key, value in block.items():
            yield from flat(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, words(block)


def differences(ours: Mapping[str, Any], paper: Mapping[str, Any]) -> list[Difference]:
    """Two blocks of a suite -> the settings whose printed values differ, in the order of ours, then the paper's."""
    tasks = set(ours.get("tasks", []))
    mine, theirs = dict(flat(ours)), dict(flat(paper))

    def counts(field: str) -> bool:
        block, _, rest = field.partition(".")
        return block not in BY_TASK or rest.split(".")[0] in tasks

    return [
        Difference(field, mine.get(field, UNSET), theirs.get(field, UNSET))
        for field in dict.fromkeys([*mine, *theirs])
        if counts(field) and not same(mine.get(field, UNSET), theirs.get(field, UNSET))
    ]
