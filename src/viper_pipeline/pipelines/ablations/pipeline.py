"""Who feeds whom in the ablations: from a suite's expert sets to agents of changed rewards, and to a page (Fig 9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kedro.pipeline import Node, Pipeline

from viper_pipeline.pipelines.ablations.nodes import evaluate_way, report_ablations, train_agent_beta, train_context
from viper_pipeline.pipelines.agents.train_agent import train_agent_viper
from viper_pipeline.pipelines.models.evaluate_reward import evaluate_reward
from viper_pipeline.pipelines.models.train_video_model import train_video_model
from viper_pipeline.pipelines.params import STREAMED, learned_tasks
from viper_pipeline.pipelines.wiring import bind, stage

GROUP = "ablations"


def variants(block: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(axis, value) of everything that is changed."""
    for axis, values in (("beta", "betas"), ("model", "models"), ("context", "contexts"), ("way", "ways")):
        yield from ((axis, value) for value in block.get(values, ()))


def run_of(block: Mapping[str, Any], axis: str, value: Any, seed: int) -> str:
    """The dataset of an agent whose reward had one part changed."""
    return f"{GROUP}/{block['task']}/{axis}_{value}/{block['agent']}/{seed}/run"


def create(block: Mapping[str, Any], spec: Mapping[str, Any], seeds: Sequence[int]) -> Pipeline:
    """block: `ablations` of params.yaml; spec: its suite's block. Axes: beta, model, context, way; each with seeds."""
    suite, task, agent, own = block["suite"], block["task"], block["agent"], spec["reward"]["model"]
    p = f"params:suites.{suite}"
    runs = {f"run__own__own__{seed}": f"{suite}/{task}/viper/{agent}/{seed}/run" for seed in seeds}
    rewards = {f"reward__own__{own}": f"{suite}/{own}/reward"}
    codes = {f"codes__{t}": f"{suite}/{t}/codes" for t in learned_tasks(spec)}
    videos = {f"experts__{t}": f"{suite}/{t}/experts" for t in learned_tasks(spec)}
    videos |= {f"baselines__{t}": f"{suite}/{t}/baseline_episodes" for t in learned_tasks(spec)}
    nodes: list[Node] = []

    def train(axis: str, value: Any, function: Callable, kind: str, video_model: str, reward: str, **more: Any) -> None:
        """An agent a seed, paid by this video model."""
        for seed in seeds:
            run = run_of(block, axis, value, seed)
            runs[f"run__{axis}__{value}__{seed}"] = run
            inputs = {
                "config": f"{p}.{agent}",
                "run": f"{p}.runs",
                "frames": f"{p}.frames",
                "exploration": f"{p}.exploration",
                "compute": "params:runtime.compute",
                "scratch": f"{GROUP}/train_agent_{axis}-{value}-{seed}/scratch",
                "tokenizer": f"{suite}/tokenizer",
                "video_model": video_model,
                "reward": reward,
            }
            place = {"suite": suite, "task": task, "method": "viper", "agent": agent, "seed": seed, "model": kind}
            function_here = bind(function, **place, **more)
            nodes.append(stage(GROUP, f"train_agent_{axis}", f"{value}-{seed}", function_here, inputs, run))

    common = {"seed": "params:seed", "compute": "params:runtime.compute", "tokenizer": f"{suite}/tokenizer"} | codes

    def model(axis: str, value: Any, function: Callable, kind: str, config: str, **more: Any) -> None:
        """A video model, its reward, and the agents that it pays."""
        video_model = f"{GROUP}/{axis}_{value}/video_model"
        learned = {"config": config, "scratch": f"{GROUP}/train_video_model_{axis}-{value}/scratch"}
        trained = bind(function, suite=suite, model=kind, **more)
        nodes.append(stage(GROUP, f"train_video_model_{axis}", f"{value}", trained, learned | common, video_model))
        pay(axis, value, evaluate_reward, kind, video_model)

    def pay(axis: str, value: Any, function: Callable, kind: str, video_model: str, **more: Any) -> None:
        """A reward of this video model, and the agents that it pays."""
        rewards[f"reward__{axis}__{value}"] = reward = f"{GROUP}/{axis}_{value}/reward"
        judged = {"reward": f"{p}.reward", "evaluation": f"{p}.reward_evaluation", "video_model": video_model}
        evaluated = bind(function, suite=suite, model=kind, **more)
        nodes.append(stage(GROUP, f"evaluate_reward_{axis}", f"{value}", evaluated, judged | common | videos, reward))
        train(axis, value, train_agent_viper, kind, video_model, reward)

    for beta in block["betas"]:
        paid_by = (f"{suite}/{own}/video_model", f"{suite}/{own}/reward")
        train("beta", beta, train_agent_beta, own, *paid_by, beta=beta)
    for name in block["models"]:
        model("model", name, train_video_model, name, f"params:{GROUP}.{name}")
    for context in block["contexts"]:
        model("context", context, train_context, own, f"{p}.{own}", context=context)
    for way in block.get("ways", ()):
        pay("way", way, evaluate_way, STREAMED, f"{GROUP}/model_{STREAMED}/video_model", way=way)
    floors = {"baselines": f"{suite}/{task}/baseline_episodes", "experts": f"{suite}/{task}/experts"}
    made = [f"{GROUP}/{name}" for name in ("metrics", "headline", "curves", "figures", "page")]
    settings = {"settings": f"{p}.{own}", "profile": "params:profile"}
    function = bind(report_ablations, suite=suite, task=task, agent=agent)
    nodes.append(stage(GROUP, "report", "all", function, runs | rewards | floors | settings, made))
    return Pipeline(nodes)
