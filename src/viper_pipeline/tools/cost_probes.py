"""Times a few steps of each kind of work, at a profile's own sizes, with random weights and frames.

On a CPU the process's CPU time is measured, so that other work on the machine does not count; with a GPU, wall time.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from viper_pipeline.agents.base import AGENTS
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.core.files import Json
from viper_pipeline.core.process import load_triton
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import Info
from viper_pipeline.experts.base import make_expert
from viper_pipeline.experts.sb3 import RLExpert
from viper_pipeline.pipelines.params import Params, SuiteConfig
from viper_pipeline.rewards.amp import AMP
from viper_pipeline.rewards.base import EXPLORATION
from viper_pipeline.rewards.viper import ViperReward, ViperStream
from viper_pipeline.tokenizers import trainable_tokenizer
from viper_pipeline.training.config import ComputeConfig, LoopConfig
from viper_pipeline.training.loop import train
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import Scoring
from viper_pipeline.video_models.scoring import score_videos

PROBE_STEPS = 3
"""Steps that are timed; one more before them is not."""
IMAGES, CLIPS, SEQUENCES, WINDOWS = 4, 1, 2, 4
"""Batch sizes on a CPU, where the time per sample depends little on the batch size; a GPU gets whole batches."""
AFFORDABLE = 15.0
"""Seconds; a CPU gets whole batches, too, if timing them takes less."""
SCORED = 64
"""Windows that are scored at once while rewards are evaluated."""


def probe(params: Params, suite: str, unit: str, device: str) -> dict[str, float]:
    """Time one unit. Returns seconds, peak_gb (of the device, or of this process) and the batch size they belong to."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    seconds, batch = CostProbe(suite, params.suites[suite], device).measure(unit)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
    return {"seconds": seconds, "peak_gb": round(peak, 2), "batch": batch}


