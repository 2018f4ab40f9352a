"""`viper keep`: results of the grid's runs into reports/runs, for Git and for other machines' reports."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.errors import BadData
from viper_pipeline.files import atomic_write
from viper_pipeline.graph.freshness import stale_outputs
from viper_pipeline.graph.lineage import read_steps
from viper_pipeline.graph.machine import machine
from viper_pipeline.graph.project import read_params
from viper_pipeline.graph.stages import Wiring
from viper_pipeline.pipelines.ablations.pipeline import run_of, variants
from viper_pipeline.pipelines.report.collect import named
from viper_pipeline.pipelines.report.collect import result as run_result
from viper_pipeline.pipelines.report.on_disk import KEPT, input_paths, load
from viper_pipeline.results.kept import KeptRun


def keep_command(root: Path) -> list[Path]:
    """Write a file for every run of params.yaml's grid that lies on this disk and is up to date.

    Raises BadData if there is none.
    """
    params = read_params(root / "params.yaml")
    paths = {n: p for n, p in input_paths(root, params["suites"], params["seeds"]).items() if n.startswith("run__")}
    paths |= ablated(root, params)
    stale = stale_outputs(root)
    there = {name: path for name, path in paths.items() if (root / path).exists() and path not in stale}
    if not there:
        raise BadData("data/agents: no run of params.yaml's grid is there and up to date; `viper run` makes them")
    code, written = commit(root), []
    for name, path in there.items():
        run = kept_run(name, root, path, code)
        out = root / KEPT / run.file
        said = run.model_dump(mode="json", exclude=None if run.axis else {"axis", "value"})
        atomic_write(out, (json.dumps(said, indent=1) + "\n").encode())
        written.append(out)
    return written


def ablated(root: Path, params: Mapping[str, Any]) -> dict[str, str]:
    """Runs with a part changed: name, with axis and value at its end -> path."""
    block = params.get("ablations")
    if not block:
        return {}
    catalog = Wiring(root).catalog
    place = f"run__{block['suite']}__{block['task']}__viper__{block['agent']}"
    return {
        f"{place}__{seed}__{axis}__{value}": catalog.resolve_pattern(run_of(block, axis, value, seed))["filepath"]
        for axis, value in variants(block)
        for seed in params["seeds"]
    }


def kept_run(name: str, root: Path, path: str, commit: str) -> KeptRun:
    """What is kept of the run in root/path.

    name: `run__<suite>__<task>__<method>__<agent>__<seed>`, and of an ablation `__<axis>__<value>`.
    """
    directory, steps = load(name, root / path), read_steps(root / path)
    (((suite, task, method, agent, seed, *changed), _),) = named("run", {name: directory}).items()
    result = run_result((suite, task, method, agent, seed), directory)
    params: dict[str, Any] = {}
    for step in steps.values():
        params |= step["params"]
    noted = root / ".viper" / "costs" / f"{steps[path]['stage'] if path in steps else ''}.json"
    cost = json.loads(noted.read_text()) if noted.exists() else {}
    return KeptRun(
        suite=suite,
        task=task,
        method=method,
        agent=agent,
        seed=int(seed),
        budget=result.budget,
        action_repeat=result.action_repeat,
        steps=[int(step) for step in result.steps],
        returns=[round(float(value), 3) for value in result.returns],
        final_returns=[round(value, 3) for value in result.final_returns],
        episodes=result.judged,
        params=dict(sorted(params.items())),
        **dict(zip(("axis", "value"), changed, strict=False)),
        commit=commit,
        machine=cost.get("machine") or machine(),
        seconds=cost.get("seconds"),
    )


def commit(root: Path) -> str:
    """The short hash of the code that is checked out, with a + if src/ has been changed; unknown without Git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
