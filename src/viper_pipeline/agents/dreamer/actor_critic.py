"""Behaviour learned in imagination: an actor, and for every kind of reward a critic with its own range."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.dreamer.networks import MLP, TwoHotHead, lambda_returns, mixed
from viper_pipeline.agents.dreamer.world_model import State, WorldModel
from viper_pipeline.agents.networks import Ensemble

DEVIATIONS = (0.1, 1.0)
"""Least and greatest standard deviation of a continuous policy."""
Rewards = Callable[[Tensor, Tensor], Tensor]
"""features (H + 1, N, F), actions (H, N, A) -> rewards (H, N) for the states arrived at."""


class Actor(nn.Module):
    """features (..., F) -> a normal policy for positions of actuators, a categorical one for buttons."""

    def __init__(self, config: DreamerConfig, inputs: int, actions: int, discrete: bool) -> None:
        super().__init__()
        self.discrete, self.actions, self.unimix = discrete, actions, config.unimix
        outputs = actions if discrete else 2 * actions
        self.mlp = MLP(inputs, config.units, config.layers, outputs)

    def policy(self, features: Tensor) -> tuple[Tensor, ...]:
        """-> log-probabilities (..., A) of the buttons; or mean, standard deviation (..., A)."""
        out = self.mlp(features)
        if self.discrete:
            return (mixed(out, self.unimix),)
        mean, raw = out.chunk(2, -1)
        low, high = DEVIATIONS
        return torch.tanh(mean), low + (high - low) * torch.sigmoid(raw + 2)

    def choose(self, features: Tensor, noise: Tensor | None) -> Tensor:
        """-> actions (..., A), by standard normal noise (..., A), or the best; buttons are 1 pressed, else -1."""
        policy = self.policy(features)
        if self.discrete:
            (scores,) = policy
            if noise is not None:  # Gumbel's numbers, from normal ones
                scores = scores - torch.special.log_ndtr(noise).neg().log()
            return 2.0 * F.one_hot(scores.argmax(-1), scores.shape[-1]) - 1
        mean, deviation = policy
        return mean if noise is None else mean + deviation * noise

    def entropy(self, features: Tensor) -> Tensor:
        """-> nats (...), up to a constant for normal policies."""
        if self.discrete:
            (log_probs,) = self.policy(features)
            return -(log_probs.exp() * log_probs).sum(-1)
        return self.policy(features)[1].log().sum(-1)

    def log_prob(self, features: Tensor, actions: Tensor) -> Tensor:
        """Of buttons pressed: nats (...)."""
        (log_probs,) = self.policy(features)
        return (log_probs * (actions > 0)).sum(-1)


class Critic(nn.Module):
    """The value of one kind of reward, and the range of its returns."""

    def __init__(self, config: DreamerConfig, inputs: int) -> None:
        super().__init__()
        self.config = config
        self.value, self.slow = (TwoHotHead(inputs, config.units, config.layers) for _ in range(2))
        self.slow.load_state_dict(self.value.state_dict())
        self.slow.requires_grad_(False)
        self.percentiles: Tensor
        self.edges: Tensor
        self.register_buffer("percentiles", torch.zeros(2))
        self.register_buffer("edges", torch.tensor([0.05, 0.95]), persistent=False)

    def returns(self, features: Tensor, rewards: Tensor, discounts: Tensor) -> tuple[Tensor, Tensor]:
        """features (H + 1, N, F), rewards, discounts (H, N) -> returns and values (H, N) of the first H states."""
        values = self.value(features)
        return lambda_returns(rewards, discounts, values, self.config.mix), values[:-1]

    def range(self, returns: Tensor) -> Tensor:
        """Learn the 5th and 95th percentile; their distance, at least 1: small returns are not blown up."""
        now = torch.quantile(returns.detach().flatten(), self.edges)
        self.percentiles.lerp_(now, 1 - self.config.return_decay)
        return (self.percentiles[1] - self.percentiles[0]).clamp(min=1)

    def loss(self, features: Tensor, returns: Tensor) -> Tensor:
        """Towards the returns (H, N), and towards the slow critic; (H, N)."""
        with torch.no_grad():
            slow = self.slow(features)
        return self.value.loss(features, [returns, slow])

    @torch.no_grad()
    def follow(self, update: int) -> None:
        """Let the slow critic step, if this update (from 1) is one of its own."""
        if update % self.config.slow_every == 0:
            torch._foreach_lerp_(list(self.slow.parameters()), list(self.value.parameters()), self.config.slow_step)


class Behaviour(nn.Module):
    """Actor and critics. `rewards`: their names and weights; weights are shares of the advantage."""

    def __init__(
        self, config: DreamerConfig, inputs: int, actions: int, discrete: bool, rewards: dict[str, float]
    ) -> None:
        super().__init__()
        c, self.config = config, config
        total = sum(rewards.values())
        self.shares = {name: weight / total for name, weight in rewards.items()}
        self.actor = Actor(c, inputs, actions, discrete)
        self.critics: dict[str, Critic] = nn.ModuleDict({name: Critic(c, inputs) for name in rewards})  # type: ignore[assignment]
        adam = partial(torch.optim.Adam, lr=c.policy_rate, eps=c.policy_eps, fused=True)
        self.actor_optimizer = adam(self.actor.parameters())
        self.learned = [p for critic in self.critics.values() for p in critic.value.parameters()]
        self.critic_optimizer = adam(self.learned)

    def imagine(self, model: WorldModel, start: State) -> tuple[Tensor, Tensor]:
        """start (N, ...) -> features (H + 1, N, F), actions (H, N, A) of the actor from there on."""
        state, features, actions = start, [start.features], []
        for _ in range(self.config.horizon):
            noise = torch.randn(len(start.deter), self.actor.actions, device=start.deter.device)
            action = self.actor.choose(features[-1].detach(), noise)
            state = model.rssm.guessed(state, action)
            features.append(state.features)
            actions.append(action)
        return torch.stack(features), torch.stack(actions)

    def learn(
        self, model: WorldModel, start: State, ended: Tensor, rewards: dict[str, Rewards], update: int
    ) -> dict[str, Tensor]:
        """One step of actor and critics from states (N, ...), of which `ended` (N,) bool are the last for good."""
        c, discrete = self.config, self.actor.discrete
        with torch.set_grad_enabled(not discrete):  # gradients reach the actor through the model, or by REINFORCE
            features, actions = self.imagine(model, start)
            discounts = c.gamma * model.continues(features[1:])
            paid = {name: pay(features, actions) for name, pay in rewards.items()}
            begun = (~ended).float()[None]
            # The first discount of all is known: nothing counts after a true end.
            weights = torch.cat([begun, begun * discounts.detach().cumprod(0)])[:-1]
            judged = {name: critic.returns(features, paid[name], discounts) for name, critic in self.critics.items()}
            parts = [
                self.shares[name] * (returns - values) / self.critics[name].range(returns)
                for name, (returns, values) in judged.items()
            ]
            advantage = torch.stack(parts).sum(0)
        features = features[:-1].detach()
        gain = self.actor.log_prob(features, actions) * advantage.detach() if discrete else advantage
        entropy = self.actor.entropy(features)
        actor_loss = -(weights * (gain + c.entropy * entropy)).mean()
        step(self.actor_optimizer, actor_loss, list(self.actor.parameters()), c.policy_clip)

        losses = [critic.loss(features, judged[name][0].detach()) for name, critic in self.critics.items()]
        critic_loss = (weights * torch.stack(losses).sum(0)).mean()
        step(self.critic_optimizer, critic_loss, self.learned, c.policy_clip)
        for critic in self.critics.values():
            critic.follow(update)
        metrics = {"critic_loss": critic_loss, "entropy": entropy.mean()}
        metrics |= {f"{name}_return": returns.mean() for name, (returns, _) in judged.items()}
        return {name: value.detach() for name, value in metrics.items()}


def step(optimizer: torch.optim.Optimizer, loss: Tensor, weights: list[nn.Parameter], clip: float) -> None:
    """One step of these weights alone, their gradient no longer than `clip`.

    Convolutions give slopes in another order of memory than their weights'; the fused Adam does not look at that.
    """
    for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
        weight.grad = slope.contiguous()
    torch.nn.utils.clip_grad_norm_(weights, clip)
    optimizer.step()


class Disagreement(nn.Module):
    """An ensemble of one-step predictors: state and action -> the next latent."""

    def __init__(self, config: DreamerConfig, inputs: int, actions: int) -> None:
        """inputs: width of a state's features."""
        super().__init__()
        c, self.config = config, config
        sizes = [inputs + actions, *c.layers * [c.units], c.stoch * c.classes]
        self.predictors = Ensemble(c.members, sizes, norm=True)
        self.optimizer = torch.optim.Adam(self.parameters(), c.policy_rate, eps=c.policy_eps, fused=True)

    def predictions(self, features: Tensor, actions: Tensor) -> Tensor:
        """features (..., F), actions (..., A) -> next latents (members, N, S K), N over all leading dimensions."""
        return self.predictors(torch.cat([features, actions], -1).flatten(0, -2))

    def rewards(self, features: Tensor, actions: Tensor) -> Tensor:
        """features (H + 1, N, F), actions (H, N, A) -> rewards (H, N): deviation among members, mean over classes."""
        return self.predictions(features[:-1], actions).std(0, correction=0).mean(-1).view(actions.shape[:-1])

    def learn(self, states: State, actions: Tensor, first: Tensor) -> dict[str, Tensor]:
        """states (T, B, ...), actions (T, B, A) that led there, first (T, B) -> detached scalars."""
        wanted = states.stoch[1:].detach().flatten(0, 1).flatten(1)
        found = self.predictions(states.features[:-1].detach(), actions[1:])
        follows = (~first[1:]).float().flatten()
        errors = (found - wanted).square().sum(-1).mean(0)
        loss = (errors * follows).sum() / follows.sum().clamp(min=1)
        step(self.optimizer, loss, list(self.parameters()), self.config.policy_clip)
        return {"disagreement_loss": loss.detach()}
