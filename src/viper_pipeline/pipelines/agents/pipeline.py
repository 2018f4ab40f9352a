"""From rewards to agents (paper 4.2). One stage per reward, since rewards read different things."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Pipeline

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.pipelines.agents.nodes import train_agent
from viper_pipeline.pipelines.params import learned, learned_tasks, seeds_of
from viper_pipeline.pipelines.wiring import bind, stage
from viper_pipeline.rewards.base import REWARDS


def create(suite: str, block: ParamsBlock, seeds: Sequence[int]) -> Pipeline:
    """Every combination of task, reward, agent and seed; block: the suite's parameters."""
    nodes = []
    for reward, tasks in learned(block).items():
        for task in tasks:
            bound, read = reward_inputs(suite, block, reward, task)
            for agent in block["agents"]:
                for seed in seeds_of(block, reward, seeds):
                    item = f"{task}-{agent}-{seed}"
                    inputs = {
                        **agent_inputs(suite, agent),
                        **read,
                        "scratch": "scratch",
                    }
                    nodes.append(
                        stage(
                            suite,
                            f"train_agent_{reward}",
                            item,
                            bind(train_agent, suite=suite, task=task, agent=agent, seed=seed, **bound),
                            inputs,
                            f"{suite}/{task}/{reward}/{agent}/{seed}/run",
                        )
                    )
    return Pipeline(nodes)


def agent_inputs(suite: str, agent: str) -> dict[str, str]:
    """What every agent reads, whatever its reward."""
    return {
        "config": f"params:suites.{suite}.{agent}",
        "run": f"params:suites.{suite}.runs",
        "env": f"params:suites.{suite}.env",
        "frames": f"params:suites.{suite}.frames",
        "compute": "params:runtime.compute",
    }


def reward_inputs(suite: str, block: ParamsBlock, reward: str, task: str) -> tuple[dict[str, str], dict[str, str]]:
    """The registered parts that a reward and its bonus run, by keyword, and the datasets and parameters they read."""
    method = REWARDS.get(reward)()
    bound = {"reward": reward, **method.parts(block)}
    inputs = method.inputs(block, suite, task, block.get("every_task", learned_tasks(block)))
    if method.block:
        inputs["settings"] = f"params:suites.{suite}.{method.block}"
    if method.bonus:
        bound["exploration"] = block["exploration"].get("kind", "rnd")
        inputs["bonus"] = f"params:suites.{suite}.exploration"
    return bound, inputs
