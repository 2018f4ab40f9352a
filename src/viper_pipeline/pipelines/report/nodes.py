"""The stages of a suite's report: numbers, figures, cards and a page; and the overview over all suites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.files import Json
from viper_pipeline.dvc_bridge.provenance import Provenance
from viper_pipeline.pipelines.profiles import overlaid
from viper_pipeline.pipelines.wiring import by_key, run_table
from viper_pipeline.reporting.cards import card_files, cards_of
from viper_pipeline.reporting.charts import chart_library
from viper_pipeline.reporting.films import film_of_gif, listed_films
from viper_pipeline.reporting.metrics import build_metrics, curve_points, headline, reward_summary
from viper_pipeline.reporting.overview import render_overview
from viper_pipeline.reporting.page import Origins, measurements, render_page
from viper_pipeline.reporting.paper_figures.curves import draw_profiles
from viper_pipeline.reporting.paper_figures.frames import strips_of
from viper_pipeline.reporting.paper_figures.index import entries_of_suites, paper_files
from viper_pipeline.reporting.plots import (
    compact,
    draw_learning_curves,
    draw_mask_examples,
    draw_reward_figure,
    figure_files,
)
from viper_pipeline.reporting.results import Evidence, Metrics, RunTable, StageName, TaskKey, in_columns
from viper_pipeline.reporting.run_records import evidence_of, match_records
from viper_pipeline.rewards.scores import unpack

PICTURED_TASKS = 2
"""Tasks of a suite whose strips are shown, besides the held-out ones; pictures are most of a page's size."""
LARGEST_PDF = 130_000
"""Bytes. PDFs hold frames without loss; one of very many frames is left to `viper figures --draw`."""
ON_PAGES = ("svg",)
"""The formats of single tasks' drawings; those of the paper's figures, which show the same, are PDFs as well."""


def aggregate(
    run_records: Mapping[str, bytes], costs: ParamsBlock, provenance: Provenance | None = None, **inputs: object
) -> tuple[Json, Json, list[Json]]:
    """Runs, expert sets, baselines and rewards -> metrics, those that `dvc metrics` shows, one row per curve point.

    run_records: the files of reports/runs, by name; costs: what stages took on this machine, by node, of which those of
    the suite are shown. Runs of other code, parameters or machines are columns of their own.
    """
    table = run_table(inputs)
    own = table.run_results(provenance.lineage["steps"] if provenance else {}, costs)
    records = match_records(own, run_records, table.settings)
    runs = in_columns([*own, *records.shown])
    rewards: dict[str, Json] = {}
    for (suite, model), artifact in table.rewards.items():
        rewards.setdefault(suite, {})[model] = reward_summary(artifact)
    levels = table.baseline_levels()
    suites = {level.suite for level in levels}
    spent = {node: cost for node, cost in costs.items() if StageName.parse(node).suite in suites}
    methods = {suite: list(block["methods"]) for suite, block in table.settings.items()}
    metrics = build_metrics(runs, levels, rewards, spent, methods) | {"run_records": records.as_metrics()}
    return metrics, headline(metrics), curve_points(runs)


def draw_figures(
    base_profile: ParamsBlock,
    paper_profile: ParamsBlock,
    run_records: Mapping[str, bytes],
    costs: ParamsBlock | None = None,
    provenance: Provenance | None = None,
    **inputs: object,
) -> dict[str, bytes]:
    """All artifacts -> files by name: figures as SVG and PDF, frames as WebP and PNG, films as MP4.

    base_profile, paper_profile: profiles/base.yaml and the overlay paper.yaml; run_records: the files of reports/runs,
    by name; costs: what stages took, by node.
    """
    steps = provenance.lineage["steps"] if provenance else {}
    evidence = evidence_of(run_table(inputs), overlaid(base_profile, paper_profile), run_records, steps, costs)
    suites = list(evidence.settings)
    return (
        task_figures(evidence)
        | suite_figures(evidence)
        | paper_files(evidence, entries_of_suites(suites), largest=LARGEST_PDF)
    )


def suite_figures(evidence: Evidence) -> dict[str, bytes]:
    """Every run of a suite in one picture."""
    figures = {
        suite: draw_profiles(suite, [r for r in evidence.runs if r.suite == suite]) for suite in evidence.settings
    }
    made: dict[str, bytes] = {}
    for suite, figure in figures.items():
        made |= figure_files(f"scores-{suite}", figure) if figure is not None else {}
    return made


