"""The world model: from frames and actions to states, and from states back to frames, rewards and ends."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.dreamer.formulas import balanced_kl
from viper_pipeline.agents.dreamer.networks import MLP, Decoder, Encoder, TwoHotHead
from viper_pipeline.agents.dreamer.rssm import RSSM, State


class Experience(NamedTuple):
    """A batch of sequences on the device, time first."""

    frames: Tensor  # (T, B, C, h, w) uint8
    actions: Tensor  # (T, B, A) that led there
    rewards: Tensor  # (T, B) for arriving there
    terminal: Tensor  # (T, B) bool
    first: Tensor  # (T, B) bool


class WorldModel(nn.Module):
    """Encoder, RSSM and the heads that read its states."""

    def __init__(self, config: DreamerConfig, frame_shape: tuple[int, int, int], actions: int) -> None:
        super().__init__()
        c, self.config = config, config
        self.encoder = Encoder(frame_shape, c.depth)
        self.rssm = RSSM(c, actions, self.encoder.size)
        self.decoder = Decoder(self.rssm.size, frame_shape, c.depth)
        self.reward = TwoHotHead(self.rssm.size, c.units, c.layers)
        self.goes_on = MLP(self.rssm.size, c.units, c.layers, 1)

    def continues(self, features: Tensor) -> Tensor:
        """features (..., F) -> the probability (...) that the episode is not over for good."""
        return torch.sigmoid(self.goes_on(features).squeeze(-1))

    def loss(self, data: Experience) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Mean loss over all rows, in nats a row; the states (T, B, ...); detached scalars."""
        c = self.config
        states, posterior = self.rssm.observe(self.encoder(data.frames), data.actions, data.first)
        features = states.features
        kl_loss, kl = balanced_kl(posterior, self.rssm.prior(states.deter), c.kl_balance, c.free_nats)
        picture = self.decoder.loss(features, data.frames)
        reward = self.reward.loss(features, [data.rewards])
        ends = F.binary_cross_entropy_with_logits(
            self.goes_on(features).squeeze(-1), (~data.terminal).float(), reduction="none"
        )
        loss = (c.picture_scale * picture + reward + ends + c.kl_scale * kl_loss).mean()
        named = {"model_loss": loss, "picture_loss": picture, "reward_loss": reward, "end_loss": ends, "kl": kl}
        return loss, states, {name: value.detach().mean() for name, value in named.items()}
