"""Pairs of task and arm that no model was trained on: does the reward know their experts too (paper 4.3, Fig 8)?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HeldOut = Mapping[tuple[str, ...], Sequence[str]]
"""(suite, model) -> the tasks that it was not trained on."""


def transfers(rewards: Mapping[str, Any], held_out: HeldOut) -> Iterator[dict[str, Any]]:
    """rewards: suite -> model -> numbers, as in metrics.json -> a table for each model that held tasks out."""
    for (suite, model), tasks in held_out.items():
        numbers = rewards.get(suite, {}).get(model, {}).get("tasks", {})
        rows = [
            {
                "task": task,
                "trained": task not in tasks,
                "expert": values["kinds"]["held_out"]["nats"],
                "random": values["kinds"]["random"]["nats"],
                "auroc_step": values["auroc_step"],
                "auroc_episode": values["auroc_episode"],
            }
            for task, values in numbers.items()
        ]
        if tasks and rows:
            yield {"suite": suite, "model": model, "rows": sorted(rows, key=lambda row: not row["trained"])}
