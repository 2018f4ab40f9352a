"""Actor and critics, trained on imagined sequences, and Plan2Explore's intrinsic reward (Sekar et al. 2020).

There is one critic per reward: the predicted one, and the disagreement of an ensemble of one-step predictors if the
agent explores by itself. Advantages of each are divided by the range of its returns before they are summed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.dreamer.networks import MLP, TwoHotHead, lambda_returns, unimix
from viper_pipeline.agents.dreamer.world_model import RSSMState, WorldModel
from viper_pipeline.agents.networks import Ensemble

DEVIATIONS = (0.1, 1.0)
"""Smallest and largest standard deviation of a continuous policy."""
PredictReward = Callable[[Tensor, Tensor], Tensor]
"""Features (H + 1, N, F), actions (H, N, A) -> rewards (H, N) of the steps between the states."""


class Actor(nn.Module):
    """Features (..., F) -> a normal policy for continuous actions, a categorical one for discrete actions."""

    def __init__(self, config: DreamerConfig, inputs: int, actions: int, discrete: bool) -> None:
        super().__init__()
        self.discrete, self.actions, self.unimix = discrete, actions, config.unimix
        outputs = actions if discrete else 2 * actions
        self.mlp = MLP(inputs, config.hidden, config.layers, outputs)

    def policy(self, features: Tensor) -> tuple[Tensor, ...]:
        """-> log-probabilities (..., A) of discrete actions; or mean and standard deviation (..., A)."""
        out = self.mlp(features)
        if self.discrete:
            return (unimix(out, self.unimix),)
        mean, raw = out.chunk(2, -1)
        low, high = DEVIATIONS
        return torch.tanh(mean), low + (high - low) * torch.sigmoid(raw + 2)

    def act(self, features: Tensor, noise: Tensor | None) -> Tensor:
        """-> actions (..., A), sampled by means of standard normal noise (..., A), or the mode without noise.

        Discrete actions are one-hot: 1 for the chosen one, -1 for the others.
        """
        policy = self.policy(features)
        if self.discrete:
            (scores,) = policy
            if noise is not None:  # Gumbel noise, made from normal noise
                scores = scores - torch.special.log_ndtr(noise).neg().log()
            return 2.0 * F.one_hot(scores.argmax(-1), scores.shape[-1]) - 1
        mean, deviation = policy
        return mean if noise is None else mean + deviation * noise

    def entropy(self, features: Tensor) -> Tensor:
        """-> entropy (...) in nats, up to a constant for normal policies."""
        if self.discrete:
            (log_probs,) = self.policy(features)
            return -(log_probs.exp() * log_probs).sum(-1)
        return self.policy(features)[1].log().sum(-1)

    def log_prob(self, features: Tensor, actions: Tensor) -> Tensor:
        """Log-probability (...) in nats of discrete actions (..., A)."""
        (log_probs,) = self.policy(features)
        return (log_probs * (actions > 0)).sum(-1)


class Critic(nn.Module):
    """The value of one kind of reward, its slow copy (the target critic), and the range of its returns."""

    def __init__(self, config: DreamerConfig, inputs: int) -> None:
        super().__init__()
        self.config = config
        self.value, self.slow = (TwoHotHead(inputs, config.hidden, config.layers) for _ in range(2))
        self.slow.load_state_dict(self.value.state_dict())
        self.slow.requires_grad_(False)
        self.percentiles: Tensor
        self.edges: Tensor
        self.register_buffer("percentiles", torch.zeros(2))
        self.register_buffer("edges", torch.tensor([0.05, 0.95]), persistent=False)

    def returns(self, features: Tensor, rewards: Tensor, discounts: Tensor) -> tuple[Tensor, Tensor]:
        """Features (H + 1, N, F), rewards, discounts (H, N) -> returns and values (H, N) of the first H states."""
        values = self.value(features)
        return lambda_returns(rewards, discounts, values, self.config.lam), values[:-1]

    def range(self, returns: Tensor) -> Tensor:
        """Update the running 5th and 95th percentile -> their distance, at least 1, so that noise is not amplified."""
        now = torch.quantile(returns.detach().flatten(), self.edges)
        self.percentiles.lerp_(now, 1 - self.config.return_decay)
        return (self.percentiles[1] - self.percentiles[0]).clamp(min=1)

    def loss(self, features: Tensor, returns: Tensor) -> Tensor:
        """-> loss (H, N) of the values, towards the returns (H, N) and towards the slow critic's values."""
        with torch.no_grad():
            slow = self.slow(features)
        return self.value.loss(features, [returns, slow])

    @torch.no_grad()
    def update_target(self, number: int) -> None:
        """Move the slow critic towards the critic, every `slow_every` updates; number: of this update, from 1."""
        if number % self.config.slow_every == 0:
            torch._foreach_lerp_(list(self.slow.parameters()), list(self.value.parameters()), self.config.slow_step)


