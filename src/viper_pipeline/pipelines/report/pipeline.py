"""Who feeds whom, from the runs of a suite to its report (paper 4 and A.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kedro.pipeline import Pipeline

from viper_pipeline.pipelines.params import learned
from viper_pipeline.pipelines.report.nodes import aggregate, draw_figures, write_cards, write_report
from viper_pipeline.pipelines.wiring import stage


def create(
    suites: Mapping[str, Mapping[str, Any]], seeds: Sequence[int], group: str = "report", place: str = ""
) -> Pipeline:
    """Four stages over `suites`; place: what stands before the names of what they make."""
    judged = results_of(suites, seeds)
    settings = {f"settings__{suite}": f"params:suites.{suite}" for suite in suites}
    carded = judged | models_of(suites)
    shown = carded | settings | {"paper_profile": "paper_profile"}
    kept = {"kept": "kept_runs"}
    origin = {"provenance": "provenance"}
    counted = judged | settings | kept | {"costs": "costs"}
    made = {"metrics": f"{place}metrics", "figures": f"{place}figures"}
    numbers = [f"{place}metrics", f"{place}headline", f"{place}curves"]
    pages = made | {"profile": "params:profile", "measured": "measured"}
    return Pipeline(
        [
            stage(group, "aggregate", "all", aggregate, counted, numbers),
            stage(group, "draw_figures", "all", draw_figures, shown | kept, f"{place}figures"),
            stage(group, "write_cards", "all", write_cards, carded | origin, f"{place}cards"),
            stage(group, "write_report", "all", write_report, pages | shown | origin, f"{place}page"),
        ]
    )


def results_of(suites: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]) -> dict[str, str]:
    """What is measured: name of an input -> dataset, of every run, expert set, floor and reward."""
    runs, experts, rewards = {}, {}, {}
    for suite, spec in suites.items():
        for task in spec["tasks"]:
            experts[f"experts__{suite}__{task}"] = f"{suite}/{task}/experts"
            experts[f"baselines__{suite}__{task}"] = f"{suite}/{task}/baseline_episodes"
        for method, tasks in learned(spec).items():
            for task in tasks:
                for agent in spec["agents"]:
                    for seed in seeds:
                        key = f"run__{suite}__{task}__{method}__{agent}__{seed}"
                        runs[key] = f"{suite}/{task}/{method}/{agent}/{seed}/run"
        for model in spec["video_models"]:
            rewards[f"reward__{suite}__{model}"] = f"{suite}/{model}/reward"
    return runs | experts | rewards


def models_of(suites: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What is shown besides: name of an input -> dataset, of every tokenizer and video model."""
    models = {f"tokenizer__{suite}": f"{suite}/tokenizer" for suite in suites}
    for suite, spec in suites.items():
        models |= {f"video_model__{suite}__{model}": f"{suite}/{model}/video_model" for model in spec["video_models"]}
    return models
