"""Commands that read what lies on the disk: `viper figures`, `viper overview`, `viper export-runs`, `viper card`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import Json, atomic_write
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.dvc_bridge.lineage import stale_outputs
from viper_pipeline.dvc_bridge.provenance import machine, read_steps
from viper_pipeline.dvc_bridge.run_stage import sound_params
from viper_pipeline.dvc_bridge.templates import Wiring
from viper_pipeline.pipelines.ablations.pipeline import run_of, variants
from viper_pipeline.pipelines.datasets import READERS
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.pipelines.report.pipeline import model_datasets, pages_of, reports_of, result_datasets
from viper_pipeline.reporting.cards import as_markdown, dataset_card, model_card
from viper_pipeline.reporting.charts import LIBRARY, chart_library
from viper_pipeline.reporting.overview import read_metrics, render_overview
from viper_pipeline.reporting.paper_figures.index import INDEX, entries, paper_files
from viper_pipeline.reporting.plots import FORMATS
from viper_pipeline.reporting.results import AblationRun, Evidence, Row, RunKey, RunTable, run_digest, run_result
from viper_pipeline.reporting.run_records import RunRecord, evidence_of
from viper_pipeline.rewards.pretrained import CARD, MANIFEST
from viper_pipeline.training.artifacts import CONFIG, ModelArtifact, load_artifact

PAPER_PROFILE = "profiles/paper.yaml"
ABLATION_CURVES = "reports/ablations/curves.csv"
RUN_RECORDS = "reports/runs"
OVERVIEW = "reports/index.html"
CHARTS = f"reports/{LIBRARY}"
COSTS = ".viper/costs"
REASONS = 4  # that are printed of a figure


def card_command(artifact: Path, root: Path) -> str:
    """The card of an artifact as Markdown; where its data are not on this disk, the one that was committed.

    Raises BadData if there is neither, or this pipeline did not write it.
    """
    if not artifact.exists():
        if (committed := committed_card(artifact, root)) is not None:
            return committed.read_text()
        raise BadData(f"{artifact}: there is no such file or folder, and no card of it in reports/")
    if (artifact / MANIFEST).is_file():  # an exported reward: several artifacts, with one card
        return (artifact / CARD).read_text()
    steps, full = read_steps(artifact, READERS), artifact.resolve()
    name = full.relative_to(root.resolve()).as_posix() if full.is_relative_to(root.resolve()) else str(artifact)
    if steps and name not in steps:  # a copy elsewhere: its own step is the one that feeds no other
        parents = {parent for step in steps.values() for parent in step["parents"]}
        steps = {**steps, name: next(step for path, step in steps.items() if path not in parents)}
    if artifact.is_dir():
        return as_markdown(model_card(name, load_artifact(artifact), steps))
    return as_markdown(dataset_card(name, EpisodeFile(artifact), steps))


def committed_card(artifact: Path, root: Path) -> Path | None:
    """Its card in reports/<suite>/cards, or in another profile's report, if there is one."""
    full, root = artifact.resolve(), root.resolve()
    if not full.is_relative_to(root):
        return None
    title = f"# {full.relative_to(root).as_posix()}"
    cards = sorted(root.glob("reports/*/cards/*.md"), key=lambda path: (path.parts[-3] not in full.parts, path))
    return next((card for card in cards if card.read_text().partition("\n")[0].strip() == title), None)


def overview_command(root: Path) -> Path:
    """Write the root page from the metrics that the reports of params.yaml have now, and what draws its charts.

    Raises BadData if none has any.
    """
    params = sound_params(root)
    metrics = read_metrics(root, reports_of(params))
    if not metrics:
        raise BadData("reports: no suite has a metrics.json; `viper run` makes them")
    atomic_write(root / OVERVIEW, render_overview(metrics, pages_of(params)).encode())
    atomic_write(root / CHARTS, chart_library().encode())
    return root / OVERVIEW


def dataset_paths(root: Path, suites: ParamsBlock, seeds: list[int]) -> dict[Row, str]:
    """The rows of the report's tables -> where the catalog puts them."""
    catalog = Wiring(root).catalog
    found: dict[Row, str] = {}
    for suite, suite_config in suites.items():
        found |= result_datasets(suite, suite_config, seeds) | model_datasets(suite, suite_config)
    return {row: catalog.resolve_pattern(dataset)["filepath"] for row, dataset in found.items()}


