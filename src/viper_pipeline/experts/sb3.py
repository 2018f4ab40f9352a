"""Train an oracle with stable-baselines3 on state and true reward (paper 4.1)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from pydantic import Field, model_validator
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import Tensor

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData
from viper_pipeline.experts.fast_sac import FastSAC
from viper_pipeline.experts.policies import MlpPolicy, Policy, policy_from
from viper_pipeline.training.artifacts import Directory, history_csv
from viper_pipeline.training.checkpoints import derive, load_checkpoint, save_checkpoint, seed_everything
from viper_pipeline.training.progress import Progress, silent


class OracleConfig(Config):
    """An RL agent on true state and true reward."""

    algorithm: Literal["sac", "ppo"] = Field("sac", description="SAC needs fewer steps, PPO's steps are far cheaper")
    steps: int = Field(gt=0, description="agent steps at most, over all environments")
    environments: int = Field(1, gt=0, description="environments stepped side by side in one process")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's step size")
    batch_size: int = Field(128, gt=0, description="transitions an update")
    net_arch: tuple[int, ...] = Field((128, 128), min_length=1, description="hidden units of actor and critics")
    gamma: float = Field(0.99, gt=0, lt=1, description="discount per agent step")
    tau: float = Field(0.01, gt=0, le=1, description="SAC: share of the critics that target critics take over")
    learning_starts: int = Field(1000, ge=0, description="SAC: uniformly random steps before the first update")
    train_freq: int = Field(1, gt=0, description="SAC: steps of each environment between rounds of updates")
    gradient_steps: int = Field(1, gt=0, description="SAC: updates a round")
    buffer_size: int = Field(1_000_000, gt=0, description="SAC: transitions kept")
    rollout_steps: int = Field(512, gt=1, description="PPO: steps of each environment between rounds of updates")
    epochs: int = Field(10, gt=0, description="PPO: passes over a rollout")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="PPO: advantage estimation")
    entropy_bonus: float = Field(0.0, ge=0, description="PPO: weight of the policy's entropy")
    eval_every: int = Field(2500, gt=0, description="agent steps between evaluations; also between checkpoints")
    eval_episodes: int = Field(5, gt=0, description="fresh episodes of the deterministic policy per evaluation")
    stop_return: float | None = Field(None, description="stop once an evaluation's mean reaches this; null: never")
    stop_in_a_row: int = Field(1, gt=0, description="evaluations in a row that must reach stop_return")
    keep: Literal["best", "last"] = Field("best", description="which evaluated actor becomes the oracle")

    @model_validator(mode="after")
    def _possible(self) -> OracleConfig:
        if self.algorithm == "sac" and self.learning_starts >= self.steps:
            raise ValueError(f"learning_starts {self.learning_starts} leaves none of {self.steps} steps for learning")
        return self


STATISTICS = ("mean", "var", "count")


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

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode of the chunk."""
        self.count += 1
        return self.env.reset(seed=derive(self.seed, self.chunk, self.count))


