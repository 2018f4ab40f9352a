"""Names of nodes and of their inputs; node functions with values of the grid (a task, a seed) filled in.

A node that reads many artifacts has one input per file, so that DVC knows each of them. Such an input is called
`<kind>__<part of the key>__...`, for example `experts__dmc__pong`. Only this module joins and splits these names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial, update_wrapper
from typing import Any

from kedro.pipeline import Node

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.reporting.results import KEY_TYPES, Row, RunTable, row

SEPARATOR = "__"


def bind(function: Callable, **values: object) -> Callable:
    """A node function with `values` fixed. They are places in the grid, not parameters."""
    return update_wrapper(partial(function, **values), function)


def stage(suite: str, name: str, item: str, function: Callable, inputs: Any, outputs: Any) -> Node:
    """A node called `<suite>.<stage>.<item>`: DVC's address of it is `pipelines/<suite>/dvc.yaml:<stage>@<item>`."""
    return Node(function, inputs, outputs, name=item, namespace=f"{suite}.{name}")


def argument(kind: str, key: str | Iterable[object]) -> str:
    """The name of the input that holds the artifact of this kind and key."""
    return SEPARATOR.join((kind, key) if isinstance(key, str) else (kind, *map(str, key)))


def arguments(datasets: Mapping[Row, str]) -> dict[str, str]:
    """Inputs of a node: name -> dataset."""
    return {argument(kind, key): dataset for (kind, key), dataset in datasets.items()}


def by_key(kind: str, inputs: ParamsBlock) -> dict[tuple[str, ...], Any]:
    """The inputs of one kind: parts of the key -> value."""
    split = ((name.split(SEPARATOR), value) for name, value in inputs.items())
    return {tuple(parts): value for (first, *parts), value in split if first == kind}


def run_table(inputs: ParamsBlock) -> RunTable:
    """All inputs of a node as one typed table."""
    return RunTable.of({row(kind, parts): value for kind in KEY_TYPES for parts, value in by_key(kind, inputs).items()})
