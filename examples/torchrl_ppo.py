"""PPO of torchrl on a VIPER reward: `python examples/torchrl_ppo.py --steps 100000`.

torchrl's own parts collect, estimate advantages and compute the loss. The policy reads the simulator's state; the
reward reads frames. The true reward is printed and never learned from.
Needs: pip install 'viper-pipeline[dmc]' torchrl
"""

from __future__ import annotations

import argparse
import time

import gymnasium
import numpy as np
import torch
from tensordict import TensorDict
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import Composite, Unbounded
from torchrl.envs import GymWrapper, TransformedEnv, VecNormV2
from torchrl.envs.libs.gym import default_info_dict_reader
from torchrl.modules import ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import viper_pipeline.gym  # registers viper/...

TASK = "cartpole_balance"


def make_env(env_id: str, seed: int) -> TransformedEnv:
    """The environment of an id as torchrl sees it: `reward` is VIPER's, `true_reward` the environment's own."""
    env = GymWrapper(gymnasium.make(env_id, pixels=False, seed=seed), device="cpu")
    spec = Composite(true_reward=Unbounded((), dtype=torch.float64), shape=env.batch_size)
    env.set_info_dict_reader(default_info_dict_reader(["true_reward"], spec=spec))
    env.set_seed(seed)
    return TransformedEnv(env, VecNormV2(in_keys=["observation"]))


def networks(env: TransformedEnv, width: int = 64) -> tuple[ProbabilisticActor, ValueOperator]:
    """A policy whose actions are within the environment's limits, and a value."""
    state, actions = env.observation_spec["observation"].shape[-1], env.action_spec.shape[-1]

    def layers(outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(state, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, outputs)
        )

    body = nn.Sequential(layers(2 * actions), NormalParamExtractor())
    policy = ProbabilisticActor(
        TensorDictModule(body, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        spec=env.action_spec,
        distribution_class=TanhNormal,
        distribution_kwargs={"low": env.action_spec.space.low, "high": env.action_spec.space.high},
        return_log_prob=True,
    )
    return policy, ValueOperator(layers(1), in_keys=["observation"])


def finished_in(rows: TensorDict, paid: np.ndarray) -> list[tuple[float, float]]:
    """(VIPER's return, the true return) of each episode that ends in the rows (T,). paid (2,): of the one under way."""
    found = []
    for reward, true, done in zip(
        rows["next", "reward"][:, 0], rows["next", "true_reward"], rows["next", "done"][:, 0], strict=True
    ):
        paid += (float(reward), float(true))
        if done:
            found.append((float(paid[0]), float(paid[1])))
            paid[:] = 0
    return found


def train(
    steps: int = 100_000,
    env_id: str = viper_pipeline.gym.env_id(TASK),
    seed: int = 0,
    rollout: int = 1024,
    epochs: int = 10,
    minibatches: int = 8,
    learning_rate: float = 3e-4,
    gamma: float = 0.99,
) -> list[tuple[float, float]]:
    """Train; return what each finished episode was paid: (VIPER's return, the true return)."""
    torch.manual_seed(seed)
    env = make_env(env_id, seed)
    policy, value = networks(env)
    advantage = GAE(gamma=gamma, lmbda=0.95, value_network=value, average_gae=True)
    loss = ClipPPOLoss(policy, value, clip_epsilon=0.2, entropy_coeff=0.0)
    optimizer = torch.optim.Adam(loss.parameters(), learning_rate, eps=1e-5)
    total = steps // rollout * rollout
    collector = Collector(
        env, policy, frames_per_batch=rollout, total_frames=total, auto_register_policy_transforms=False
    )
    finished: list[tuple[float, float]] = []
    paid, begun = np.zeros(2), time.time()
    for update, rows in enumerate(collector, 1):
        finished += finished_in(rows, paid)
        for _ in range(epochs):
            with torch.no_grad():
                advantage(rows)
            for part in rows[torch.randperm(len(rows))].chunk(minibatches):
                terms = loss(part)
                optimizer.zero_grad()
                (terms["loss_objective"] + terms["loss_critic"] + terms["loss_entropy"]).backward()
                nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
                optimizer.step()
        done, (viper, true) = update * rollout, np.mean(finished[-10:], 0) if finished else (np.nan, np.nan)
        print(f"{done} steps, {done / (time.time() - begun):.0f}/s: return {viper:.1f} (VIPER), {true:.1f} (true)")
    collector.shutdown()
    return finished


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--env-id", default=viper_pipeline.gym.env_id(TASK))
    parser.add_argument("--seed", type=int, default=0)
    train(**vars(parser.parse_args()))
