"""How much work a profile's stages are: counts of things that can be timed one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from viper_pipeline.oracles.config import OracleConfig
from viper_pipeline.oracles.search import SearchConfig
from viper_pipeline.pipelines.params import Params, SuiteConfig
from viper_pipeline.rewards.perturbations import perturbed
from viper_pipeline.suites import SUITES


@dataclass(frozen=True)
class Work:
    """All runs of one stage of one suite."""

    suite: str
    stage: str
    runs: int
    units: dict[str, float] = field(default_factory=dict)  # unit -> how many, over all runs
    memory: float = 0.0  # bytes of a run that grow with its settings: the replay
    disk: float = 0.0  # bytes of all outputs, uncompressed


def work_of(params: Params) -> list[Work]:
    """Every stage that takes time. Oracles count as if none stopped early, and episodes as if all were whole."""
    return [work for name, suite in params.suites.items() for work in _suite(name, suite, len(params.seeds))]


def _suite(name: str, suite: SuiteConfig, seeds: int) -> Iterator[Work]:
    simulator = SUITES.get(name)()
    tasks = suite.tasks
    specs = {task: simulator.frame_spec(task, suite.frames.model_dump()) for task in tasks}
    frames = {task: simulator.episode_steps(task, spec) + 1 for task, spec in specs.items()}
    pixels = suite.frames.size**2 * 3
    recipes = {task: suite.oracles[task] for task in tasks if task in suite.oracles}
    steps = sum(recipe.steps for recipe in recipes.values() if isinstance(recipe, OracleConfig))
    ahead = sum(frames[task] * r.imagined for task, r in recipes.items() if isinstance(r, SearchConfig))
    yield Work(name, "train_oracle", len(tasks), {"oracle step": steps} if steps else {})
    for stage, episodes in (
        ("record_episodes", suite.record.expert + suite.record.noisy),
        ("record_baselines", suite.baselines.random + suite.baselines.idle),
    ):
        drawn = episodes * sum(frames.values())
        units = {"frame drawn": drawn}
        if ahead and stage == "record_episodes":
            units["step imagined"] = episodes * ahead
        yield Work(name, stage, len(tasks), units, disk=drawn * pixels)
    curation = suite.curation
    training_videos = (curation.top_k - curation.held_out) * len(curation.starts("train"))
    videos_of_task = training_videos + curation.held_out + suite.record.noisy
    kept = videos_of_task * sum(frames.values()) / curation.stride
    yield Work(name, "curate_experts", len(tasks), disk=kept * pixels)
    frames = {task: frames[task] for task in suite.learnable}
    kept = videos_of_task * sum(frames.values()) / curation.stride
    training = suite.tokenizer.training
    yield Work(name, "train_tokenizer", 1, {"image learned": training.steps * training.batch_size})
    yield Work(name, "encode_experts", len(frames), {"frame encoded": kept}, disk=kept * 2 * _codes(suite))
    for model in suite.video_models:
        config = suite.components[model]
        training = config.training  # type: ignore[attr-defined]
        clips = training.steps * training.batch_size
        yield Work(name, f"train_video_model {model}", 1, {f"clip learned by {model}": clips})
        settings = suite.reward_evaluation
        scored = {}
        for task, length in frames.items():
            shown = min(settings.episodes, curation.held_out)
            copies = len(perturbed(length, settings.freeze_at, 0))
            kinds = [training_videos, suite.record.noisy]
            kinds += [suite.baselines.random, suite.baselines.idle]
            videos = shown * (1 + copies) + sum(min(settings.episodes, kind) for kind in kinds)
            scored[task] = videos * length / curation.stride
        yield Work(name, f"evaluate_reward {model}", 1, {f"frame scored by {model}": sum(scored.values())})
    for method, learned in suite.learned.items():
        for agent in suite.agents:
            yield _agents(name, suite, method, agent, frames, len(learned) * seeds)


def _agents(name: str, suite: SuiteConfig, method: str, agent: str, frames: dict[str, int], runs: int) -> Work:
    run = suite.limits(agent)
    judged = (run.steps // run.eval_every * run.eval_episodes + run.final_episodes) * float(np.mean([*frames.values()]))
    units = {"frame drawn": runs * (run.steps + judged)}
    bonus = " with bonus" if method in ("viper", "exploration") else ""
    units[f"{agent} step{bonus}"] = runs * max(run.steps - run.random_steps, 0)
    if method == "viper":
        units |= {"frame encoded": runs * run.steps, f"frame scored by {suite.reward.model}": runs * run.steps}
    size = getattr(suite.components[agent], "pixels", suite.frames.size)
    return Work(name, f"train_agent_{method} {agent}", runs, units, min(run.capacity, run.steps) * size**2 * 3)


def _codes(suite: SuiteConfig) -> int:
    """Codes of a frame."""
    return (suite.frames.size // suite.tokenizer.factor) ** 2
