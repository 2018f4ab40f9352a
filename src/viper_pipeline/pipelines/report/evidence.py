"""The report's inputs as evidence that figures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.pipelines.report.collect import floors, named, run_results
from viper_pipeline.results.evidence import Evidence


def evidence_of(inputs: Mapping[str, Any], paper: Mapping[str, Any]) -> Evidence:
    """Inputs called `run__...`, `experts__...`, `settings__<suite>`; paper: the whole of profiles/paper.yaml."""
    return Evidence(
        runs=run_results(inputs),
        floors=floors(inputs),
        experts=named("experts", inputs),
        baselines=named("baselines", inputs),
        tokenizers=named("tokenizer", inputs),
        video_models=named("video_model", inputs),
        rewards=named("reward", inputs),
        run_configs={key: directory.config for key, directory in named("run", inputs).items()},
        settings={suite: block for (suite,), block in named("settings", inputs).items()},
        paper=paper.get("suites", {}),
    )
