"""Node functions with the grid's own values (a task, a seed) filled in, and the naming of nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any

from kedro.pipeline import Node


def bind(function: Callable, **values: Any) -> Callable:
    """A node function with `values` fixed. They are places in the grid, not parameters."""
    return update_wrapper(partial(function, **values), function)


def stage(suite: str, name: str, item: str, function: Callable, inputs: Any, outputs: Any) -> Node:
    """A node called `<suite>.<stage>.<item>`: DVC's address of it is `pipelines/<suite>/dvc.yaml:<stage>@<item>`."""
    return Node(function, inputs, outputs, name=item, namespace=f"{suite}.{name}")