def task_figures(evidence: Evidence) -> dict[str, bytes]:
    """Reward, maps of surprise, masks and learning curves of each task; as films, the maps of the first tasks alone."""
    figures: dict[str, bytes] = {}
    for (suite, model), artifact in evidence.rewards.items():
        for number, task in enumerate(artifact.config["scales"]):
            scores, returns = unpack(task, artifact.tensors)
            mode = artifact.config["reward"]["mode"]
            drawn = draw_reward_figure(task, scores, returns, mode)
            figures |= figure_files(f"reward-{suite}-{model}-{task}", drawn, ON_PAGES)
            if maps := artifact.files.get(f"maps_{task}.png"):
                figures[f"maps-{suite}-{model}-{task}.webp"] = compact(maps)
                if number < PICTURED_TASKS:
                    figures[f"maps-{suite}-{model}-{task}.mp4"] = film_of_gif(artifact.files[f"maps_{task}.gif"])
    for key, experts in evidence.experts.items():
        if experts.spec.mask:
            random, expert = evidence.baseline_episodes[key].group("episodes")[0], experts.group("held_out")[0]
            figures[f"masks-{key.suite}-{key.task}.png"] = draw_mask_examples(
                random.frames, expert.frames, experts.spec.mask
            )
    for levels in evidence.baselines:
        mine = [r for r in evidence.runs if (r.suite, r.task) == (levels.suite, levels.task)]
        if mine:
            drawn = draw_learning_curves(levels.task, mine, levels)
            figures |= figure_files(f"curves-{levels.suite}-{levels.task}", drawn, ON_PAGES)
    return figures


def write_cards(provenance: Provenance | None = None, **inputs: object) -> dict[str, bytes]:
    """All artifacts -> one Markdown file each, sample pictures, and a README.md that lists them.

    A stage of its own, so that rewording a card trains nothing again.
    """
    return card_files(cards_of(run_table(inputs), provenance.lineage["steps"] if provenance else {}))


def write_report(
    metrics: Metrics,
    figures: Mapping[str, bytes],
    profile: str,
    base_profile: ParamsBlock,
    paper_profile: ParamsBlock,
    measured: Mapping[str, bytes],
    curves: Sequence[Mapping[str, str]] = (),
    films: Mapping[str, bytes] | None = None,
    provenance: Provenance | None = None,
    *,
    pages: Sequence[str] | None = None,
    **inputs: object,
) -> str:
    """Metrics, curves, figures, films, what models carry, and the files of reports/measured -> the suite's page.

    films: the files of films/; pages: the folders of reports/ that have a page.
    """
    table = run_table(inputs)
    ((suite, settings),) = table.settings.items()
    shown = {TaskKey(suite, task) for task in settings["tasks"][:PICTURED_TASKS]}
    held_out = {key: artifact.config.get("held_out_tasks", []) for key, artifact in table.video_models.items()}
    rollouts = {
        key: strip
        for key, strip in strips_of(table.video_models, "rollouts").items()
        if key.model == settings["reward"]["model"]
        and (TaskKey(suite, key.task) in shown or key.task in held_out[key.model_key])
    }
    steps = provenance.lineage["steps"] if provenance else {}
    own = set(provenance.outs) if provenance else set()
    origins = Origins(
        cards=cards_of(table, steps),
        steps={path: step for path, step in steps.items() if path not in own},
        settings=table.settings,
        paper=overlaid(base_profile, paper_profile).get("suites", {}),
    )
    reconstructions = {key: strip for key, strip in reconstruction_strips(table).items() if key in shown}
    quality = {suite: artifact.config["metrics"] for suite, artifact in table.tokenizers.items()}
    found = measurements(measured, table.settings)
    return render_page(
        suite, profile, metrics, figures, listed_films(films or {}), reconstructions, rollouts, quality, origins,
        held_out, found, curves, pages, table.probes.get(suite),
    )  # fmt: skip


def reconstruction_strips(table: RunTable) -> dict[TaskKey, bytes]:
    """What the tokenizers' folders show of each task."""
    return {
        TaskKey(suite, name.removeprefix("reconstructions_").removesuffix(".png")): content
        for suite, artifact in table.tokenizers.items()
        for name, content in artifact.files.items()
        if name.startswith("reconstructions_")
    }


def write_overview(*, pages: Sequence[str] | None = None, **inputs: object) -> tuple[str, str]:
    """The metrics of every suite -> the root page, and the script that draws the charts of all pages."""
    metrics = {suite: metrics for (suite,), metrics in by_key("metrics", inputs).items()}
    return render_overview(metrics, pages), chart_library()
