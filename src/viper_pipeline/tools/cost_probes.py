"""A few timed steps of each kind of work, at a profile's own sizes, with random weights and frames.

On a CPU what is measured is one core's time, so that other work beside it does not count; on a GPU it is the clock's.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import gymnasium
import numpy as np
import torch

from viper_pipeline.agents.base import AGENTS
from viper_pipeline.agents.train import train_agent
from viper_pipeline.envs import SUITES
from viper_pipeline.experts.sb3 import Learner, OracleConfig
from viper_pipeline.experts.search import SearchConfig
from viper_pipeline.pipelines.params import Params, SuiteConfig
from viper_pipeline.rewards.base import EXPLORATION
from viper_pipeline.tokenizers import trainable_tokenizer
from viper_pipeline.tokenizers.base import Tokenizer
from viper_pipeline.training.config import ComputeConfig, LoopConfig
from viper_pipeline.training.loop import train
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import Scoring
from viper_pipeline.video_models.scoring import score_videos

clock: Callable[[], float] = time.process_time
STEPS = 3
"""Steps that are timed; one more before them is not."""
IMAGES, CLIPS, SEQUENCES = 4, 1, 2
"""A batch on a CPU, where the time of an image does not depend on how many come with it; a GPU gets whole batches."""


def units_of(suite: SuiteConfig) -> Iterator[str]:
    """Every unit that can be timed."""
    if any(isinstance(recipe, OracleConfig) for recipe in suite.oracles.values()):
        yield "oracle step"
    if any(isinstance(recipe, SearchConfig) for recipe in suite.oracles.values()):
        yield "step imagined"
    yield from ("frame drawn", "image learned", "frame encoded")
    for model in suite.video_models:
        yield from (f"clip learned by {model}", f"frame scored by {model}")
    for agent in suite.agents:
        yield from (f"{agent} step", f"{agent} step with bonus")


def probe(params: Params, suite: str, unit: str, device: str) -> dict[str, Any]:
    """Time one unit. Returns seconds, peak_gb (of the device, or of this process) and the batch they belong to."""
    global clock
    clock = time.perf_counter if device == "cuda" else time.process_time
    torch.set_num_threads(1)
    torch.manual_seed(0)
    seconds, batch = _seconds(suite, params.suites[suite], unit, device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
    return {"seconds": seconds, "peak_gb": round(peak, 2), "batch": batch}


def _seconds(name: str, suite: SuiteConfig, unit: str, device: str) -> tuple[float, int]:
    if unit == "frame drawn":
        return _drawn(name, suite), 1
    if unit == "step imagined":
        return _imagined(name, suite), 1
    if unit == "oracle step":
        return _oracle(name, suite), 1
    backgrounds = np.zeros((len(suite.learnable), suite.frames.size, suite.frames.size, 3), np.uint8)
    kind: Any = trainable_tokenizer(suite.tokenizer.kind)
    tokenizer = kind(suite.tokenizer, suite.learnable, suite.frames.size, backgrounds)
    if unit == "image learned":
        batch = suite.tokenizer.training.batch_size if device == "cuda" else IMAGES
        frames = np.random.default_rng(0).integers(0, 256, (batch, *[suite.frames.size] * 2, 3), dtype=np.uint8)
        return _learned(tokenizer, (frames, np.zeros(batch, int)), suite.tokenizer.training, device), batch
    if unit == "frame encoded":
        frames = np.zeros((16, suite.frames.size, suite.frames.size, 3), np.uint8)
        tokenizer.eval().to(device)
        return _timed(lambda: tokenizer.encode(frames).cpu()) / len(frames), len(frames)
    words = unit.split()
    if words[-1] in suite.video_models:
        return _video_model(words[-1], suite, tokenizer, unit, device)
    return _agent(name, suite, words[0], "bonus" in words, device), suite.limits(words[0]).envs


def _timed(work: Callable[[], object]) -> float:
    """The median time of a call, after one that does not count."""
    seconds = []
    for _ in range(STEPS + 1):
        begun = clock()
        work()
        seconds.append(clock() - begun)
    return median(seconds[1:])


def _drawn(name: str, suite: SuiteConfig) -> float:
    """Of the suite's first task."""
    simulator, task = SUITES.get(name)(), suite.tasks[0]
    env = simulator.make(task, 0, simulator.frame_spec(task, suite.frames.model_dump()))
    env.reset(seed=0)
    action = simulator.idle_action(task)
    seconds = _timed(lambda: [env.step(action) for _ in range(10)]) / 10
    env.close()
    return seconds


def _imagined(name: str, suite: SuiteConfig) -> float:
    """Of the suite's first task, from the beginning of a game."""
    simulator, task = SUITES.get(name)(), suite.tasks[0]
    env: Any = simulator.make(task, 0, simulator.frame_spec(task, suite.frames.model_dump()), pixels=False)
    env.reset(seed=0)
    return _timed(lambda: env.imagine(np.zeros((4, 25), int))) / 100


