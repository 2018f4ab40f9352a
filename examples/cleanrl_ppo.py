"""PPO in one file, in the style of CleanRL, on a VIPER reward: `python examples/cleanrl_ppo.py --steps 100000`.

The policy reads the simulator's state; the reward reads frames, those of all environments in one batch. The true reward
is printed and never learned from. Needs: pip install 'viper-pipeline[dmc]'.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, fields

import gymnasium
import numpy as np
import torch
from gymnasium.wrappers.vector import NormalizeObservation
from torch import Tensor, nn
from torch.distributions import Normal

import viper_pipeline.gym  # registers viper/...


@dataclass
class Args:
    """Settings; each is an option of the command line."""

    env_id: str = viper_pipeline.gym.env_id("cartpole_balance")
    steps: int = 100_000
    """Steps of all environments together."""
    num_envs: int = 4
    rollout: int = 256
    """Steps of each environment between updates."""
    epochs: int = 10
    minibatches: int = 8
    learning_rate: float = 3e-4
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.0
    max_grad_norm: float = 0.5
    seed: int = 0


def layer(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    """A linear layer with orthogonal weights and no bias at first."""
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


class Agent(nn.Module):
    """A Gaussian policy and a value, each a small network."""

    def __init__(self, state: int, actions: int) -> None:
        super().__init__()
        self.critic = nn.Sequential(
            layer(state, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, 1, 1.0), nn.Flatten(0)
        )
        self.actor = nn.Sequential(layer(state, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, actions, 0.01))
        self.log_std = nn.Parameter(torch.zeros(actions))

    def policy(self, states: Tensor) -> Normal:
        """The distribution of actions in states (N, D)."""
        return Normal(self.actor(states), self.log_std.exp())


def advantages(
    rewards: Tensor, values: Tensor, following: Tensor, terminated: Tensor, done: Tensor, args: Args
) -> Tensor:
    """Generalized advantages (T, E) of rewards (T, E).

    values: of the states that the steps began in; following: of those that they led to, also at the end of an episode.
    """
    found, last = torch.zeros_like(rewards), torch.zeros(rewards.shape[1])
    for t in reversed(range(len(rewards))):
        error = rewards[t] + args.gamma * following[t] * ~terminated[t] - values[t]
        last = error + args.gamma * args.gae_lambda * last * ~done[t]
        found[t] = last
    return found


def train(args: Args) -> list[tuple[float, float]]:
    """Train; return (VIPER's return, the true return) of each finished episode."""
    torch.manual_seed(args.seed)
    envs = gymnasium.make_vec(args.env_id, num_envs=args.num_envs, pixels=False, seed=args.seed)
    low, high = envs.single_action_space.low, envs.single_action_space.high
    envs = NormalizeObservation(envs)
    agent = Agent(envs.single_observation_space.shape[0], envs.single_action_space.shape[0])
    optimizer = torch.optim.Adam(agent.parameters(), args.learning_rate, eps=1e-5)
    state = torch.as_tensor(envs.reset(seed=args.seed)[0], dtype=torch.float32)
    begun = torch.ones(args.num_envs, dtype=torch.bool)  # False: this step only resets the environment
    total, finished, started = np.zeros((2, args.num_envs)), [], time.time()
    for update in range(1, max(1, args.steps // (args.rollout * args.num_envs)) + 1):
        rows: list[tuple[Tensor, ...]] = []
        for _ in range(args.rollout):
            with torch.no_grad():
                policy, value = agent.policy(state), agent.critic(state)
                action = policy.sample()
                log_prob = policy.log_prob(action).sum(1)
                following, reward, terminated, truncated, info = envs.step(np.clip(action.numpy(), low, high))
                following = torch.as_tensor(following, dtype=torch.float32)
                ends = torch.as_tensor(terminated), torch.as_tensor(terminated | truncated)
                reward_ = torch.as_tensor(reward, dtype=torch.float32)
                rows.append((state, action, log_prob, value, reward_, agent.critic(following), *ends, begun))
            total += np.stack([reward, info["true_reward"]]) * begun.numpy()
            for i in np.flatnonzero(ends[1]):
                finished.append((float(total[0, i]), float(total[1, i])))
                total[:, i] = 0
            state, begun = following, ~ends[1]
        states, actions, log_probs, values, rewards, next_values, terminations, dones, valid = map(
            torch.stack, zip(*rows, strict=True)
        )
        gains = advantages(rewards, values, next_values, terminations, dones, args)[valid]
        batch = [x[valid] for x in (states, actions, log_probs)]
        targets = gains + values[valid]
        for _ in range(args.epochs):
            for rows_ in torch.randperm(len(gains)).chunk(args.minibatches):
                s, a, old = (x[rows_] for x in batch)
                policy = agent.policy(s)
                ratio = (policy.log_prob(a).sum(1) - old).exp()
                gain = (gains[rows_] - gains[rows_].mean()) / (gains[rows_].std() + 1e-8)
                policy_loss = -torch.min(ratio * gain, ratio.clamp(1 - args.clip, 1 + args.clip) * gain).mean()
                value_loss = (agent.critic(s) - targets[rows_]).square().mean() / 2
                loss = policy_loss + 0.5 * value_loss - args.entropy * policy.entropy().sum(1).mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                optimizer.step()
        steps = update * args.rollout * args.num_envs
        viper, true = np.mean(finished[-10:], 0) if finished else (np.nan, np.nan)
        print(f"{steps} steps, {steps / (time.time() - started):.0f}/s: return {viper:.1f} (VIPER), {true:.1f} (true)")
    envs.close()
    return finished


def parsed() -> Args:
    """The settings of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for field in fields(Args):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    return Args(**vars(parser.parse_args()))


if __name__ == "__main__":
    train(parsed())
