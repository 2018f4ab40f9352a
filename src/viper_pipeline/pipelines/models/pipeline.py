"""Who feeds whom, from expert sets to a reward (paper 3.1, 3.2 and 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedro.pipeline import Pipeline

from viper_pipeline.envs import SUITES
from viper_pipeline.pipelines.models.encode_experts import encode_experts
from viper_pipeline.pipelines.models.evaluate_reward import evaluate_reward
from viper_pipeline.pipelines.models.train_tokenizer import train_shared_tokenizer, train_tokenizer
from viper_pipeline.pipelines.models.train_video_model import train_shared_model, train_video_model
from viper_pipeline.pipelines.params import learned_tasks
from viper_pipeline.pipelines.wiring import bind, stage


def create(suite: str, spec: Mapping[str, Any]) -> Pipeline:
    """One tokenizer a suite, one set of codes a task, one reward a video model. Suites with arms hold pairs out."""
    p = f"params:suites.{suite}"
    arms = hasattr(SUITES.get(suite), "class_of")
    tasks = learned_tasks(spec)
    held_out = {"held_out_tasks": f"{p}.held_out_tasks"} if arms else {}
    experts = {f"experts__{task}": f"{suite}/{task}/experts" for task in tasks}
    baselines = {f"baselines__{task}": f"{suite}/{task}/baseline_episodes" for task in tasks}
    codes = {f"codes__{task}": f"{suite}/{task}/codes" for task in tasks}
    nodes = [
        stage(
            suite,
            "train_tokenizer",
            "all",
            bind(train_shared_tokenizer if arms else train_tokenizer, suite=suite),
            {
                "config": f"{p}.tokenizer",
                "seed": "params:seed",
                "compute": "params:runtime.compute",
                "scratch": f"{suite}/train_tokenizer/scratch",
                **experts,
                **baselines,
                **held_out,
            },
            f"{suite}/tokenizer",
        )
    ]
    for task in tasks:
        nodes.append(
            stage(
                suite,
                "encode_experts",
                task,
                bind(encode_experts, suite=suite, task=task),
                {
                    "compute": "params:runtime.compute",
                    "tokenizer": f"{suite}/tokenizer",
                    "experts": f"{suite}/{task}/experts",
                },
                f"{suite}/{task}/codes",
            )
        )
    for model in spec["video_models"]:
        nodes += [
            stage(
                suite,
                "train_video_model",
                model,
                bind(train_shared_model if arms else train_video_model, suite=suite, model=model),
                {
                    "config": f"{p}.{model}",
                    "seed": "params:seed",
                    "compute": "params:runtime.compute",
                    "tokenizer": f"{suite}/tokenizer",
                    "scratch": f"{suite}/train_video_model-{model}/scratch",
                    **codes,
                    **held_out,
                },
                f"{suite}/{model}/video_model",
            ),
            stage(
                suite,
                "evaluate_reward",
                model,
                bind(evaluate_reward, suite=suite, model=model),
                {
                    "reward": f"{p}.reward",
                    "evaluation": f"{p}.reward_evaluation",
                    "seed": "params:seed",
                    "compute": "params:runtime.compute",
                    "tokenizer": f"{suite}/tokenizer",
                    "video_model": f"{suite}/{model}/video_model",
                    **experts,
                    **codes,
                    **baselines,
                },
                f"{suite}/{model}/reward",
            ),
        ]
    return Pipeline(nodes)
