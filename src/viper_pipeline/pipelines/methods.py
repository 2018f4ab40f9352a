"""Which tasks are learned, and by which methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def learned_tasks(spec: Mapping[str, Any]) -> list[str]:
    """The tasks of a suite's block that its models and agents learn: `learned_tasks`, or all."""
    return spec.get("learned_tasks") or spec["tasks"]


def learned(spec: Mapping[str, Any]) -> dict[str, list[str]]:
    """Method -> the tasks it learns, of a suite's block: `methods` learn all, `more_methods` those they name."""
    return {method: learned_tasks(spec) for method in spec["methods"]} | spec.get("more_methods", {})
