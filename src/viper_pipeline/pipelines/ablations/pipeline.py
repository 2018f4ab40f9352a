"""The ablations: agents whose reward has one part changed, and a page that compares them (Fig 9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kedro.pipeline import Node, Pipeline

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.pipelines.ablations.nodes import evaluate_scoring, report_ablations, train_agent_beta, train_context
from viper_pipeline.pipelines.agents.nodes import train_agent
from viper_pipeline.pipelines.agents.pipeline import agent_inputs, reward_inputs
from viper_pipeline.pipelines.models.nodes import evaluate_reward, train_video_model
from viper_pipeline.pipelines.params import STREAMED, learned_tasks
from viper_pipeline.pipelines.wiring import argument, bind, stage

GROUP = "ablations"


def variants(block: ParamsBlock) -> Iterator[tuple[str, object]]:
    """(axis, value) of every ablation."""
    for axis, values in (("beta", "betas"), ("model", "models"), ("context", "contexts"), ("scoring", "scorings")):
        yield from ((axis, value) for value in block.get(values, ()))


def run_of(block: ParamsBlock, axis: str, value: object, seed: int) -> str:
    """The dataset of the agent of one ablation and seed."""
    return f"{GROUP}/{block['task']}/{axis}_{value}/{block['agent']}/{seed}/run"


def create(block: ParamsBlock, suite_config: ParamsBlock, seeds: Sequence[int], pages: Sequence[str]) -> Pipeline:
    """block: `ablations` of params.yaml; suite_config: its suite's block. Axes: beta, model, context, scoring."""
    suite, task, agent, own = block["suite"], block["task"], block["agent"], suite_config["reward"]["model"]
    p = f"params:suites.{suite}"
    runs = {argument("run", ("own", "own", seed)): f"{suite}/{task}/viper/{agent}/{seed}/run" for seed in seeds}
    rewards = {argument("reward", ("own", own)): f"{suite}/{own}/reward"}
    codes = {argument("codes", t): f"{suite}/{t}/codes" for t in learned_tasks(suite_config)}
    videos = {argument("experts", t): f"{suite}/{t}/experts" for t in learned_tasks(suite_config)}
    videos |= {argument("baselines", t): f"{suite}/{t}/baseline_episodes" for t in learned_tasks(suite_config)}
    bound, read = reward_inputs(suite, suite_config, "viper", task)
    tokenizer = {"tokenizer_kind": suite_config["tokenizer"]["kind"]}
    nodes: list[Node] = []

    def train(
        axis: str, value: object, function: Callable, kind: str, video_model: str, reward: str, **more: object
    ) -> None:
        """One agent per seed, rewarded by this video model."""
        for seed in seeds:
            run = run_of(block, axis, value, seed)
            runs[argument("run", (axis, value, seed))] = run
            inputs = {
                **agent_inputs(suite, agent),
                **read,
                "scratch": "scratch",
                "video_model": video_model,
                "fitted_reward": reward,
            }
            place = {**bound, "suite": suite, "task": task, "agent": agent, "seed": seed, "model": kind}
            function_here = bind(function, **place, **more)
            nodes.append(stage(GROUP, f"train_agent_{axis}", f"{value}-{seed}", function_here, inputs, run))

    common = {"seed": "params:seed", "compute": "params:runtime.compute", "tokenizer": f"{suite}/tokenizer"} | codes

    def model(axis: str, value: object, function: Callable, kind: str, config: str, **more: object) -> None:
        """A video model, its reward, and the agents that it rewards."""
        video_model = f"{GROUP}/{axis}_{value}/video_model"
        learned = {"config": config, "scratch": "scratch"}
        trained = bind(function, suite=suite, model=kind, **tokenizer, **more)
        nodes.append(stage(GROUP, f"train_video_model_{axis}", f"{value}", trained, learned | common, video_model))
        reward(axis, value, evaluate_reward, kind, video_model)

    def reward(axis: str, value: object, function: Callable, kind: str, video_model: str, **more: object) -> None:
        """The reward of this video model, and the agents that it rewards."""
        rewards[argument("reward", (axis, value))] = fitted = f"{GROUP}/{axis}_{value}/reward"
        scored = {"reward": f"{p}.reward", "evaluation": f"{p}.reward_evaluation", "video_model": video_model}
        evaluated = bind(function, suite=suite, model=kind, **tokenizer, **more)
        nodes.append(stage(GROUP, f"evaluate_reward_{axis}", f"{value}", evaluated, scored | common | videos, fitted))
        train(axis, value, train_agent, kind, video_model, fitted)

    for beta in block["betas"]:
        own_reward = (f"{suite}/{own}/video_model", f"{suite}/{own}/reward")
        train("beta", beta, train_agent_beta, own, *own_reward, beta=beta)
    for name in block["models"]:
        model("model", name, train_video_model, name, f"params:{GROUP}.{name}")
    for context in block["contexts"]:
        model("context", context, train_context, own, f"{p}.{own}", context=context)
    for scoring in block.get("scorings", ()):
        reward("scoring", scoring, evaluate_scoring, STREAMED, f"{GROUP}/model_{STREAMED}/video_model", scoring=scoring)
    levels = {"baseline_episodes": f"{suite}/{task}/baseline_episodes", "experts": f"{suite}/{task}/experts"}
    made = [f"{GROUP}/{name}" for name in ("metrics", "headline", "curves", "figures", "page")]
    settings = {"settings": f"{p}.{own}", "profile": "params:profile"}
    function = bind(report_ablations, suite=suite, task=task, agent=agent, pages=pages)
    nodes.append(stage(GROUP, "report", "all", function, runs | rewards | levels | settings, made))
    return Pipeline(nodes)
