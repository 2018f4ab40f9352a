"""Stage `write_report`: one page to read, with everything inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.pipelines.report.collect import named
from viper_pipeline.results.page import render

Pictures = dict[tuple[str, ...], bytes]
FILMED = ("viper", "oracle")
"""Methods whose first seed is shown on film; films are most of the page's size."""


def write_report(
    metrics: Mapping[str, Any],
    figures: Mapping[str, bytes],
    profile: str,
    **inputs: Any,
) -> str:
    """metrics.json, figures, and the pictures that models and agents carry -> reports/index.html."""
    episodes = {
        key: directory.files["episode.gif"]
        for key, directory in named("run", inputs).items()
        if key[2] in FILMED and key[4] == min(k[4] for k in named("run", inputs))
    }
    tokenizers = named("tokenizer", inputs)
    reconstructions: Pictures = {
        (suite, name.removeprefix("reconstructions_").removesuffix(".png")): content
        for (suite,), directory in tokenizers.items()
        for name, content in directory.files.items()
        if name.startswith("reconstructions_")
    }
    rollouts: Pictures = {
        (suite, model, name.removeprefix("rollouts_").removesuffix(".png")): content
        for (suite, model), directory in named("video_model", inputs).items()
        for name, content in directory.files.items()
        if name.startswith("rollouts_")
    }
    held_out = {
        key: directory.config.get("held_out_tasks", []) for key, directory in named("video_model", inputs).items()
    }
    quality = {suite: directory.config["metrics"] for (suite,), directory in tokenizers.items()}
    return render(profile, metrics, figures, episodes, reconstructions, rollouts, quality, held_out)
