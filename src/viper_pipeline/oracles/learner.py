"""A stable-baselines3 agent as values: build it, save and restore all of its state, take out its actor."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import Tensor

from viper_pipeline.oracles.config import OracleConfig
from viper_pipeline.oracles.fast_sac import FastSAC
from viper_pipeline.training.seeding import derive

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
