"""RL experts with stable-baselines3 on state and true reward (paper 4.1): one training loop for all algorithms."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from pydantic import Field
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

from viper_pipeline.core.files import Json
from viper_pipeline.envs.base import Info
from viper_pipeline.experts.base import Expert, ExpertConfig
from viper_pipeline.experts.policies import Policy
from viper_pipeline.training.artifacts import ModelArtifact, history_csv
from viper_pipeline.training.checkpoints import StateDict, derive, load_checkpoint, save_checkpoint, seed_everything
from viper_pipeline.training.progress import Progress, silent


class RLConfig(ExpertConfig):
    """What SAC and PPO have in common."""

    steps: int = Field(gt=0, description="agent steps at most, over all environments")
    environments: int = Field(1, gt=0, description="environments stepped side by side in one process")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's step size")
    batch_size: int = Field(128, gt=0, description="transitions per update")
    net_arch: tuple[int, ...] = Field((128, 128), min_length=1, description="hidden units of actor and critics")
    gamma: float = Field(0.99, gt=0, lt=1, description="discount per agent step")
    eval_every: int = Field(2500, gt=0, description="agent steps between evaluations; also between checkpoints")
    eval_episodes: int = Field(5, gt=0, description="fresh episodes of the deterministic policy per evaluation")
    stop_return: float | None = Field(None, description="stop once an evaluation's mean reaches this; null: never")
    stop_in_a_row: int = Field(1, gt=0, description="evaluations in a row that must reach stop_return")
    keep: Literal["best", "last"] = Field("best", description="which evaluated actor becomes the expert")

    @property
    def training_steps(self) -> int:
        """Agent steps at most."""
        return self.steps


class Episodes(gymnasium.Wrapper):
    """Episodes whose starts depend on nothing but the seed, the chunk of training and their number in it.

    So a resumed run, which begins at a chunk's start, meets the episodes that an uninterrupted one would.
    """

    def __init__(self, env: gymnasium.Env, seed: int) -> None:
        super().__init__(env)
        self.seed, self.chunk, self.count = seed, 0, 0

    def begin_chunk(self, chunk: int) -> None:
        """Name the chunk that the next episodes belong to."""
        self.chunk, self.count = chunk, 0

    def reset(self, **_: Any) -> tuple[Any, Info]:
        """Begin the next episode of the chunk."""
        self.count += 1
        return self.env.reset(seed=derive(self.seed, self.chunk, self.count))


class Learner:
    """The agent, its environments, and what a checkpoint must hold. Each algorithm is a subclass."""

    def __init__(self, make_env: Callable[[int], gymnasium.Env], config: Any, seed: int) -> None:
        """config: a subclass of RLConfig."""
        self.config = config
        seeds = [derive(seed, "train", i) for i in range(config.environments)]
        vector = DummyVecEnv([partial(self._episodes, make_env, seed) for seed in seeds])
        # Any: SB3 types agents and vector environments so widely that nothing could be said about them.
        self.env: Any = self.normalized(vector)
        common = {
            "learning_rate": config.learning_rate,
            "batch_size": config.batch_size,
            "gamma": config.gamma,
            "seed": seed % 2**32,
            "device": "cpu",
        }
        self.agent: Any = self.build(common)

    def _episodes(self, make_env: Callable[[int], gymnasium.Env], seed: int) -> Episodes:
        return Episodes(self.wrapped(make_env(seed)), seed)

    def wrapped(self, env: gymnasium.Env) -> gymnasium.Env:
        """One environment as the algorithm steps it."""
        return env

    def normalized(self, vector: DummyVecEnv) -> Any:
        """All environments as the algorithm sees them."""
        return vector

    @abstractmethod
    def build(self, common: Json) -> BaseAlgorithm:
        """SB3's agent. common: the arguments that all algorithms take."""

    @abstractmethod
    def own_state(self) -> StateDict:
        """What a checkpoint must hold beside the parameters and counters."""

    @abstractmethod
    def load_own_state(self, state: StateDict) -> None:
        """Restore what `own_state` took out."""

    @abstractmethod
    def actor(self) -> tuple[Json, dict[str, Tensor]]:
        """The actor as plain values and tensors, from which the expert rebuilds its policy."""

    @property
    def steps(self) -> int:
        """Agent steps taken so far, over all environments."""
        return self.agent.num_timesteps

    def learn(self, chunk: int, steps: int) -> None:
        """Train for `steps` more agent steps, beginning with a new episode in every environment."""
        self.env.env_method("begin_chunk", chunk)
        self.agent._last_obs = None  # makes `learn` reset the environments
        self.agent.learn(steps, reset_num_timesteps=False, log_interval=None)

    def state(self) -> StateDict:
        """Everything that the rest of the training depends on (between chunks)."""
        agent: Any = self.agent
        legacy: Any = np.random.get_state()  # noqa: NPY002 (SB3 draws its batches from it)
        state: StateDict = {
            "counters": [agent.num_timesteps, agent._n_updates, agent._episode_num],
            "parameters": agent.get_parameters(),
            "torch": torch.get_rng_state(),
            "numpy": [torch.from_numpy(legacy[1].astype(np.int64)), *legacy[2:]],
            "actions": json.dumps(agent.action_space.np_random.bit_generator.state),
        }
        return state | self.own_state()

    def load_state(self, state: StateDict) -> None:
        """Undo everything since `state`."""
        agent = self.agent
        agent.num_timesteps, agent._n_updates, agent._episode_num = state["counters"]
        agent.set_parameters(state["parameters"], exact_match=True)
        torch.set_rng_state(state["torch"])
        keys, *rest = state["numpy"]
        np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
        agent.action_space.np_random.bit_generator.state = json.loads(state["actions"])
        self.load_own_state(state)

    def close(self) -> None:
        """Free the environments."""
        self.env.close()


