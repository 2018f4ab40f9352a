"""What lies on the disk of the grid in params.yaml, for `viper figures`: nothing is run, and no weights are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from viper_pipeline.graph.freshness import stale_outputs
from viper_pipeline.graph.project import read_params
from viper_pipeline.graph.stages import Wiring
from viper_pipeline.pipelines.report.collect import floor, named, run_results
from viper_pipeline.pipelines.report.kept import kept_beside
from viper_pipeline.pipelines.report.pipeline import models_of, results_of
from viper_pipeline.results.evidence import AblationRun, Evidence
from viper_pipeline.training.artifacts import CONFIG, Directory, load_directory
from viper_pipeline.videos.store import EpisodeFile

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
        return EpisodeFile(path, sealed=False)
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
    own = {("beta", "1"), ("model", model), ("context", context), ("way", "exact")}
    table = pd.read_csv(path, dtype={"value": str})
    return [
        AblationRun(
            str(axis), str(value), block["task"], block["agent"], np.asarray(rows.step), np.asarray(rows.return_mean)
        )
        for (axis, value, _), rows in table.groupby(["axis", "value", "seed"], sort=False)
        if (axis, value) not in own
    ]