def read_artifact(path: Path, with_tensors: bool = False) -> EpisodeFile | ModelArtifact:
    """An artifact without reading frames; folders without weights unless they are asked for."""
    if path.suffix == ".h5":
        return EpisodeFile(path, verify_checksum=False)
    if with_tensors:
        return load_artifact(path)
    files = {p.name: p.read_bytes() for p in sorted(path.iterdir()) if p.suffix in (".png", ".csv")}
    return ModelArtifact(json.loads((path / CONFIG).read_text()), {}, files)


def evidence_on_disk(root: Path, suite: str | None = None) -> tuple[Evidence, set[Row]]:
    """Everything that exists of one suite or of all, and the rows that are stale."""
    params = sound_params(root)
    suites = {name: block for name, block in params["suites"].items() if suite in (None, name)}
    paths = {row: path for row, path in dataset_paths(root, suites, params["seeds"]).items() if (root / path).exists()}
    episodes = {row.key for row in paths if row.kind == "experts"}
    episodes &= {row.key for row in paths if row.kind == "baseline_episodes"}
    table = RunTable.of(
        {
            row: read_artifact(root / path, with_tensors=row.kind == "rewards")
            for row, path in paths.items()
            if row.kind != "experts" or row.key in episodes
        }
        | {Row("settings", name): block for name, block in suites.items()}
    )
    paper = read_profile(root / PAPER_PROFILE) if (root / PAPER_PROFILE).exists() else {}
    records = {path.name: path.read_bytes() for path in sorted((root / RUN_RECORDS).glob("*.json"))}
    steps: Json = {}
    for row, path in paths.items():
        steps |= read_steps(root / path, READERS) if row.kind == "agents" else {}
    costs = {path.stem: json.loads(path.read_text()) for path in sorted((root / COSTS).glob("*.json"))}
    evidence = evidence_of(table, paper, records, steps, costs)
    own = list(ablation_curves(root / ABLATION_CURVES, params.get("ablations"), suites))
    stale = stale_outputs(root)
    found = Evidence(**{**vars(evidence), "ablations": own or evidence.ablations})
    return found, {row for row, path in paths.items() if path in stale}


def ablation_curves(path: Path, block: ParamsBlock | None, suites: ParamsBlock) -> Iterator[AblationRun]:
    """The curves of the pipeline `ablations`, if it has been run, without the suite's own that it compares with."""
    if not path.exists() or not block or block["suite"] not in suites:
        return
    suite = suites[block["suite"]]
    model = suite["reward"]["model"]
    context = str(suite[model].get("window", 0) - 1)
    own = {("beta", "1"), ("model", model), ("context", context), ("scoring", "full_window")}
    table = pd.read_csv(path, dtype={"value": str})
    for (axis, value, _), rows in table.groupby(["axis", "value", "seed"], sort=False):
        if (axis, value) not in own:
            steps, returns = np.asarray(rows.step), np.asarray(rows.return_mean)
            yield AblationRun(str(axis), str(value), block["task"], block["agent"], steps, returns)


@dataclass(frozen=True)
class FinishedRun:
    """A run on the disk; axis and value: the part of VIPER that was changed, if any."""

    key: RunKey
    path: str
    axis: str = ""
    value: str = ""


def grid_runs(root: Path, params: ParamsBlock) -> Iterator[FinishedRun]:
    """Every run of params.yaml's grid, the ablations' after the others, whether it has been made or not."""
    for (kind, key), path in dataset_paths(root, params["suites"], params["seeds"]).items():
        if kind == "agents" and isinstance(key, RunKey):
            yield FinishedRun(key, path)
    if block := params.get("ablations"):
        catalog = Wiring(root).catalog
        for axis, value in variants(block):
            for seed in params["seeds"]:
                key = RunKey(block["suite"], block["task"], "viper", block["agent"], seed)
                path = catalog.resolve_pattern(run_of(block, axis, value, seed))["filepath"]
                yield FinishedRun(key, path, axis, str(value))


def export_runs_command(root: Path) -> list[Path]:
    """Write a record of every run of params.yaml's grid that is on this disk and up to date.

    Its name holds a digest of code, parameters and kind of machine, so only a record of the same run is replaced.
    Raises BadData if there is no such run.
    """
    params, stale = sound_params(root), stale_outputs(root)
    runs = [run for run in grid_runs(root, params) if (root / run.path).exists() and run.path not in stale]
    if not runs:
        raise BadData("data/agents: no run of params.yaml's grid is there and up to date; `viper run` makes them")
    code, written = current_commit(root), []
    records = [record_of(run, root, code) for run in runs]
    for record in records:
        out = root / RUN_RECORDS / record.file
        values = record.model_dump(mode="json", exclude=None if record.axis else {"axis", "value"})
        atomic_write(out, (json.dumps(values, indent=1) + "\n").encode())
        written.append(out)
    return written


