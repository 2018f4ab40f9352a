"""Who feeds whom, from expert sets to rewards (paper 4.1, 4.2)."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.envs import SUITES
from viper_pipeline.pipelines.models.nodes import (
    encode_experts,
    evaluate_reward,
    train_tokenizer,
    train_video_model,
)
from viper_pipeline.pipelines.models.probe import is_probed, probe_tokenizer
from viper_pipeline.pipelines.models.ratio import evaluate_ratio, train_ratio_model
from viper_pipeline.pipelines.params import learned_tasks, learns_ratio
from viper_pipeline.pipelines.wiring import bind, stage
from viper_pipeline.rewards.methods import RATIO_MODEL
from viper_pipeline.tokenizers import TRAINABLE_TOKENIZERS


def create(suite: str, suite_config: ParamsBlock) -> Pipeline:
    """One tokenizer per suite, one set of codes per task, one reward per video model.

    Where agents may be paid by the likelihood ratio (method `viper_ratio`), its model and reward stand beside them.
    Suites whose tasks share labels may hold tasks out of the training.
    """
    p = f"params:suites.{suite}"
    tasks = learned_tasks(suite_config)
    kind = {"tokenizer_kind": suite_config["tokenizer"]["kind"]}
    trained_apart = suite_config["tokenizer"]["kind"] in TRAINABLE_TOKENIZERS.names()
    training = kind | ({"tokenizer_training": suite_config["tokenizer"]["kind"]} if trained_apart else {})
    labels = SUITES.get(suite).shared_labels
    held_out = {"held_out_tasks": f"{p}.held_out_tasks"} if labels else {}
    common = {"seed": "params:seed", "compute": "params:runtime.compute"}
    tokenizer = {"tokenizer": f"{suite}/tokenizer"}
    experts = {f"experts__{task}": f"{suite}/{task}/experts" for task in tasks}
    baselines = {f"baselines__{task}": f"{suite}/{task}/baseline_episodes" for task in tasks}
    codes = {f"codes__{task}": f"{suite}/{task}/codes" for task in tasks}
    nodes = [
        stage(
            suite,
            "train_tokenizer",
            "all",
            bind(train_tokenizer, suite=suite, **training),
            {
                "config": f"{p}.tokenizer",
                "scratch": "scratch",
                **common,
                **experts,
                **baselines,
                **held_out,
            },
            f"{suite}/tokenizer",
        )
    ]
    if is_probed(suite):
        nodes.append(
            stage(
                suite,
                "probe_tokenizer",
                "all",
                bind(probe_tokenizer, suite=suite, **kind),
                {"compute": "params:runtime.compute", **tokenizer, **experts, **baselines},
                f"{suite}/probe",
            )
        )
    for task in tasks:
        nodes.append(
            stage(
                suite,
                "encode_experts",
                task,
                bind(encode_experts, suite=suite, task=task, **kind),
                {"compute": "params:runtime.compute", "experts": f"{suite}/{task}/experts", **tokenizer},
                f"{suite}/{task}/codes",
            )
        )
    if learns_ratio(suite_config):
        bound = {"suite": suite, "model": RATIO_MODEL, **kind}
        trained = {"config": f"{p}.{RATIO_MODEL}", "scratch": "scratch", **codes, **baselines, **held_out}
        judged = {
            "reward": f"{p}.reward",
            "evaluation": f"{p}.reward_evaluation",
            "video_model": f"{suite}/{RATIO_MODEL}/video_model",
            **experts,
            **codes,
            **baselines,
        }
        nodes += [
            stage(
                suite,
                "train_video_model_ratio",
                "all",
                bind(train_ratio_model, **bound),
                trained | common | tokenizer,
                f"{suite}/{RATIO_MODEL}/video_model",
            ),
            stage(
                suite,
                "evaluate_reward_ratio",
                "all",
                bind(evaluate_ratio, **bound),
                judged | common | tokenizer,
                f"{suite}/{RATIO_MODEL}/reward",
            ),
        ]
    for model in suite_config["video_models"]:
        nodes += [
            stage(
                suite,
                "train_video_model",
                model,
                bind(train_video_model, suite=suite, model=model, **kind),
                {
                    "config": f"{p}.{model}",
                    "scratch": "scratch",
                    **common,
                    **tokenizer,
                    **codes,
                    **held_out,
                },
                f"{suite}/{model}/video_model",
            ),
            stage(
                suite,
                "evaluate_reward",
                model,
                bind(evaluate_reward, suite=suite, model=model, **kind),
                {
                    "reward": f"{p}.reward",
                    "evaluation": f"{p}.reward_evaluation",
                    "video_model": f"{suite}/{model}/video_model",
                    **common,
                    **tokenizer,
                    **experts,
                    **codes,
                    **baselines,
                },
                f"{suite}/{model}/reward",
            ),
        ]
    return Pipeline(nodes)
