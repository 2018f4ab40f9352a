"""The graph from simulators and imported videos to expert sets (paper 3.3 and 4.1)."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.pipelines.experts.nodes import curate_experts, record_baselines, record_episodes, train_expert
from viper_pipeline.pipelines.wiring import bind, stage


def create(suite: str, suite_config: ParamsBlock) -> Pipeline:
    """The expert stages of one suite, once per task. Which algorithm an expert has is said by its recipe alone."""
    nodes = []
    p = f"params:suites.{suite}"
    for task in suite_config["tasks"]:
        here = {"suite": suite, "task": task}
        recording = {
            "env": f"{p}.env",
            "frames": f"{p}.frames",
            "seed": "params:seed",
            "workers": "params:runtime.workers",
        }
        nodes += [
            stage(
                suite,
                "train_expert",
                task,
                bind(train_expert, **here),
                {
                    "recipe": f"{p}.experts.{task}",
                    "env": f"{p}.env",
                    "seed": "params:seed",
                    "scratch": "scratch",
                },
                f"{suite}/{task}/expert",
            ),
            stage(
                suite,
                "record_episodes",
                task,
                bind(record_episodes, **here),
                {
                    "expert": f"{suite}/{task}/expert",
                    "settings": f"{p}.record",
                    "scratch": "scratch",
                    **recording,
                },
                f"{suite}/{task}/expert_episodes",
            ),
            stage(
                suite,
                "record_baselines",
                task,
                bind(record_baselines, **here),
                {
                    "baselines": f"{p}.baselines",
                    "scratch": "scratch",
                    **recording,
                },
                f"{suite}/{task}/baseline_episodes",
            ),
            stage(
                suite,
                "curate_experts",
                task,
                bind(curate_experts, **here),
                {
                    "source": f"{suite}/{task}/source",
                    "dataset": f"{p}.datasets.{task}",
                    "env": f"{p}.env",
                    "frames": f"{p}.frames",
                    "curation": f"{p}.curation",
                },
                f"{suite}/{task}/experts",
            ),
        ]
    return Pipeline(nodes)
