"""Stage `write_report`: one page to read, with everything inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.graph.recipe import current_recipe
from viper_pipeline.pipelines.report.cards import cards_of
from viper_pipeline.pipelines.report.collect import named, settings_of
from viper_pipeline.results.films import smaller
from viper_pipeline.results.measurement import measurements
from viper_pipeline.results.page import Origins, render
from viper_pipeline.results.paper_figures.strips import pictures

Pictures = dict[tuple[str, ...], bytes]
FILMED = ("viper", "oracle")
"""Methods whose first seed is shown on film."""
SHOWN = 2
"""Tasks of a suite whose films and strips are shown, beside those held out; pictures are most of the page's size."""


def write_report(
    metrics: Mapping[str, Any],
    figures: Mapping[str, bytes],
    profile: str,
    paper_profile: Mapping[str, Any],
    measured: Mapping[str, bytes],
    **inputs: Any,
) -> str:
    """metrics.json, figures, what models and agents carry, and reports/measured -> reports/index.html."""
    settings = settings_of(inputs)
    shown = {(suite, task) for suite, block in settings.items() for task in block["tasks"][:SHOWN]}
    runs = named("run", inputs)
    episodes = {
        key: smaller(directory.files["episode.gif"])
        for key, directory in runs.items()
        if key[:2] in shown and key[2] in FILMED and key[4] == min(k[4] for k in runs)
    }
    tokenizers = named("tokenizer", inputs)
    reconstructions: Pictures = {
        (suite, name.removeprefix("reconstructions_").removesuffix(".png")): content
        for (suite,), directory in tokenizers.items()
        for name, content in directory.files.items()
        if name.startswith("reconstructions_")
    }
    paying = {suite: block["reward"]["model"] for suite, block in settings.items()}
    held_out = {
        key: directory.config.get("held_out_tasks", []) for key, directory in named("video_model", inputs).items()
    }
    rollouts: Pictures = {
        key: strip
        for key, strip in pictures(named("video_model", inputs), "rollouts").items()
        if key[1] == paying[key[0]] and ((key[0], key[2]) in shown or key[2] in held_out[key[:2]])
    }
    quality = {suite: directory.config["metrics"] for (suite,), directory in tokenizers.items()}
    recipe = current_recipe()
    steps = recipe.lineage["steps"] if recipe else {}
    own = set(recipe.outs) if recipe else set()
    origins = Origins(
        cards=cards_of(inputs, steps),
        steps={path: step for path, step in steps.items() if path not in own},
        settings=settings,
        paper=paper_profile.get("suites", {}),
    )
    kept: Pictures = {key: content for key, content in reconstructions.items() if key in shown}
    return render(
        profile,
        metrics,
        figures,
        episodes,
        kept,
        rollouts,
        quality,
        origins,
        held_out,
        measurements(measured, settings),
    )
