"""Stages `train_agent_<reward>`: one run per suite, task, reward, agent and seed (paper 4.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from viper_pipeline.agents.base import AGENTS, RunConfig
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.data.episode import gif
from viper_pipeline.envs import SUITES
from viper_pipeline.rewards.base import EXPLORATION, REWARDS, RewardContext
from viper_pipeline.training.artifacts import ModelArtifact, history_csv
from viper_pipeline.training.checkpoints import derive
from viper_pipeline.training.config import ComputeConfig
from viper_pipeline.training.progress import Report


def train_agent(
    config: ParamsBlock,
    run: ParamsBlock,
    env: ParamsBlock,
    frames: ParamsBlock,
    compute: ParamsBlock,
    scratch: Path | None,
    bonus: ParamsBlock | None = None,
    settings: ParamsBlock | None = None,
    *,
    suite: str,
    task: str,
    reward: str,
    agent: str,
    seed: int,
    exploration: str | None = None,
    **inputs: Any,
) -> ModelArtifact:
    """Train one agent on one reward. If the reward gives nothing, the agent learns from the exploration bonus alone.

    config, run, env, frames, compute: the suite's blocks of params.yaml that the agent, its run, its environment
    and the machine read. settings: the reward's own block, if it has one. inputs: the datasets that the reward reads.
    reward, agent, exploration: names in REWARDS, AGENTS and EXPLORATION; exploration None: no bonus for this reward.
    bonus: the settings of the exploration bonus; an agent that is `curious` explores by its own means instead.

    Returns weights, curve.csv (returns of evaluation episodes against steps), and a GIF of one episode at the end.
    Raises BadData or BadParams if the reward was made for other frames than the environment makes.
    """
    device = ComputeConfig.model_validate(compute).begin()
    simulator, method, kind = SUITES.get(suite)(), REWARDS.get(reward)(), AGENTS.get(agent)
    spec = simulator.frame_spec(task, env, frames)
    agent_config = kind.Config.model_validate(config)
    limits = agent_config.runs or RunConfig.model_validate(run)
    context = RewardContext(suite, task, device, lambda name: simulator.frame_spec(name, env, frames))
    source = method.build(context, method.Config.model_validate(settings or {}) if method.Config else None, inputs)
    explorer = EXPLORATION.get(exploration or "none")
    explorer_config = explorer.Config.model_validate(bonus or {})
    explores = explorer_config.explores
    result = train_in_environment(
        agent,
        agent_config,
        limits,
        lambda seed: simulator.make(task, seed, env, spec),
        seed=derive(seed, "agent", suite, task, method.seed_label, agent),
        reward=source,
        discrete=simulator.discrete,
        curious=explores and kind.curious,
        exploration=(lambda shape: explorer(explorer_config, shape)) if explores and not kind.curious else None,
        scratch=scratch,
        progress=Report(f"{reward} {agent} {task} seed {seed}"),
        device=device,
    )
    about = {
        "kind": agent,
        "suite": suite,
        "task": task,
        "method": reward,
        "seed": seed,
        "agent": dict(config),
        "run": limits.model_dump(mode="json"),
        "action_repeat": spec.action_repeat,
        "final_returns": result.final_returns,
    }
    if result.final_successes is not None:
        about["final_successes"] = result.final_successes
    episode = gif(result.frames[::2], milliseconds=60)
    return ModelArtifact(about, result.weights, {"curve.csv": history_csv(result.curve), "episode.gif": episode})
