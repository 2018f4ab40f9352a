"""The report's inputs as evidence that figures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.pipelines.report.collect import floors, named, run_results, settings_of
from viper_pipeline.pipelines.report.kept import kept_beside
from viper_pipeline.results.evidence import Evidence


def evidence_of(inputs: Mapping[str, Any], paper: Mapping[str, Any], kept: Mapping[str, bytes]) -> Evidence:
    """Inputs called `run__...`, `experts__...`, `settings__<suite>`; paper: the whole of profiles/paper.yaml.

    kept: the files of reports/runs, by name.
    """
    own, settings = run_results(inputs), settings_of(inputs)
    more = kept_beside(own, kept, settings)
    return Evidence(
        runs=[*own, *more.shown],
        other_mask=more.other_mask,
        ablations=more.ablations,
        floors=floors(inputs),
        experts=named("experts", inputs),
        baselines=named("baselines", inputs),
        tokenizers=named("tokenizer", inputs),
        video_models=named("video_model", inputs),
        rewards=named("reward", inputs),
        run_configs={key: directory.config for key, directory in named("run", inputs).items()},
        settings=settings,
        paper=paper.get("suites", {}),
    )
