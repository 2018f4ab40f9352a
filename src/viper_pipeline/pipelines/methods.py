"""Which tasks are learned by which methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def learned(spec: Mapping[str, Any]) -> dict[str, list[str]]:
    """Method -> the tasks it learns, of a suite's block: `methods` learn all, `more_methods` those they name."""
    return {method: spec["tasks"] for method in spec["methods"]} | spec.get("more_methods", {})
