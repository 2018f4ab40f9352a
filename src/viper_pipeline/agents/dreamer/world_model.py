"""Dreamer's world model: an RSSM with the heads that reconstruct frames, rewards and terminations from its states.

A state is a deterministic part h and a stochastic part z. `obs_step` takes an image into account (posterior of z),
`img_step` imagines without one (prior of z). Names of submodules are names of saved weights.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.dreamer.networks import MLP, Decoder, Encoder, TwoHotHead, balanced_kl, initialized, unimix


class RSSMState(NamedTuple):
    """RSSM state (deterministic h, stochastic z), for any leading dimensions."""

    deter: Tensor  # (..., D) h
    stoch: Tensor  # (..., S, K) z, one-hot; gradients pass straight through to the probabilities

    @property
    def features(self) -> Tensor:
        """(..., D + S K): what heads, actor and critics read."""
        return torch.cat([self.deter, self.stoch.flatten(-2)], -1)

    def detach(self) -> RSSMState:
        """The same numbers without their gradient graph."""
        return RSSMState(self.deter.detach(), self.stoch.detach())


class RSSM(nn.Module):
    """Recurrent state-space model: the sequence model, the prior and the posterior of its latents."""

    def __init__(self, config: DreamerConfig, actions: int, embedded: int) -> None:
        """embedded: width of an encoded image."""
        super().__init__()
        c, self.config = config, config
        self.latent = c.stoch * c.classes
        self.size = c.deter + self.latent
        self.inputs = MLP(self.latent + actions, c.hidden, 1)
        self.gates = nn.Sequential(
            initialized(nn.Linear(c.hidden + c.deter, 3 * c.deter, bias=False)), nn.LayerNorm(3 * c.deter, 1e-3)
        )
        self.guess = MLP(c.deter, c.hidden, 1, self.latent)
        # The posterior's first layer is split in two, so that all images of a sequence pass through theirs at once.
        self.see_deter = initialized(nn.Linear(c.deter, c.hidden, bias=False))
        self.see_picture = initialized(nn.Linear(embedded, c.hidden, bias=False))
        self.see_rest = nn.Sequential(
            nn.LayerNorm(c.hidden, 1e-3), nn.SiLU(), initialized(nn.Linear(c.hidden, self.latent))
        )
        self.first_deter = nn.Parameter(torch.zeros(c.deter))

    def initial(self, count: int) -> RSSMState:
        """The state (count, ...) before an episode's first frame; it is learned."""
        deter = torch.tanh(self.first_deter).expand(count, -1)
        return RSSMState(deter, self.mode(self.prior(deter)))

    def recurrent_step(self, state: RSSMState, action: Tensor) -> Tensor:
        """state (B, ...), action (B, A) -> the next deter (B, D). Action values are clipped to [-1, 1]."""
        action = action / action.abs().clamp(min=1).detach()
        x = self.inputs(torch.cat([state.stoch.flatten(-2), action], -1))
        reset, new, update = self.gates(torch.cat([x, state.deter], -1)).chunk(3, -1)
        new, update = torch.tanh(torch.sigmoid(reset) * new), torch.sigmoid(update - 1)
        return update * new + (1 - update) * state.deter

    def prior(self, deter: Tensor) -> Tensor:
        """deter (..., D) -> log-probabilities (..., S, K) of the latents, without an image."""
        return self._log_probs(self.guess(deter))

    def posterior(self, deter: Tensor, image: Tensor) -> Tensor:
        """deter (..., D), image (..., hidden) from `see_picture` -> log-probabilities (..., S, K)."""
        return self._log_probs(self.see_rest(self.see_deter(deter) + image))

    def _log_probs(self, logits: Tensor) -> Tensor:
        return unimix(logits.unflatten(-1, (self.config.stoch, self.config.classes)), self.config.unimix)

    def mode(self, log_probs: Tensor) -> Tensor:
        """Log-probabilities (..., S, K) -> the most likely classes, one-hot (..., S, K)."""
        return straight_through(F.one_hot(log_probs.argmax(-1), self.config.classes), log_probs)

    def sample(self, log_probs: Tensor, noise: Tensor | None = None) -> Tensor:
        """Log-probabilities (..., S, K) -> sampled classes, one-hot (..., S, K).

        noise: exponential numbers (..., S, K) to sample by; None: drawn here.
        """
        if noise is None:
            noise = torch.empty_like(log_probs, requires_grad=False).exponential_()
        return straight_through(
            F.one_hot((log_probs.detach() - noise.log()).argmax(-1), self.config.classes), log_probs
        )

    def obs_step(
        self,
        state: RSSMState,
        action: Tensor,
        is_first: Tensor,
        initial: RSSMState,
        image: Tensor,
        sample: bool = True,
        noise: Tensor | None = None,
    ) -> tuple[RSSMState, Tensor]:
        """One step with an image -> the state, and the log-probabilities (B, S, K) of its latents.

        state, action: the state before (B, ...) and the action (B, A) taken in it; where `is_first` (B,) is set,
        `initial` (B, ...) and no action are used instead. image: (B, hidden), from `see_picture`.
        sample: sample the latents, or take their mode. noise: see `sample`.
        """
        deter = torch.where(is_first[:, None], initial.deter, state.deter)
        stoch = torch.where(is_first[:, None, None], initial.stoch, state.stoch)
        deter = self.recurrent_step(RSSMState(deter, stoch), torch.where(is_first[:, None], 0.0, action))
        log_probs = self.posterior(deter, image)
        return RSSMState(deter, self.sample(log_probs, noise) if sample else self.mode(log_probs)), log_probs

    def img_step(self, state: RSSMState, action: Tensor) -> RSSMState:
        """One imagined step, without an image: state (B, ...), action (B, A) -> the next state."""
        deter = self.recurrent_step(state, action)
        return RSSMState(deter, self.sample(self.prior(deter)))

    def observe(self, embedded: Tensor, actions: Tensor, is_first: Tensor) -> tuple[RSSMState, Tensor]:
        """Run over sequences -> states (T, B, ...), log-probabilities of the posterior (T, B, S, K).

        embedded: encoded images (T, B, F). actions: (T, B, A) that led there. is_first: (T, B) bool.
        """
        state = initial = self.initial(is_first.shape[1])
        steps = []
        for image, action, first in zip(self.see_picture(embedded), actions, is_first, strict=True):
            state, log_probs = self.obs_step(state, action, first, initial, image)
            steps.append((*state, log_probs))
        deter, stoch, posterior = (torch.stack(parts) for parts in zip(*steps, strict=True))
        return RSSMState(deter, stoch), posterior


