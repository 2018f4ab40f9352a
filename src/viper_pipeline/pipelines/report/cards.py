"""The cards of everything that a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.pipelines.report.collect import named
from viper_pipeline.results.cards import Card, dataset_card, model_card


def cards_of(inputs: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]]) -> list[Card]:
    """Expert sets and baselines, tokenizers, video models and rewards; of agents, one of each task and method.

    steps: lineage; an artifact's path is that of the step whose stage made it.
    """
    path_of = {step["stage"]: path for path, step in steps.items()}
    cards = []
    for (suite, task), file in named("experts", inputs).items():
        cards.append(dataset_card(path_of.get(f"{suite}.curate_experts.{task}", f"expert set {task}"), file, steps))
    for (suite, task), file in named("baselines", inputs).items():
        cards.append(dataset_card(path_of.get(f"{suite}.record_baselines.{task}", f"floors {task}"), file, steps))
    for (suite,), directory in named("tokenizer", inputs).items():
        cards.append(model_card(path_of.get(f"{suite}.train_tokenizer.all", f"tokenizer {suite}"), directory, steps))
    for stage, prefix in (("train_video_model", "video_model"), ("evaluate_reward", "reward")):
        for (suite, model), directory in named(prefix, inputs).items():
            cards.append(model_card(path_of.get(f"{suite}.{stage}.{model}", f"{prefix} {model}"), directory, steps))
    runs = named("run", inputs)
    for key, directory in runs.items():
        suite, task, method, agent, seed = key
        if seed == min(k[4] for k in runs if k[:4] == key[:4]):
            node = f"{suite}.train_agent_{method}.{task}-{agent}-{seed}"
            cards.append(model_card(path_of.get(node, f"agent {task} {method} {agent} {seed}"), directory, steps))
    return cards
