"""Stage `draw_figures`: the paper's figures and tables from what has been run, and this project's own, task by task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.pipelines.report.collect import named
from viper_pipeline.pipelines.report.evidence import evidence_of
from viper_pipeline.results.evidence import Evidence
from viper_pipeline.results.experts import draw_masks
from viper_pipeline.results.figures import draw_learning_curves, draw_reward_figure
from viper_pipeline.results.films import flatter, smaller
from viper_pipeline.results.paper_figures.files import paper_files
from viper_pipeline.results.paper_figures.overall import draw_profiles
from viper_pipeline.results.paper_figures.registry import of_suites
from viper_pipeline.results.style import as_png
from viper_pipeline.rewards.evaluate import unpack


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
