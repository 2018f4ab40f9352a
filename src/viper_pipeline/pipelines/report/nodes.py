"""Stage `aggregate`: every run, reward and floor in one file of numbers and one table of curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from viper_pipeline.data.episode import png
from viper_pipeline.dvc_bridge.provenance import Provenance
from viper_pipeline.pipelines.report.inputs import (
    Kept,
    cards_of,
    evidence_of,
    floors,
    kept_beside,
    named,
    run_results,
    settings_of,
)
from viper_pipeline.reporting.cards import PICTURE, Card, as_markdown
from viper_pipeline.reporting.metrics import build_metrics, headline, reward_metrics
from viper_pipeline.reporting.page import Origins, measurements, render
from viper_pipeline.reporting.paper_figures.curves import draw_profiles
from viper_pipeline.reporting.paper_figures.frames import pictures
from viper_pipeline.reporting.paper_figures.index import of_suites, paper_files
from viper_pipeline.reporting.plots import (
    as_png,
    draw_learning_curves,
    draw_masks,
    draw_reward_figure,
    flatter,
    smaller,
)
from viper_pipeline.reporting.results import Evidence
from viper_pipeline.rewards.evaluation import unpack
from viper_pipeline.training.artifacts import Directory

SUMMARY = ("auroc_step", "auroc_episode", "spearman_return", "value_order_correlation")


def aggregate(
    kept: Mapping[str, bytes], costs: Mapping[str, Any], **inputs: Any
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """run__, experts__, baselines__, reward__, settings__... -> reports/metrics.json, the few of its numbers that
    `dvc metrics` shows, and a row a point of every curve.

    kept: the files of reports/runs, by name. costs: what stages took on this machine, by node; of these, those of
    the suites are shown.
    """
    own = run_results(inputs)
    more = kept_beside(own, kept, settings_of(inputs))
    runs = [*own, *more.shown]
    rewards: dict[str, Any] = {}
    for (suite, model), directory in named("reward", inputs).items():
        rewards.setdefault(suite, {})[model] = reward_summary(directory)
    curves = [
        {
            "suite": r.suite,
            "task": r.task,
            "method": r.method,
            "agent": r.agent,
            "seed": r.seed,
            "step": int(step),
            "return_mean": round(float(value), 3),
        }
        for r in runs
        for step, value in zip(r.steps, r.returns, strict=True)
    ]
    levels = floors(inputs)
    suites = {level.suite for level in levels}
    spent = {node: cost for node, cost in costs.items() if node.partition(".")[0] in suites}
    metrics = build_metrics(runs, levels, rewards, spent) | {"kept": kept_summary(more)}
    return metrics, headline(metrics), curves


def reward_summary(directory: Directory) -> dict[str, Any]:
    """Means over tasks, and everything task by task."""
    tasks = {task: reward_metrics(*unpack(task, directory.tensors)) for task in directory.config["scales"]}
    for task, gate in directory.config.get("gates", {}).items():
        tasks[task]["gate"] = gate
    means = {name: float(np.mean([t[name] for t in tasks.values()])) for name in SUMMARY}
    return means | {"tasks": tasks}


def kept_summary(kept: Kept) -> dict[str, Any]:
    """Where kept runs come from, and why others were left out: how many each."""
    shown: dict[str, int] = {}
    for run in kept.shown:
        name = f"{run.suite} {run.task} {run.method} {run.agent}: {run.origin}"
        shown[name] = shown.get(name, 0) + 1
    return {"shown": shown, "left_out": dict(kept.left_out)}


def write_cards(provenance: Provenance | None = None, **inputs: Any) -> dict[str, bytes]:
    """-> README.md, which lists the others; one file an artifact, and the sample pictures of those that have some.

    A stage of its own, so that no model is trained anew when the words of its card change.
    """
    return files_of(cards_of(inputs, provenance.lineage["steps"] if provenance else {}))


def files_of(cards: Sequence[Card]) -> dict[str, bytes]:
    """Every card as Markdown, called after its artifact's path."""
    files, rows = {}, []
    for card in cards:
        name = card.name.removeprefix("data/").removesuffix(".h5").replace("/", "-").replace(" ", "-")
        pictures = {}
        if card.picture is not None:
            files[f"{name}.png"] = png(card.picture)
            pictures[f"{name}.png"] = PICTURE
        files[f"{name}.md"] = as_markdown(card, pictures).encode()
        rows.append(f"| [{card.name}]({name}.md) | {card.what} |")
    files["README.md"] = "\n".join(["# Cards", "", "| artifact | what it is |", "|---|---|", *rows, ""]).encode()
    return files


Pictures = dict[tuple[str, ...], bytes]
FILMED = ("viper", "task_reward")
"""Methods whose first seed is shown on film."""
SHOWN = 2
"""Tasks of a suite whose films and strips are shown, beside those held out; pictures are most of the page's size."""


def write_report(
    metrics: Mapping[str, Any],
    figures: Mapping[str, bytes],
    profile: str,
    paper_profile: Mapping[str, Any],
    measured: Mapping[str, bytes],
    provenance: Provenance | None = None,
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
    steps = provenance.lineage["steps"] if provenance else {}
    own = set(provenance.outs) if provenance else set()
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


def draw_figures(paper_profile: Mapping[str, Any], kept: Mapping[str, bytes], **inputs: Any) -> dict[str, bytes]:
    """run__, experts__, baselines__, reward__, tokenizer__, video_model__, settings__... -> files by name.

    kept: the files of reports/runs, by name. Pictures are PNG, the paper's figures also SVG, maps of surprise also GIF.
    """
    evidence = evidence_of(inputs, paper_profile, kept)
    suites = [suite for (suite,) in named("settings", inputs)]
    return task_files(evidence) | suite_files(evidence, suites) | paper_files(evidence, of_suites(suites))


def suite_files(evidence: Evidence, suites: list[str]) -> dict[str, bytes]:
    """Every run of a suite in one picture."""
    drawn = {suite: draw_profiles(suite, [r for r in evidence.runs if r.suite == suite]) for suite in suites}
    return {f"scores-{suite}.png": as_png(figure) for suite, figure in drawn.items() if figure is not None}


def task_files(evidence: Evidence) -> dict[str, bytes]:
    """Reward, maps, masks and learning curves of each task."""
    figures: dict[str, bytes] = {}
    for (suite, model), directory in evidence.rewards.items():
        for task in directory.config["scales"]:
            scores, returns = unpack(task, directory.tensors)
            mode = directory.config["reward"]["mode"]
            figures[f"reward-{suite}-{model}-{task}.png"] = draw_reward_figure(task, scores, returns, mode)
            if maps := directory.files.get(f"maps_{task}.png"):
                figures[f"maps-{suite}-{model}-{task}.png"] = flatter(maps)
                figures[f"maps-{suite}-{model}-{task}.gif"] = smaller(directory.files[f"maps_{task}.gif"])
    for (suite, task), experts in evidence.experts.items():
        if experts.spec.mask:
            random, expert = evidence.baselines[suite, task].group("episodes")[0], experts.group("held_out")[0]
            figures[f"masks-{suite}-{task}.png"] = draw_masks(random.frames, expert.frames, experts.spec.mask)
    for floor in evidence.floors:
        mine = [r for r in evidence.runs if (r.suite, r.task) == (floor.suite, floor.task)]
        if mine:
            figures[f"curves-{floor.suite}-{floor.task}.png"] = draw_learning_curves(floor.task, mine, floor)
    return figures