def record_of(run: FinishedRun, root: Path, commit: str) -> RunRecord:
    """The record of the run in root/run.path."""
    artifact, steps = read_artifact(root / run.path), read_steps(root / run.path, READERS)
    assert isinstance(artifact, ModelArtifact)
    result = run_result(run.key, artifact)
    params: Json = {}
    for step in steps.values():
        params |= step["params"]
    noted = root / COSTS / f"{steps[run.path]['stage'] if run.path in steps else ''}.json"
    cost = json.loads(noted.read_text()) if noted.exists() else {}
    return RunRecord(
        **run.key._asdict(),
        budget=result.budget,
        action_repeat=result.action_repeat,
        steps=[int(step) for step in result.steps],
        returns=[round(float(value), 3) for value in result.returns],
        final_returns=[round(value, 3) for value in result.final_returns],
        episodes=result.final_episodes,
        params=dict(sorted(params.items())),
        axis=run.axis,
        value=run.value,
        digest=run_digest(run.path, steps),
        commit=commit,
        machine=cost.get("machine") or machine(),
        seconds=cost.get("seconds"),
    )


def current_commit(root: Path) -> str:
    """The short hash of the code that is checked out, with a + if src/ has been changed; unknown without Git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


class Committed(NamedTuple):
    """What reports that lie in reports/ show of a figure."""

    state: str
    suites: tuple[str, ...]
    missing: Sequence[str]


STATES = ("complete", "partial", "stale", "missing")
"""Of a figure, the best first."""


def committed_figures(root: Path, suite: str | None = None) -> dict[str, Committed]:
    """Name -> the best that a suite's report shows of it; the data that it was drawn from may lie elsewhere."""
    found: dict[str, Committed] = {}
    for path in sorted(root.glob(f"reports/*/figures/{INDEX}")):
        shown_by = path.parent.parent.name
        if suite in (None, shown_by):
            for figure in json.loads(path.read_text()):
                one = Committed(figure["state"], (shown_by,), figure["missing"])
                best = found.setdefault(figure["name"], one)
                if STATES.index(one.state) < STATES.index(best.state):
                    found[figure["name"]] = one
                elif one.state == best.state and one is not best:
                    found[figure["name"]] = best._replace(suites=(*best.suites, shown_by))
    return found


def figures_command(root: Path, suite: str | None, draw: Path | None) -> None:
    """Print each figure's state and what is missing; with `draw`, write all into that folder, also as PNG.

    What lies in reports/ counts, too, and is distinguished from what can be drawn from the data on this disk.
    """
    chosen = entries(suite)
    evidence, stale = evidence_on_disk(root, suite)
    committed = committed_figures(root, suite)
    here: dict[str, int] = {}
    there: dict[str, int] = {}
    for entry in chosen:
        state, known = entry.state(evidence, stale), committed.get(entry.name, Committed("missing", (), ()))
        here[state], there[known.state] = here.get(state, 0) + 1, there.get(known.state, 0) + 1
        better = STATES.index(known.state) < STATES.index(state)
        best = known.state if better else state
        where = f"in reports/ of {', '.join(known.suites)}; from data here: {state}" if better else "from data here"
        print(f"{entry.name:7} {best:9} {entry.title}: {entry.plots}" + (f"  [{where}]" if best != "missing" else ""))
        reasons = known.missing if better else entry.missing(evidence)
        for reason in reasons[:REASONS]:
            print(f"{'':18}{reason}")
        if len(reasons) > REASONS:
            print(f"{'':18}and {len(reasons) - REASONS} more reasons")
    print(f"reports/: {counted(there)}")
    print(f"from data here: {counted(here)}; `viper run` makes the data of params.yaml")
    if draw is not None:
        files = paper_files(evidence, chosen, tuple(FORMATS))
        for name, content in files.items():
            atomic_write(draw / name, content)
        print(f"{draw}: {len(files) - 1} files, and {INDEX} with their captions")


def counted(states: Mapping[str, int]) -> str:
    """3 complete, 4 missing."""
    return ", ".join(f"{states[state]} {state}" for state in STATES if state in states)