@dataclass(frozen=True)
class CostProbe:
    """Times the units of one suite on one device."""

    name: str
    suite: SuiteConfig
    device: str

    def measure(self, unit: str) -> tuple[float, int]:
        """Seconds per unit, and the batch size that it was measured with."""
        words = unit.split()
        if unit == "frame drawn":
            return self._frame_drawn(), 1
        if unit == "step imagined":
            return self._step_imagined(), 1
        if unit == "expert step":
            return self._expert_step(), 1
        if unit == "image learned":
            return self._image_learned()
        if unit == "frame encoded":
            return self._frame_encoded()
        if words[0] == "clip":
            return self._clip_learned(words[-1])
        if words[1] == "scored":
            return self._frame_scored(words[-1])
        if words[2:4] == ["rewarded", "by"]:
            return self._frame_rewarded(words[0], words[-1])
        if words[1:] == ["evaluated", "step"]:
            return self._evaluated_step(words[0]), self.suite.limits(words[0]).envs
        bonus, against = "bonus" in words, "against" in words
        return self._agent_step(words[0], bonus, against), self.suite.limits(words[0]).envs

    def now(self) -> float:
        """Seconds of this process, or of the wall clock with a GPU."""
        return time.perf_counter() if self.device == "cuda" else time.process_time()

    def timed(self, work: Callable[[], object]) -> float:
        """The median time of a call, after one that does not count."""
        seconds = []
        for _ in range(PROBE_STEPS + 1):
            begun = self.now()
            work()
            seconds.append(self.now() - begun)
        return median(seconds[1:])

    def best_batch(self, small: int, whole: int, seconds: Callable[[int], float]) -> tuple[float, int]:
        """Seconds per sample, and the batch: a whole one with a GPU, or where timing it is affordable.

        seconds: batch -> seconds per sample.
        """
        if self.device == "cuda" or small >= whole:
            return seconds(whole), whole
        begun = self.now()
        found = seconds(small)
        if (self.now() - begun) * whole / small < AFFORDABLE:
            return seconds(whole), whole
        return found, small

    # simulators, of the suite's first task

    def _frame_drawn(self) -> float:
        load_triton()  # other probes have optimizers
        simulator, task = SUITES.get(self.name)(), self.suite.tasks[0]
        rules = self.suite.env
        env = simulator.make(task, 0, rules, simulator.frame_spec(task, rules, self.suite.frames))
        env.reset(seed=0)
        action = simulator.idle_action(task)
        seconds = self.timed(lambda: [env.step(action) for _ in range(10)]) / 10
        env.close()
        return seconds

    def _step_imagined(self) -> float:
        """From the beginning of a game."""
        simulator, task = SUITES.get(self.name)(), self.suite.tasks[0]
        spec = simulator.frame_spec(task, self.suite.env, self.suite.frames)
        env: Any = simulator.make(task, 0, self.suite.env, spec, pixels=False)
        env.reset(seed=0)
        return self.timed(lambda: env.imagine(np.zeros((4, 25), int))) / 100

    def _expert_step(self) -> float:
        """Of the first expert that is trained; state only; without its evaluations."""
        trained = (task for task in self.suite.tasks if self.suite.experts[task].training_steps)
        simulator, task = SUITES.get(self.name)(), next(trained)
        rules = self.suite.env
        spec = simulator.frame_spec(task, rules, self.suite.frames)
        expert = make_expert(simulator, task, self.suite.experts[task].model_dump())
        if not isinstance(expert, RLExpert):
            return 0.0
        environments = expert.config.environments
        if expert.config.algorithm == "sac":
            expert.config = expert.config.model_copy(update={"learning_starts": 16 * environments})
        learner = expert.learner(lambda seed: simulator.make(task, seed, rules, spec, pixels=False), 0)
        chunk = environments * (32 if expert.config.algorithm == "sac" else expert.config.rollout_steps)
        learner.learn(0, chunk)
        begun = self.now()
        learner.learn(1, chunk)
        return (self.now() - begun) / chunk

    # models

    def tokenizer(self) -> Any:
        """With random weights."""
        suite, size = self.suite, self.suite.frames.size
        backgrounds = torch.zeros((len(suite.learnable), size, size, 3), dtype=torch.uint8)
        return trainable_tokenizer(suite.tokenizer.kind)(suite.tokenizer, suite.learnable, size, backgrounds)

    def _image_learned(self) -> tuple[float, int]:
        training, size = self.suite.tokenizer.training, self.suite.frames.size

        def seconds(batch: int) -> float:
            frames = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
            return self._learned(self.tokenizer(), (frames, np.zeros(batch, int)), training)

        return self.best_batch(IMAGES, training.batch_size, seconds)

    def _frame_encoded(self) -> tuple[float, int]:
        frames = np.zeros((16, self.suite.frames.size, self.suite.frames.size, 3), np.uint8)
        tokenizer = self.tokenizer().eval().to(self.device)
        return self.timed(lambda: tokenizer.encode(frames).cpu()) / len(frames), len(frames)

    def _clip_learned(self, model: str) -> tuple[float, int]:
        training = self.suite.components[model].training  # type: ignore[attr-defined]

        def seconds(batch: int) -> float:
            module, codes = self.video_model(model)
            clips, conditions = codes(batch, module.config.window), module.conditions(module.tasks[:1])
            return self._learned(module, (clips, conditions.expand(batch, *conditions.shape[1:])), training)

        return self.best_batch(CLIPS, training.batch_size, seconds)

    def _frame_scored(self, model: str) -> tuple[float, int]:
        """Of a whole video, without its first frames, whose windows are short."""
        module, codes = self.video_model(model)
        module.eval().to(self.device)
        condition = module.conditions(module.tasks[:1]).to(self.device)
        own = self.suite.reward
        scoring: Scoring = own.scoring if model == own.model else "full_window"

        def seconds(windows: int) -> float:
            videos = codes(1, module.window - 1 + windows).to(self.device)
            whole = self.timed(lambda: score_videos(module, videos, condition, scoring=scoring).cpu())
            first = self.timed(lambda: score_videos(module, videos[:, :-windows], condition, scoring=scoring).cpu())
            return max(whole - first, 0.0) / windows

        return self.best_batch(WINDOWS, SCORED, seconds)

    def _frame_rewarded(self, agent: str, model: str) -> tuple[float, int]:
        """Of the frames that an agent's environments reach together, from pixels to rewards, with full windows."""
        suite, simulator, limits = self.suite, SUITES.get(self.name)(), self.suite.limits(agent)
        task, (module, codes) = suite.learnable[0], self.video_model(model)
        spec = simulator.frame_spec(task, suite.env, suite.frames)
        spec = spec.model_copy(update={"stride": suite.curation.stride})
        reward = ViperReward(self.tokenizer().eval(), module.eval(), task, suite.reward, spec).to(self.device)
        times = limits.update_every

        def seconds(envs: int) -> float:
            frames = np.zeros((times, envs, suite.frames.size, suite.frames.size, 3), np.uint8)
            stream, none = reward.stream(), np.zeros((times, envs), np.float32)
            stream.start(frames[0])
            if isinstance(stream, ViperStream):  # a session is as fast at its beginning as later
                kept = (module.window - 1) * spec.stride + 1
                stream.load_episode_state({"codes": list(codes(envs, kept).to(self.device))})

            def rewarded() -> None:
                if times > 1 and isinstance(stream, ViperStream):
                    stream.steps(frames, none)
                else:
                    for now in frames:
                        stream.step(now)

            return self.timed(rewarded) / (times * envs)

        return self.best_batch(1, limits.envs, seconds)

    def video_model(self, model: str) -> tuple[Any, Callable[[int, int], Tensor]]:
        """A model with random weights, and what makes random videos for it: (videos, frames) -> codes or latents."""
        tokenizer = self.tokenizer()
        config: Any = self.suite.components[model]
        module = VIDEO_MODELS.get(model)(config, tokenizer.codebook, tokenizer.grid, tuple(self.suite.learnable))
        K, D = tokenizer.codebook.shape
        if tokenizer.continuous:
            return module, lambda videos, frames: torch.randn(videos, frames, *tokenizer.grid, D)
        return module, lambda videos, frames: torch.randint(K, (videos, frames, *tokenizer.grid))

    def _learned(self, module: Any, batch: tuple[Any, Any], training: LoopConfig) -> float:
        """Seconds per sample: the loop asks for a batch at the beginning of each step."""
        moments = []

        def batches(step: int) -> tuple[Any, Any]:
            if self.device == "cuda":
                torch.cuda.synchronize()
            moments.append(self.now())
            return batch

        quick = {"steps": PROBE_STEPS + 2, "batch_size": len(batch[1]), "log_every": 10**6, "checkpoint_every": 10**6}
        compute = ComputeConfig(accelerator="cuda" if self.device == "cuda" else "cpu")
        train(module, batches, training.model_copy(update=quick), seed=0, compute=compute)
        return float(median(np.diff(moments)[1:])) / len(batch[1])

    # agents

    def _evaluated_step(self, agent: str) -> float:
        """Seconds of acting in one environment of several, without simulator and reward."""
        suite, kind, simulator = self.suite, AGENTS.get(agent), SUITES.get(self.name)()
        size, envs = suite.frames.size, suite.limits(agent).envs
        actions = len(simulator.idle_action(suite.tasks[0]))
        learner = kind(suite.components[agent], (size, size, 3), actions, discrete=simulator.discrete, curious=False)
        learner.to(self.device)
        frames, policy = np.zeros((envs, size, size, 3), np.uint8), learner.policy(envs)
        for i, frame in enumerate(learner.preprocess(frames)):
            policy.start(i, frame)

        def step() -> None:
            policy.push(learner.preprocess(frames))
            policy.act()

        return self.timed(step) / envs

    def _agent_step(self, agent: str, bonus: bool, against_experts: bool) -> float:
        """Seconds per step of acting and learning, a mean over whole updates; without simulator and stored reward.

        Agents that learn from sequences get few on a CPU if whole batches take long, and their time is scaled up; the
        share of acting in it, the smaller one, is scaled with it.
        """
        config = self.suite.components[agent]
        whole = getattr(config, "batch_size", 1)
        if not hasattr(config, "batch_length"):
            return self._trained_step(agent, bonus, against_experts, whole)

        def seconds(batch: int) -> float:
            return self._trained_step(agent, bonus, against_experts, batch) / batch

        each, _ = self.best_batch(SEQUENCES, whole, seconds)
        return each * whole

    def _trained_step(self, agent: str, bonus: bool, against_experts: bool, batch: int) -> float:
        """Seconds per step with this batch size."""
        moments: list[float] = []
        suite, kind, simulator = self.suite, AGENTS.get(agent), SUITES.get(self.name)()
        limits, config = suite.limits(agent), suite.exploration
        settings = suite.components[agent].model_dump() | {"batch_size": batch}
        envs, actions = limits.envs, len(simulator.idle_action(suite.tasks[0]))
        first = 40 * envs
        between = max(round(1 / (limits.updates_per_step * envs)), 1)  # rounds of all environments between updates
        explores = bonus and config.explores
        outside = explores and not kind.curious
        # A bonus that is trained after every so many updates is timed over as many.
        period = getattr(config, "update_every", 1) / max(limits.updates_per_step * envs, 1) if outside else 1
        rounds = PROBE_STEPS * between * math.ceil(period)
        quick: Json = {"random_steps": first, "steps": first + (between + rounds + 1) * envs}
        quick |= {"round_steps": 40, "final_round_steps": None, "final_episodes": 1, "capacity": 1000 * envs}
        quick |= {"eval_every": 10**6, "checkpoint_every": 10**6, "update_every": 1}
        quick |= {"processes": False}  # environments in other processes could not note moments here
        size = suite.frames.size
        amp: Any = suite.components.get("amp")
        train_in_environment(
            agent,
            kind.Config.model_validate(settings),
            limits.model_copy(update=quick),
            lambda seed: BlackEnv(size, actions, lambda: moments.append(self.now())),
            seed=0,
            reward=(lambda shape: AMP(amp, shape, [np.zeros((100, size, size, 3), np.uint8)]).to(self.device))
            if against_experts
            else None,
            discrete=simulator.discrete,
            curious=explores and kind.curious,
            exploration=(lambda shape: EXPLORATION.get(config.kind)(config, shape)) if outside else None,
            device=self.device,
        )
        begins = moments[first::envs]
        return (begins[between + rounds] - begins[between]) / (rounds * envs)


class BlackEnv(gymnasium.Env):
    """An environment of black frames that costs nothing, and calls `on_step` when it is stepped."""

    def __init__(self, size: int, actions: int, on_step: Callable[[], None]) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1, 1, (actions,))
        self.frame, self.on_step, self.steps = np.zeros((size, size, 3), np.uint8), on_step, 0

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """A black frame."""
        self.steps = 0
        return self.frame, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        """A black frame; an episode has 20 steps."""
        self.on_step()
        self.steps += 1
        return self.frame, 0.0, False, self.steps >= 20, {}
