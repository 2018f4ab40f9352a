"""`viper keep`: results of the grid's runs into reports/runs, for Git and for other machines' reports."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import atomic_write
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.dvc_bridge.project import read_params
from viper_pipeline.dvc_bridge.provenance import read_steps
from viper_pipeline.dvc_bridge.status import stale_outputs
from viper_pipeline.dvc_bridge.templates import Wiring
from viper_pipeline.dvc_bridge.usage import machine
from viper_pipeline.pipelines.ablations.pipeline import run_of, variants
from viper_pipeline.pipelines.datasets import READERS
from viper_pipeline.pipelines.report.inputs import floor, kept_beside, named, run_results
from viper_pipeline.pipelines.report.inputs import result as run_result
from viper_pipeline.pipelines.report.pipeline import models_of, results_of
from viper_pipeline.reporting.cards import as_markdown, dataset_card, model_card
from viper_pipeline.reporting.paper_figures.index import INDEX, entries, paper_files
from viper_pipeline.reporting.results import AblationRun, Evidence, KeptRun
from viper_pipeline.training.artifacts import CONFIG, Directory, load_directory


def card_command(artifact: Path, root: Path) -> str:
    """Markdown. Raises BadData if there is no such artifact, or it is none of ours."""
    if not artifact.exists():
        raise BadData(f"{artifact}: there is no such file or folder")
    steps, full = read_steps(artifact, READERS), artifact.resolve()
    name = full.relative_to(root.resolve()).as_posix() if full.is_relative_to(root.resolve()) else str(artifact)
    if steps and name not in steps:  # a stray copy: the step that feeds no other is its own
        parents = {parent for step in steps.values() for parent in step["parents"]}
        steps = {**steps, name: next(step for path, step in steps.items() if path not in parents)}
    if artifact.is_dir():
        return as_markdown(model_card(name, load_directory(artifact), steps))
    return as_markdown(dataset_card(name, EpisodeFile(artifact), steps))


PAPER = "profiles/paper.yaml"
ABLATIONS = "reports/ablations/curves.csv"
KEPT = "reports/runs"


def evidence_on_disk(root: Path, suite: str | None = None) -> tuple[Evidence, set[str]]:
    """Everything that exists of one suite or of all, and the names of inputs that are stale."""
    params = read_params(root / "params.yaml")
    suites = {name: block for name, block in params["suites"].items() if suite in (None, name)}
    paths = {name: root / path for name, path in input_paths(root, suites, params["seeds"]).items()}
    there = {name: path for name, path in paths.items() if path.exists()}
    inputs = {name: load(name, path) for name, path in there.items()}
    stale = stale_outputs(root)
    runs = {name: value for name, value in inputs.items() if name.startswith("run__")}
    experts, baselines = named("experts", inputs), named("baselines", inputs)
    own = run_results(runs)
    kept = {path.name: path.read_bytes() for path in sorted((root / KEPT).glob("*.json"))}
    more = kept_beside(own, kept, suites)
    evidence = Evidence(
        runs=[*own, *more.shown],
        other_mask=more.other_mask,
        floors=[floor(key, experts[key], baselines[key]) for key in experts if key in baselines],
        experts={key: file for key, file in experts.items() if key in baselines},
        baselines=baselines,
        tokenizers=named("tokenizer", inputs),
        video_models=named("video_model", inputs),
        rewards=named("reward", inputs),
        run_configs={key: directory.config for key, directory in named("run", inputs).items()},
        ablations=ablations(root / ABLATIONS, params.get("ablations"), suites) or more.ablations,
        settings=suites,
        paper=read_params(root / PAPER)["suites"] if (root / PAPER).exists() else {},
    )
    return evidence, {name for name, path in there.items() if path.relative_to(root).as_posix() in stale}


def input_paths(root: Path, suites: Mapping[str, Any], seeds: list[int]) -> dict[str, str]:
    """Inputs of the report's stages -> where the catalog puts them."""
    catalog = Wiring(root).catalog
    inputs = results_of(suites, seeds) | models_of(suites)
    return {name: catalog.resolve_pattern(dataset)["filepath"] for name, dataset in inputs.items()}


def load(name: str, path: Path) -> Any:
    """Episodes without reading frames; folders without weights, but for the scores of a reward."""
    if path.suffix == ".h5":
        return EpisodeFile(path, verify_checksum=False)
    if name.startswith("reward__"):
        return load_directory(path)
    files = {p.name: p.read_bytes() for p in sorted(path.iterdir()) if p.suffix in (".png", ".csv")}
    return Directory(json.loads((path / CONFIG).read_text()), {}, files)


def ablations(path: Path, block: Mapping[str, Any] | None, suites: Mapping[str, Any]) -> list[AblationRun]:
    """The curves of the pipeline `ablations`, if it has been run, without the suite's own that it compares with."""
    if not path.exists() or not block or block["suite"] not in suites:
        return []
    suite = suites[block["suite"]]
    model = suite["reward"]["model"]
    context = str(suite[model].get("window", 0) - 1)
    own = {("beta", "1"), ("model", model), ("context", context), ("scoring", "full_window")}
    table = pd.read_csv(path, dtype={"value": str})
    return [
        AblationRun(
            str(axis), str(value), block["task"], block["agent"], np.asarray(rows.step), np.asarray(rows.return_mean)
        )
        for (axis, value, _), rows in table.groupby(["axis", "value", "seed"], sort=False)
        if (axis, value) not in own
    ]


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
    directory, steps = load(name, root / path), read_steps(root / path, READERS)
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


REASONS = 4  # that are printed of a figure


def figures_command(root: Path, suite: str | None, draw: Path | None) -> None:
    """Print a line a figure with its state and what is missing; with `draw`, write them all into that folder."""
    chosen = entries(suite)
    evidence, stale = evidence_on_disk(root, suite)
    counts: dict[str, int] = {}
    for entry in chosen:
        state = entry.state(evidence, stale)
        counts[state] = counts.get(state, 0) + 1
        print(f"{entry.name:7} {state:9} {entry.title}: {entry.plots}")
        reasons = entry.missing(evidence)
        for reason in reasons[:REASONS]:
            print(f"{'':18}{reason}")
        if len(reasons) > REASONS:
            print(f"{'':18}and {len(reasons) - REASONS} more reasons")
    print(", ".join(f"{number} {state}" for state, number in sorted(counts.items())))
    if draw is not None:
        files = paper_files(evidence, chosen)
        for name, content in files.items():
            atomic_write(draw / name, content)
        print(f"{draw}: {len(files) - 1} files, and {INDEX} with their captions")
