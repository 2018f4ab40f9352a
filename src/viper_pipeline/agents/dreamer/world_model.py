"""The world model: from frames and actions to states, and from states back to frames, rewards and ends."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.dreamer.networks import MLP, Decoder, Encoder, TwoHotHead, balanced_kl, initialised, mixed


class State(NamedTuple):
    """Where the world stands, for any leading dimensions."""

    deter: Tensor  # (..., D)
    stoch: Tensor  # (..., S, K) one-hot; gradients pass to the probabilities

    @property
    def features(self) -> Tensor:
        """What heads, actor and critics read: (..., D + S K)."""
        return torch.cat([self.deter, self.stoch.flatten(-2)], -1)

    def detach(self) -> State:
        """The same, without its past."""
        return State(self.deter.detach(), self.stoch.detach())


class RSSM(nn.Module):
    """Steps in time: `after` an action, `seen` with a picture, `guessed` without."""

    def __init__(self, config: DreamerConfig, actions: int, embedded: int) -> None:
        """embedded: width of an encoded picture."""
        super().__init__()
        c, self.config = config, config
        self.latent = c.stoch * c.classes
        self.size = c.deter + self.latent
        self.inputs = MLP(self.latent + actions, c.units, 1)
        self.gates = nn.Sequential(
            initialised(nn.Linear(c.units + c.deter, 3 * c.deter, bias=False)), nn.LayerNorm(3 * c.deter, 1e-3)
        )
        self.guess = MLP(c.deter, c.units, 1, self.latent)
        # The first layer of the posterior, in two parts, so that all pictures of a sequence go through at once.
        self.see_deter = initialised(nn.Linear(c.deter, c.units, bias=False))
        self.see_picture = initialised(nn.Linear(embedded, c.units, bias=False))
        self.see_rest = nn.Sequential(
            nn.LayerNorm(c.units, 1e-3), nn.SiLU(), initialised(nn.Linear(c.units, self.latent))
        )
        self.first_deter = nn.Parameter(torch.zeros(c.deter))

    def first(self, count: int) -> State:
        """The state (count, ...) before anything was seen; it is learned."""
        deter = torch.tanh(self.first_deter).expand(count, -1)
        return State(deter, self.likeliest(self.prior(deter)))

    def after(self, state: State, action: Tensor) -> Tensor:
        """state (B, ...), action (B, A) -> the next deter (B, D). Actions beyond 1 count as 1."""
        action = action / action.abs().clamp(min=1).detach()
        x = self.inputs(torch.cat([state.stoch.flatten(-2), action], -1))
        reset, new, update = self.gates(torch.cat([x, state.deter], -1)).chunk(3, -1)
        new, update = torch.tanh(torch.sigmoid(reset) * new), torch.sigmoid(update - 1)
        return update * new + (1 - update) * state.deter

    def prior(self, deter: Tensor) -> Tensor:
        """deter (..., D) -> log-probabilities (..., S, K) of the latents, the picture unseen."""
        return self._log_probs(self.guess(deter))

    def posterior(self, deter: Tensor, picture: Tensor) -> Tensor:
        """deter (..., D), picture (..., units) of `see_picture` -> log-probabilities (..., S, K)."""
        return self._log_probs(self.see_rest(self.see_deter(deter) + picture))

    def _log_probs(self, logits: Tensor) -> Tensor:
        return mixed(logits.unflatten(-1, (self.config.stoch, self.config.classes)), self.config.unimix)

    def likeliest(self, log_probs: Tensor) -> Tensor:
        """log-probabilities (..., S, K) -> one-hot (..., S, K)."""
        return passed(F.one_hot(log_probs.argmax(-1), self.config.classes), log_probs)

    def drawn(self, log_probs: Tensor) -> Tensor:
        """The same, by chance."""
        noise = torch.empty_like(log_probs, requires_grad=False).exponential_().log()
        return passed(F.one_hot((log_probs.detach() - noise).argmax(-1), self.config.classes), log_probs)

    def seen(
        self, state: State, action: Tensor, first: Tensor, fresh: State, picture: Tensor, draw: bool = True
    ) -> tuple[State, Tensor]:
        """One step with a picture -> the state, and the log-probabilities (B, S, K) it was drawn from.

        state, action (B, A): before, and what was done; where `first` (B,) is set, `fresh` and nothing instead.
        picture (B, units).
        """
        deter = torch.where(first[:, None], fresh.deter, state.deter)
        stoch = torch.where(first[:, None, None], fresh.stoch, state.stoch)
        deter = self.after(State(deter, stoch), torch.where(first[:, None], 0.0, action))
        log_probs = self.posterior(deter, picture)
        return State(deter, self.drawn(log_probs) if draw else self.likeliest(log_probs)), log_probs

    def guessed(self, state: State, action: Tensor) -> State:
        """One imagined step."""
        deter = self.after(state, action)
        return State(deter, self.drawn(self.prior(deter)))

    def observe(self, embedded: Tensor, actions: Tensor, first: Tensor) -> tuple[State, Tensor]:
        """embedded (T, B, F), actions (T, B, A) that led there, first (T, B) bool -> states, log-probs (T, B, ...)."""
        state = fresh = self.first(first.shape[1])
        steps = []
        for picture, action, begins in zip(self.see_picture(embedded), actions, first, strict=True):
            state, log_probs = self.seen(state, action, begins, fresh, picture)
            steps.append((*state, log_probs))
        deter, stoch, posterior = (torch.stack(parts) for parts in zip(*steps, strict=True))
        return State(deter, stoch), posterior


def passed(one_hot: Tensor, log_probs: Tensor) -> Tensor:
    """one_hot, with the gradient of the probabilities."""
    probs = log_probs.exp()
    return one_hot + (probs - probs.detach())


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
