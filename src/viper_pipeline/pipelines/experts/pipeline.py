"""Who feeds whom, from simulators and imported videos to expert sets (paper 3.3 and 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedro.pipeline import Pipeline

from viper_pipeline.envs import SUITES
from viper_pipeline.pipelines.experts.curate_experts import curate_experts
from viper_pipeline.pipelines.experts.record import record_baselines, record_demos, record_episodes, record_player
from viper_pipeline.pipelines.experts.train_oracle import train_oracle, train_planner, train_player
from viper_pipeline.pipelines.wiring import bind, stage


def create(suite: str, spec: Mapping[str, Any]) -> Pipeline:
    """The expert stages of one suite, once a task. Buttons, scripts and planners make for experts of another kind."""
    nodes = []
    p = f"params:suites.{suite}"
    kind = SUITES.get(suite)
    players = getattr(kind, "discrete", False) or getattr(kind, "scripted", False)
    planned = hasattr(kind, "make_demos")
    for task in spec["tasks"]:
        here = {"suite": suite, "task": task}
        learner = {"seed": "params:seed", "scratch": f"{suite}/train_oracle-{task}/scratch"} | (
            {"frames": f"{p}.frames"} if players else {"action_repeat": f"{p}.frames.action_repeat"}
        )
        nodes += [
            stage(
                suite,
                "train_oracle",
                task,
                bind(train_planner if planned else train_player if players else train_oracle, **here),
                {"recipe": f"{p}.oracles.{task}"} | ({} if planned else learner),
                f"{suite}/{task}/oracle",
            ),
            stage(
                suite,
                "record_episodes",
                task,
                bind(record_demos if planned else record_player if players else record_episodes, **here),
                {
                    "oracle": f"{suite}/{task}/oracle",
                    "frames": f"{p}.frames",
                    ("record_settings" if players else "record"): f"{p}.record",
                    "seed": "params:seed",
                    "workers": "params:runtime.workers",
                    "scratch": f"{suite}/record_episodes-{task}/scratch",
                },
                f"{suite}/{task}/oracle_episodes",
            ),
            stage(
                suite,
                "record_baselines",
                task,
                bind(record_baselines, **here),
                {
                    "frames": f"{p}.frames",
                    "baselines": f"{p}.baselines",
                    "seed": "params:seed",
                    "workers": "params:runtime.workers",
                    "scratch": f"{suite}/record_baselines-{task}/scratch",
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
                    "frames": f"{p}.frames",
                    "curation": f"{p}.curation",
                },
                f"{suite}/{task}/experts",
            ),
        ]
    return Pipeline(nodes)
