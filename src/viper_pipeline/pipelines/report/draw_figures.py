"""Stage `draw_figures`: the reward (Fig 5) with maps (Figs 16 to 18), learning curves (Figs 3, 12), and the paper's."""

from __future__ import annotations

from typing import Any

from viper_pipeline.pipelines.report.collect import floors, named, run_results
from viper_pipeline.results.experts import draw_masks
from viper_pipeline.results.figures import draw_learning_curves, draw_paper_curves, draw_reward_figure
from viper_pipeline.rewards.evaluate import unpack


def draw_figures(**inputs: Any) -> dict[str, bytes]:
    """run__, experts__, baselines__, reward__... -> PNG, of maps also GIF, by name."""
    figures: dict[str, bytes] = {}
    for (suite, model), directory in named("reward", inputs).items():
        for task in directory.config["scales"]:
            scores, returns = unpack(task, directory.tensors)
            figures[f"reward-{suite}-{model}-{task}.png"] = draw_reward_figure(task, scores, returns)
            for kind in ("png", "gif"):
                if maps := directory.files.get(f"maps_{task}.{kind}"):
                    figures[f"maps-{suite}-{model}-{task}.{kind}"] = maps
    baselines = named("baselines", inputs)
    for (suite, task), experts in named("experts", inputs).items():
        if experts.spec.mask:
            random, expert = baselines[suite, task].group("episodes")[0], experts.group("held_out")[0]
            figures[f"masks-{suite}-{task}.png"] = draw_masks(random.frames, expert.frames, experts.spec.mask)
    runs = run_results(inputs)
    for floor in floors(inputs):
        mine = [r for r in runs if (r.suite, r.task) == (floor.suite, floor.task)]
        if mine:
            figures[f"curves-{floor.suite}-{floor.task}.png"] = draw_learning_curves(floor.task, mine, floor)
        if paper := draw_paper_curves(floor.suite, floor.task):
            figures[f"paper-{floor.suite}-{floor.task}.png"] = paper
    return figures