def linear_layers(module: Any) -> list[torch.nn.Linear]:
    """The linear layers of a sequence."""
    return [layer for layer in module if isinstance(layer, torch.nn.Linear)]


def named_tensors(layers: list[torch.nn.Linear], last: str, module: Any) -> dict[str, Tensor]:
    """Weights and biases by name: `hidden.<i>` of the layers, and `last` of one more module."""
    named = [*((f"hidden.{i}", layer) for i, layer in enumerate(layers)), (last, module)]
    return {f"{name}.{part}": getattr(layer, part) for name, layer in named for part in ("weight", "bias")}


def detached(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies that training no longer changes."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


class RLExpert(Expert):
    """An expert that is trained. Subclasses say how it learns and how the actor is rebuilt."""

    needs = frozenset({"training"})

    @abstractmethod
    def learner(self, make_env: Callable[[int], gymnasium.Env], seed: int) -> Learner:
        """A new learner in environments made by `make_env`."""

    @abstractmethod
    def rebuilt(self, actor: Json, arrays: dict[str, np.ndarray]) -> Policy:
        """The policy of what `Learner.actor` took out."""

    def train(
        self,
        make_env: Callable[[int], gymnasium.Env],
        seed: int,
        scratch: Path | None = None,
        progress: Progress = silent,
    ) -> ModelArtifact:
        """Train until `config.steps`, or until evaluations reach `config.stop_return`.

        make_env: seed -> an environment whose observation is the state (D,), with actions in [-1, 1].
        scratch: folder for checkpoints, one per evaluation; killed and called again with the same arguments, the
            run continues from it and ends bit for bit as if it had never been interrupted (CPU, equal threads).
        Returns the actor as tensors, what is needed to rebuild it, and `curve.csv` (evaluation returns).
        """
        config = self.config
        seed_everything(seed)
        learner = self.learner(make_env, seed)
        evaluation_env = make_env(derive(seed, "judge"))  # seed label, kept so that results do not change
        history: list[dict[str, float]] = []
        best: StateDict = {}
        chunk = 0
        path = scratch / "expert.pt" if scratch else None
        if path and (saved := load_checkpoint(path)):
            learner.load_state(saved["learner"])
            chunk, history, best = saved["chunk"], saved["history"], saved["best"]
        while learner.steps < config.steps and not good_enough(history, config):
            learner.learn(chunk, min(config.eval_every, config.steps - learner.steps))
            chunk += 1
            actor, tensors = learner.actor()
            policy = self.rebuilt(actor, {name: tensor.numpy() for name, tensor in tensors.items()})
            seeds = [derive(seed, "evaluate", chunk, i) for i in range(config.eval_episodes)]
            returns = [play(evaluation_env, policy, s) for s in seeds]
            mean, lowest, highest = float(np.mean(returns)), float(np.min(returns)), float(np.max(returns))
            history.append({"step": learner.steps, "return": mean, "lowest": lowest, "highest": highest})
            if not best or config.keep == "last" or mean >= best["return"]:
                best = {"return": mean, "step": learner.steps, "actor": actor, "tensors": tensors}
            if path:
                save_checkpoint(path, {"learner": learner.state(), "chunk": chunk, "history": history, "best": best})
            done = config.steps if good_enough(history, config) else learner.steps
            progress(done, config.steps, {"return": mean, "best": best["return"]})
        learner.close()
        evaluation_env.close()
        about = {"actor": best["actor"], "steps": best["step"], "steps_trained": learner.steps}
        return ModelArtifact(about | {"return": best["return"]}, best["tensors"], {"curve.csv": history_csv(history)})

    def policy(self, learned: ModelArtifact) -> Policy:
        """The trained actor. Raises KeyError if a part of it is missing."""
        arrays = {name: tensor.to(torch.float32).numpy() for name, tensor in learned.tensors.items()}
        return self.rebuilt(learned.config["actor"], arrays)


def good_enough(history: list[dict[str, float]], config: RLConfig) -> bool:
    """Whether enough evaluations in a row reached the return at which to stop."""
    last = [row["return"] for row in history[-config.stop_in_a_row :]]
    return config.stop_return is not None and len(last) == config.stop_in_a_row and min(last) >= config.stop_return


def play(env: gymnasium.Env, policy: Policy, seed: int, deterministic: bool = True) -> float:
    """The return of one episode that begins with `seed`."""
    state, _ = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    total, done = 0.0, False
    while not done:
        state, reward, terminated, truncated, _ = env.step(policy(state[None], deterministic, rng)[0])
        total += float(reward)
        done = terminated or truncated
    return total