class ActorCritic(nn.Module):
    """The actor, and one critic per reward."""

    def __init__(
        self, config: DreamerConfig, inputs: int, actions: int, discrete: bool, rewards: dict[str, float]
    ) -> None:
        """inputs: width of a state's features. rewards: name -> weight of its advantage."""
        super().__init__()
        c, self.config = config, config
        total = sum(rewards.values())
        self.shares = {name: weight / total for name, weight in rewards.items()}
        self.actor = Actor(c, inputs, actions, discrete)
        critics = {name: Critic(c, inputs) for name in rewards}
        self.critics = cast(Mapping[str, Critic], nn.ModuleDict(critics))
        adam = partial(torch.optim.Adam, lr=c.policy_rate, eps=c.policy_eps, fused=True)
        self.actor_optimizer = adam(self.actor.parameters())
        self.trained = [p for critic in self.critics.values() for p in critic.value.parameters()]
        self.critic_optimizer = adam(self.trained)

    def imagine(self, model: WorldModel, start: RSSMState) -> tuple[Tensor, Tensor]:
        """From states (N, ...), let the actor act for H steps -> features (H + 1, N, F), actions (H, N, A)."""
        state, features, actions = start, [start.features], []
        for _ in range(self.config.horizon):
            noise = torch.randn(len(start.deter), self.actor.actions, device=start.deter.device)
            action = self.actor.act(features[-1].detach(), noise)
            state = model.rssm.img_step(state, action)
            features.append(state.features)
            actions.append(action)
        return torch.stack(features), torch.stack(actions)

    def update(
        self, model: WorldModel, start: RSSMState, terminal: Tensor, rewards: Mapping[str, PredictReward], number: int
    ) -> dict[str, Tensor]:
        """One step of actor and critics -> metrics as detached scalars.

        start: states (N, ...) that imagination starts from. terminal: (N,) bool, which of them ended their episode.
        rewards: one reward model per critic. number: of this update, from 1.
        """
        c, discrete = self.config, self.actor.discrete
        # Continuous actions: gradients reach the actor through the model. Discrete ones: REINFORCE.
        with torch.set_grad_enabled(not discrete):
            features, actions = self.imagine(model, start)
            discounts = c.gamma * model.continues(features[1:])
            imagined = {name: reward(features, actions) for name, reward in rewards.items()}
            # Nothing counts after a real termination, so the weights of those sequences are 0.
            alive = (~terminal).float()[None]
            weights = torch.cat([alive, alive * discounts.detach().cumprod(0)])[:-1]
            estimates = {
                name: critic.returns(features, imagined[name], discounts) for name, critic in self.critics.items()
            }
            advantages = [
                self.shares[name] * (returns - values) / self.critics[name].range(returns)
                for name, (returns, values) in estimates.items()
            ]
            advantage = torch.stack(advantages).sum(0)
        features = features[:-1].detach()
        gain = self.actor.log_prob(features, actions) * advantage.detach() if discrete else advantage
        entropy = self.actor.entropy(features)
        actor_loss = -(weights * (gain + c.entropy * entropy)).mean()
        optimizer_step(self.actor_optimizer, actor_loss, list(self.actor.parameters()), c.policy_clip)

        losses = [critic.loss(features, estimates[name][0].detach()) for name, critic in self.critics.items()]
        critic_loss = (weights * torch.stack(losses).sum(0)).mean()
        optimizer_step(self.critic_optimizer, critic_loss, self.trained, c.policy_clip)
        for critic in self.critics.values():
            critic.update_target(number)
        metrics = {"critic_loss": critic_loss, "entropy": entropy.mean()}
        for name, (returns, values) in estimates.items():
            metrics |= {f"{name}_return": returns.mean(), f"{name}_critic_error": (values - returns).abs().mean()}
        return {name: value.detach() for name, value in metrics.items()}


class Disagreement(nn.Module):
    """Plan2Explore: an ensemble predicts the next latent from state and action; its disagreement is the reward."""

    def __init__(self, config: DreamerConfig, inputs: int, actions: int) -> None:
        """inputs: width of a state's features."""
        super().__init__()
        c, self.config = config, config
        sizes = [inputs + actions, *c.layers * [c.hidden], c.stoch * c.classes]
        self.predictors = Ensemble(c.ensemble_size, sizes, norm=True)
        rate = c.ensemble_rate or c.policy_rate
        self.optimizer = torch.optim.Adam(self.parameters(), rate, eps=c.policy_eps, fused=True)

    def predictions(self, features: Tensor, actions: Tensor) -> Tensor:
        """Features (..., F), actions (..., A) -> next latents (members, N, S K), N over all leading dimensions."""
        return self.predictors(torch.cat([features, actions], -1).flatten(0, -2))

    def rewards(self, features: Tensor, actions: Tensor) -> Tensor:
        """A `RewardModel`: the standard deviation of the members' predictions, mean over all classes."""
        return self.predictions(features[:-1], actions).std(0, correction=0).mean(-1).view(actions.shape[:-1])

    def update(self, states: RSSMState, actions: Tensor, is_first: Tensor) -> dict[str, Tensor]:
        """One training step on real sequences -> metrics as detached scalars.

        states (T, B, ...); actions (T, B, A) that led there; is_first (T, B): no step led there.
        """
        targets = states.stoch[1:].detach().flatten(0, 1).flatten(1)
        predicted = self.predictions(states.features[:-1].detach(), actions[1:])
        follows = (~is_first[1:]).float().flatten()
        errors = (predicted - targets).square().sum(-1).mean(0)
        loss = (errors * follows).sum() / follows.sum().clamp(min=1)
        optimizer_step(self.optimizer, loss, list(self.parameters()), self.config.policy_clip)
        return {"disagreement_loss": loss.detach()}


def optimizer_step(optimizer: torch.optim.Optimizer, loss: Tensor, weights: list[nn.Parameter], clip: float) -> None:
    """One step of these weights alone, with their gradient clipped to norm `clip`.

    Gradients of convolutions lie in memory in another order than their weights, which the fused Adam does not handle.
    """
    for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
        weight.grad = gradient.contiguous()
    torch.nn.utils.clip_grad_norm_(weights, clip)
    optimizer.step()