def _oracle(name: str, suite: SuiteConfig) -> float:
    """Of the suite's first task, state only; without its evaluations."""
    simulator, task = SUITES.get(name)(), suite.tasks[0]
    frames = suite.frames.model_dump()
    if getattr(simulator, "discrete", False):
        frames["action_set"] = "minimal"
    spec, recipe = simulator.frame_spec(task, frames), suite.oracles[task]
    if not isinstance(recipe, OracleConfig):
        return 0.0
    recipe = recipe.model_copy(update={"learning_starts": 16 * recipe.environments})
    learner = Learner(lambda seed: simulator.make(task, seed, spec, pixels=False), recipe, 0)
    chunk = recipe.environments * (32 if recipe.algorithm == "sac" else recipe.rollout_steps)
    learner.learn(0, chunk)
    begun = clock()
    learner.learn(1, chunk)
    return (clock() - begun) / chunk


def _learned(module: Any, batch: Any, training: LoopConfig, device: str) -> float:
    """Seconds a sample: the loop asks for a batch at the beginning of each step."""
    moments = []

    def batches(step: int) -> Any:
        if device == "cuda":
            torch.cuda.synchronize()
        moments.append(clock())
        return batch

    quick = {"steps": STEPS + 2, "batch_size": len(batch[1]), "log_every": 10**6, "checkpoint_every": 10**6}
    train(
        module,
        batches,
        training.model_copy(update=quick),
        seed=0,
        compute=ComputeConfig(accelerator="cuda" if device == "cuda" else "cpu"),
    )
    return median(np.diff(moments)[1:]) / len(batch[1])


def _video_model(model: str, suite: SuiteConfig, tokenizer: Tokenizer, unit: str, device: str) -> tuple[float, int]:
    config: Any = suite.components[model]
    module = VIDEO_MODELS.get(model)(config, tokenizer.codebook.detach(), tokenizer.grid, tuple(suite.learnable))
    codes = len(tokenizer.codebook)
    if unit.startswith("clip"):
        batch = config.training.batch_size if device == "cuda" else CLIPS
        clips = torch.randint(codes, (batch, config.window, *tokenizer.grid))
        return _learned(module, (clips, torch.zeros(batch, dtype=torch.long)), config.training, device), batch
    module.eval().to(device)
    videos = torch.randint(codes, (1, module.window + 3, *tokenizer.grid), device=device)
    task = torch.zeros(1, dtype=torch.long, device=device)
    scoring: Scoring = suite.reward.scoring if model == suite.reward.model else "full_window"
    whole = _timed(lambda: score_videos(module, videos, task, scoring=scoring).cpu())
    first = _timed(lambda: score_videos(module, videos[:, :-4], task, scoring=scoring).cpu())
    return (whole - first) / 4, 1


class Dark(gymnasium.Env):
    """An environment that costs nothing, and notes when it is stepped."""

    def __init__(self, size: int, actions: int, moments: list[float]) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1, 1, (actions,))
        self.frame, self.moments, self.steps = np.zeros((size, size, 3), np.uint8), moments, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Dark."""
        self.steps = 0
        return self.frame, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Dark, too."""
        self.moments.append(clock())
        self.steps += 1
        return self.frame, 0.0, False, self.steps >= 20, {}


def _agent(name: str, suite: SuiteConfig, agent: str, bonus: bool, device: str) -> float:
    """Seconds a step of acting and learning, a mean over whole updates; no simulator and no reward are in it.

    Agents that learn from sequences get few on a CPU, and their time is scaled; acting, the least of it, with it.
    """
    moments: list[float] = []
    limits, simulator, kind = suite.limits(agent), SUITES.get(name)(), AGENTS.get(agent)
    settings, scale = suite.components[agent].model_dump(), 1.0
    if device != "cuda" and "batch_length" in settings:
        scale, settings["batch_size"] = settings["batch_size"] / SEQUENCES, SEQUENCES
    envs, actions = limits.envs, len(simulator.idle_action(suite.tasks[0]))
    first = 40 * envs
    between = max(round(1 / (limits.updates_per_step * envs)), 1)  # rounds of all environments from update to update
    rounds = STEPS * between
    quick: dict[str, Any] = {"random_steps": first, "steps": first + (between + rounds + 1) * envs, "round_steps": 40}
    quick |= {"eval_every": 10**6, "checkpoint_every": 10**6, "final_episodes": 1, "final_round_steps": None}
    quick |= {"capacity": 1000 * envs, "processes": False}  # another process could not note moments here
    run = limits.model_copy(update=quick)
    config = suite.exploration
    train_agent(
        agent,
        kind.Config.model_validate(settings),
        run,
        lambda seed: Dark(suite.frames.size, actions, moments),
        seed=0,
        discrete=getattr(simulator, "discrete", False),
        curious=bonus and config.explores and kind.curious,
        exploration=(lambda shape: EXPLORATION.get(config.kind)(config, shape))
        if bonus and config.explores and not kind.curious
        else None,
        device=device,
    )
    begins = moments[first::envs]
    return scale * (begins[between + rounds] - begins[between]) / (rounds * envs)