def straight_through(one_hot: Tensor, log_probs: Tensor) -> Tensor:
    """The value of one_hot, with the gradient of the probabilities."""
    probs = log_probs.exp()
    return one_hot + (probs - probs.detach())


class Experience(NamedTuple):
    """A batch of sequences on the device, time first."""

    frames: Tensor  # (T, B, C, h, w) uint8
    actions: Tensor  # (T, B, A) that led to the frames
    rewards: Tensor  # (T, B) of the steps that led to the frames
    is_terminal: Tensor  # (T, B) bool: the episode terminated here
    is_first: Tensor  # (T, B) bool: the episode starts here


class WorldModel(nn.Module):
    """Encoder, RSSM, and the heads that read its states."""

    def __init__(self, config: DreamerConfig, frame_shape: tuple[int, int, int], actions: int) -> None:
        super().__init__()
        c, self.config = config, config
        self.encoder = Encoder(frame_shape, c.depth)
        self.rssm = RSSM(c, actions, self.encoder.size)
        self.decoder = Decoder(self.rssm.size, frame_shape, c.depth)
        self.reward = TwoHotHead(self.rssm.size, c.hidden, c.layers)
        self.goes_on = MLP(self.rssm.size, c.hidden, c.layers, 1)

    def continues(self, features: Tensor) -> Tensor:
        """features (..., F) -> the probability (...) that the episode did not terminate."""
        return torch.sigmoid(self.goes_on(features).squeeze(-1))

    def loss(self, data: Experience) -> tuple[Tensor, RSSMState, dict[str, Tensor]]:
        """-> the mean loss, in nats per row; the states (T, B, ...); metrics as detached scalars."""
        c = self.config
        states, posterior = self.rssm.observe(self.encoder(data.frames), data.actions, data.is_first)
        features = states.features
        kl_loss, kl = balanced_kl(posterior, self.rssm.prior(states.deter), c.kl_balance, c.free_nats)
        image = self.decoder.loss(features, data.frames)
        reward = self.reward.loss(features, [data.rewards])
        ends = F.binary_cross_entropy_with_logits(
            self.goes_on(features).squeeze(-1), (~data.is_terminal).float(), reduction="none"
        )
        loss = (c.image_loss_scale * image + reward + ends + c.kl_scale * kl_loss).mean()
        named = {"model_loss": loss, "picture_loss": image, "reward_loss": reward, "end_loss": ends, "kl": kl}
        named["kl_below_free"] = (kl < c.free_nats).float()
        return loss, states, {name: value.detach().mean() for name, value in named.items()}