class Learner:
    """The agent, its environments, and what a checkpoint must hold."""

    def __init__(self, make_env: Callable[[int], gymnasium.Env], config: OracleConfig, seed: int) -> None:
        self.config = config
        seeds = [derive(seed, "train", i) for i in range(config.environments)]
        vector = DummyVecEnv([lambda s=s: Episodes(make_env(s), s) for s in seeds])  # type: ignore[misc]
        normalise = config.algorithm == "ppo"
        # Any: SB3 types an agent of either kind so widely that nothing could be said about it.
        self.env: Any = VecNormalize(vector, gamma=config.gamma) if normalise else vector
        self.agent: Any = self._build(seed)

    def _build(self, seed: int) -> BaseAlgorithm:
        c = self.config
        common: dict[str, Any] = {
            "learning_rate": c.learning_rate,
            "batch_size": c.batch_size,
            "gamma": c.gamma,
            "seed": seed % 2**32,
            "device": "cpu",
        }
        if c.algorithm == "ppo":
            nets = {"net_arch": list(c.net_arch)}
            return PPO(
                "MlpPolicy",
                self.env,
                n_steps=c.rollout_steps,
                n_epochs=c.epochs,
                gae_lambda=c.gae_lambda,
                ent_coef=c.entropy_bonus,
                policy_kwargs=nets,
                **common,
            )
        return FastSAC(
            "MlpPolicy",
            self.env,
            buffer_size=max(1, min(c.buffer_size, c.steps + c.environments)),
            learning_starts=c.learning_starts,
            tau=c.tau,
            train_freq=c.train_freq,
            gradient_steps=c.gradient_steps,
            policy_kwargs={"net_arch": list(c.net_arch), "optimizer_kwargs": {"fused": True}},
            **common,
        )

    @property
    def steps(self) -> int:
        """Agent steps taken so far, over all environments."""
        return self.agent.num_timesteps

    def learn(self, chunk: int, steps: int) -> None:
        """Train for `steps` more agent steps, beginning with a new episode in every environment."""
        self.env.env_method("begin_chunk", chunk)
        self.agent._last_obs = None  # makes `learn` reset the environments
        self.agent.learn(steps, reset_num_timesteps=False, log_interval=None)

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on (between chunks)."""
        agent: Any = self.agent
        legacy: Any = np.random.get_state()  # noqa: NPY002 (SB3 draws its batches from it)
        state: dict[str, Any] = {
            "counters": [agent.num_timesteps, agent._n_updates, agent._episode_num],
            "parameters": agent.get_parameters(),
            "torch": torch.get_rng_state(),
            "numpy": [torch.from_numpy(legacy[1].astype(np.int64)), *legacy[2:]],
            "actions": json.dumps(agent.action_space.np_random.bit_generator.state),
        }
        if self.config.algorithm == "sac":
            state |= {
                "log_ent_coef": agent.log_ent_coef.detach(),
                "replay": replay_state(agent.replay_buffer),
            }
        else:
            rms = {"observations": self.env.obs_rms, "returns": self.env.ret_rms}
            state["statistics"] = {
                k: [torch.as_tensor(np.asarray(getattr(v, s))) for s in STATISTICS] for k, v in rms.items()
            }
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Undo everything since `state`."""
        agent = self.agent
        agent.num_timesteps, agent._n_updates, agent._episode_num = state["counters"]
        agent.set_parameters(state["parameters"], exact_match=True)
        torch.set_rng_state(state["torch"])
        keys, *rest = state["numpy"]
        np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
        agent.action_space.np_random.bit_generator.state = json.loads(state["actions"])
        if self.config.algorithm == "sac":
            agent.log_ent_coef.data.copy_(state["log_ent_coef"])
            load_replay(agent.replay_buffer, state["replay"])
        else:
            for rms, name in ((self.env.obs_rms, "observations"), (self.env.ret_rms, "returns")):
                rms.mean, rms.var = (t.numpy().copy() for t in state["statistics"][name][:2])
                rms.count = float(state["statistics"][name][2])

    def actor(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The actor as plain values and tensors: what `policy.policy_from` rebuilds it from."""
        policy = self.agent.policy
        sac = self.config.algorithm == "sac"
        hidden = policy.actor.latent_pi if sac else policy.mlp_extractor.policy_net
        layers = [module for module in hidden if isinstance(module, torch.nn.Linear)]
        mean = policy.actor.mu if sac else policy.action_net
        tensors: dict[str, Tensor] = {}
        for name, module in [*((f"hidden.{i}", m) for i, m in enumerate(layers)), ("mean", mean)]:
            tensors |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
        if sac:
            spread = policy.actor.log_std
            tensors |= {"log_std.weight": spread.weight, "log_std.bias": spread.bias}
            centre, scale = np.zeros(1), np.ones(1)
        else:
            tensors |= {"log_std.weight": torch.zeros_like(mean.weight), "log_std.bias": policy.log_std}
            centre = self.env.obs_rms.mean
            scale = 1 / np.sqrt(self.env.obs_rms.var + self.env.epsilon)
        tensors["states.centre"] = torch.as_tensor(centre, dtype=torch.float32)
        tensors["states.scale"] = torch.as_tensor(scale, dtype=torch.float32)
        config = {"hidden_layers": len(layers), "activation": "relu" if sac else "tanh", "squash": sac}
        return config, {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def close(self) -> None:
        """Free the environments."""
        self.env.close()


REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def replay_state(buffer: Any) -> dict[str, Any]:
    """The filled part of an SB3 replay buffer."""
    filled = buffer.buffer_size if buffer.full else buffer.pos
    arrays = {name: torch.from_numpy(getattr(buffer, name)[:filled]) for name in REPLAY}
    return {"position": buffer.pos, "full": bool(buffer.full), "arrays": arrays}


def load_replay(buffer: Any, state: dict[str, Any]) -> None:
    """Fill an SB3 replay buffer with what `replay_state` took out."""
    buffer.pos, buffer.full = state["position"], state["full"]
    for name, tensor in state["arrays"].items():
        getattr(buffer, name)[: len(tensor)] = tensor.numpy()


__all__ = ["OracleConfig", "load_policy", "train_oracle"]
FORMAT = "viper oracle 1"


def train_oracle(
    make_state_env: Callable[[int], gymnasium.Env],
    config: OracleConfig,
    seed: int,
    scratch: Path | None = None,
    progress: Progress = silent,
) -> Directory:
    """Train until `config.steps`, or until evaluations reach `config.stop_return`.

    make_state_env: seed -> an environment whose observation is the state (D,), with actions in [-1, 1].
    scratch: folder for checkpoints, one per evaluation; killed and called again with the same arguments, the
        run continues from it and ends bit for bit as if it had never been interrupted (CPU, equal threads).
    Returns the actor as tensors, what is needed to rebuild it, and `curve.csv` (evaluation returns).
    """
    seed_everything(seed)
    learner = Learner(make_state_env, config, seed)
    judge = make_state_env(derive(seed, "judge"))
    history: list[dict[str, float]] = []
    best: dict[str, Any] = {}
    chunk = 0
    path = scratch / "oracle.pt" if scratch else None
    if path and (saved := load_checkpoint(path)):
        learner.load_state(saved["learner"])
        chunk, history, best = saved["chunk"], saved["history"], saved["best"]
    while learner.steps < config.steps and not good_enough(history, config):
        learner.learn(chunk, min(config.eval_every, config.steps - learner.steps))
        chunk += 1
        actor, tensors = learner.actor()
        policy = policy_from(actor, {name: tensor.numpy() for name, tensor in tensors.items()})
        seeds = [derive(seed, "evaluate", chunk, i) for i in range(config.eval_episodes)]
        returns = [play(judge, policy, s) for s in seeds]
        history.append(
            {
                "step": learner.steps,
                "return": float(np.mean(returns)),
                "lowest": float(np.min(returns)),
                "highest": float(np.max(returns)),
            }
        )
        if not best or config.keep == "last" or history[-1]["return"] >= best["return"]:
            best = {
                "return": history[-1]["return"],
                "step": learner.steps,
                "actor": actor,
                "tensors": tensors,
            }
        if path:
            save_checkpoint(path, {"learner": learner.state(), "chunk": chunk, "history": history, "best": best})
        note = {"return": history[-1]["return"], "best": best["return"]}
        progress(config.steps if good_enough(history, config) else learner.steps, config.steps, note)
    learner.close()
    judge.close()
    about = {"format": FORMAT, "recipe": config.model_dump(mode="json"), "actor": best["actor"]}
    about |= {"steps": best["step"], "steps_trained": learner.steps, "return": best["return"]}
    return Directory(about, best["tensors"], {"curve.csv": history_csv(history)})


def good_enough(history: list[dict[str, float]], config: OracleConfig) -> bool:
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


def load_policy(directory: Directory) -> MlpPolicy:
    """The oracle's actor, a function (states (E, D), deterministic, rng) -> actions (E, A)."""
    if directory.config.get("format") != FORMAT:
        raise BadData(
            f"config.json: format {directory.config.get('format')!r} is not '{FORMAT}'; train the oracle anew"
        )
    try:
        arrays = {name: tensor.to(torch.float32).numpy() for name, tensor in directory.tensors.items()}
        return policy_from(directory.config["actor"], arrays)
    except KeyError as error:
        raise BadData(f"weights.safetensors or config.json: {error} is missing; train the oracle anew") from error
