"""Symbols: stand-ins for the grid's values, so that the pipelines can be built as templates.

Built with a symbol in place of each task, model, agent, seed and source path, every name, file and parameter of a node
comes out as a template; a symbol turns into DVC's own `${item.task}`. No text is guessed.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

AXES = {
    "task": "suites.{suite}.tasks",
    "learned": "suites.{suite}.learned_tasks",
    "model": "suites.{suite}.video_models",
    "agent": "suites.{suite}.agents",
    "seed": "seeds",
    "beta": "ablations.betas",
    "rival": "ablations.models",
    "context": "ablations.contexts",
    "scoring": "ablations.scorings",
}
"""axis -> the list in params.yaml that it runs over"""
EVERY = {"everytask": AXES["task"], "everylearned": AXES["learned"]}
"""What a stage of one task reads of all tasks, or of all that are learned: `every_task` in a suite's block."""
ONLY = "only_"
"""Before a method's name: the axis of the tasks that this method learns, suites.<suite>.more_methods.<method>"""
LISTS = AXES | EVERY
SOURCE = "source"
"""The one value that is looked up per task: suites.<suite>.datasets.<task>.path"""
DATASETS = "suites.{suite}.datasets"
SYMBOL = re.compile(r"zq(?P<suite>[A-Za-z0-9_-]+?)zq(?P<kind>[a-z_]+?)qz")


def symbol(suite: str, kind: str) -> str:
    """A word that no name contains, legal wherever names are."""
    return f"zq{suite}zq{kind}qz"


def dig(values: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path."""
    for key in path.split("."):
        values = values[key]
    return values


def symbolic(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with each axis' list replaced by one symbol."""
    out: dict[str, Any] = copy.deepcopy(dict(params))
    out["seeds"] = [symbol("all", "seed")]
    for suite, block in out["suites"].items():
        task = symbol(suite, "task")
        block["tasks"], block["every_task"] = [task], [symbol(suite, "everytask")]
        block["datasets"] = {task: {"path": symbol(suite, SOURCE)}}
        if block.get("learned_tasks"):
            block["learned_tasks"], block["every_task"] = [symbol(suite, "learned")], [symbol(suite, "everylearned")]
        if more := block.get("more_methods"):
            block["more_methods"] = {method: [symbol(suite, ONLY + method)] for method in more}
        for axis, key in (("model", "video_models"), ("agent", "agents")):
            if key in block:
                block[key] = [symbol(suite, axis)]
    for axis, path in AXES.items():
        block, _, key = path.partition(".")
        if block == "ablations" and out.get(block, {}).get(key):
            out[block][key] = [symbol("all", axis)]
    return out


def symbols_in(texts: Iterable[str]) -> dict[str, str]:
    """kind -> suite of every symbol in some texts: tasks first, then in the order of LISTS."""
    found = {m["kind"]: m["suite"] for text in texts for m in SYMBOL.finditer(text)}
    some = sorted(kind for kind in found if kind.startswith(ONLY))
    return {kind: found[kind] for kind in (*some, *LISTS, SOURCE) if kind in found}


def is_axis(kind: str) -> bool:
    """Whether a stage can run over it."""
    return kind in AXES or kind.startswith(ONLY)


def list_of(kind: str, suite: str) -> str:
    """The list in params.yaml that a symbol stands for."""
    if kind.startswith(ONLY):
        return f"suites.{suite}.more_methods.{kind.removeprefix(ONLY)}"
    return LISTS[kind].format(suite=suite)


def values_of(kind: str, suite: str, params: Mapping[str, Any]) -> list[str]:
    """What a symbol stands for, over all of the grid."""
    return [str(value) for value in dig(params, list_of(kind, suite))]


def assignments(kinds: Mapping[str, str], params: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Every combination of values of some axes: axis -> value."""
    lists = [values_of(kind, suite, params) for kind, suite in kinds.items()]
    for combination in itertools.product(*lists):
        yield dict(zip(kinds, combination, strict=True))


def put(text: str, values: Mapping[str, str], params: Mapping[str, Any]) -> str:
    """`text` with values in place of symbols; a source is looked up for the task."""

    def one(match: re.Match[str]) -> str:
        kind, suite = match["kind"], match["suite"]
        if kind == SOURCE and "task" in values:
            return str(dig(params, DATASETS.format(suite=suite))[values["task"]]["path"])
        return values.get(kind, match.group())

    return SYMBOL.sub(one, text)


def spread(text: str, params: Mapping[str, Any]) -> list[str]:
    """`text` once for every combination of values of the symbols that are left in it."""
    return [put(text, values, params) for values in assignments(symbols_in([text]), params)]
