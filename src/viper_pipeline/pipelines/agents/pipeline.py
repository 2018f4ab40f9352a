"""Who feeds whom, from a reward to agents (paper 4.2). One stage a method, since methods read different things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kedro.pipeline import Pipeline

from viper_pipeline.pipelines.agents.train_agent import train_agent, train_agent_amp, train_agent_viper
from viper_pipeline.pipelines.params import learned, learned_tasks
from viper_pipeline.pipelines.wiring import bind, stage


def create(suite: str, spec: Mapping[str, Any], seeds: Sequence[int]) -> Pipeline:
    """suite x task x method x agent x seed."""
    p = f"params:suites.{suite}"
    model = spec["reward"]["model"]
    nodes = []
    for method, tasks in learned(spec).items():
        for task in tasks:
            for agent in spec["agents"]:
                for seed in seeds:
                    inputs = {
                        "config": f"{p}.{agent}",
                        "run": f"{p}.runs",
                        "frames": f"{p}.frames",
                        "compute": "params:runtime.compute",
                        "scratch": f"{suite}/train_agent_{method}-{task}-{agent}-{seed}/scratch",
                    }
                    if method in ("viper", "exploration"):
                        inputs["exploration"] = f"{p}.exploration"
                    place = {"suite": suite, "task": task, "method": method, "agent": agent, "seed": seed}
                    function = bind(train_agent, **place)
                    if method == "viper":
                        function = bind(train_agent_viper, model=model, **place)
                        inputs |= {
                            "tokenizer": f"{suite}/tokenizer",
                            "video_model": f"{suite}/{model}/video_model",
                            "reward": f"{suite}/{model}/reward",
                        }
                    if method in ("amp", "amp_multi"):
                        shown = spec.get("every_task", learned_tasks(spec)) if method == "amp_multi" else [task]
                        function = bind(train_agent_amp, **place)
                        inputs |= {"amp": f"{p}.amp"} | {f"experts__{t}": f"{suite}/{t}/experts" for t in shown}
                    nodes.append(
                        stage(
                            suite,
                            f"train_agent_{method}",
                            f"{task}-{agent}-{seed}",
                            function,
                            inputs,
                            f"{suite}/{task}/{method}/{agent}/{seed}/run",
                        )
                    )
    return Pipeline(nodes)
