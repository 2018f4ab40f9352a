"""Plan2Explore: what predictors of the next latent disagree on is new; noise that all expect alike is not.

Sekar et al. 2020; paper 3.3 and Table 3. Each predicts the mean of the next latent: on mere noise they come to agree.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from viper_pipeline.agents.dreamer.behaviour import step
from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.dreamer.rssm import State
from viper_pipeline.agents.networks import Ensemble


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
