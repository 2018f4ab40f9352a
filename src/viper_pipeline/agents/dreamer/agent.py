"""Dreamer (DreamerV3, Hafner et al. 2023; paper 4.2): the agent, out of world model, actor-critic and Plan2Explore.

An update trains the world model on replayed sequences, then actor and critics on what it imagines from their states.
A `curious` Dreamer adds Plan2Explore's reward (Sekar et al. 2020), with a critic of its own or summed with the rest.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from viper_pipeline.agents.base import StateDict
from viper_pipeline.agents.dreamer.actor_critic import (
    Actor,
    ActorCritic,
    Disagreement,
    PredictReward,
    optimizer_step,
)
from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.dreamer.world_model import Experience, RSSMState, WorldModel
from viper_pipeline.agents.networks import contrast_to_median, contrasted, downscale, downscaled_shape, soft_update
from viper_pipeline.agents.replay import Replay, Sequences


class Dreamer(nn.Module):
    """The agent; see `Agent` for its methods."""

    Config = DreamerConfig
    background: Tensor  # of the frames, once `prepare` has seen some
    continuous = True
    discrete = True
    curious = True

    def __init__(
        self,
        config: DreamerConfig,
        frame_shape: tuple[int, int, int],
        actions: int,
        *,
        discrete: bool = False,
        curious: bool = False,
        rewarded: bool = True,
    ) -> None:
        """See `AgentClass`. curious: add the reward of Plan2Explore; rewarded: there is another one beside it."""
        super().__init__()
        self.config = config
        self.frame_shape = downscaled_shape(frame_shape, config.pixels)
        if config.contrast:  # without it, there is no such key in saved states
            self.register_buffer("background", torch.full(self.frame_shape, -1.0))
        self.model = WorldModel(config, self.frame_shape, actions)
        size = self.model.rssm.size
        # A reward that is always 0 has no critic: its advantage would only take a share from the bonus's.
        alone = curious and not rewarded and config.combine == "advantages"
        weights = {} if alone else {"reward": 1.0}
        self.curiosity = Disagreement(config, size, actions) if curious else None
        if curious and config.combine == "advantages":
            weights["bonus"] = config.explore_weight
        # The attribute's name is a key of saved states.
        self.behaviour = ActorCritic(config, size, actions, discrete, weights)
        if config.average:
            self.mean_actor = Actor(config, size, actions, discrete).requires_grad_(False)
            self.mean_actor.load_state_dict(self.behaviour.actor.state_dict())
        self.optimizer = torch.optim.Adam(self.model.parameters(), config.model_rate, eps=config.model_eps, fused=True)
        self.updates = 0

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.rssm.first_deter.device

    def preprocess(self, frames: np.ndarray) -> np.ndarray:
        """Frames (E, H, W, C) -> (E, C, pixels, pixels), with contrast to the background once there is one."""
        small = downscale(frames, self.config.pixels)
        if self.config.contrast and self.background[0, 0, 0] >= 0:
            return contrasted(small, self.background.cpu().numpy(), self.config.contrast)
        return small

    def policy(self, envs: int) -> DreamerPolicy:
        """A policy for `envs` environments."""
        return DreamerPolicy(self.model, self.behaviour.actor, self.judged_actor, envs, self.frame_shape)

    @property
    def judged_actor(self) -> Actor:
        """The actor that is evaluated: the moving average, if there is one."""
        return self.mean_actor if self.config.average else self.behaviour.actor

    def prepare(self, replay: Replay) -> None:
        """If `contrast` is set: take the median frame for the background, and rewrite `replay` as contrast to it."""
        if self.config.contrast:
            self.background.copy_(torch.from_numpy(contrast_to_median(replay.used(), self.config.contrast)))

    def schedule(self, progress: float) -> None:
        """Nothing to schedule: learning rates are constant."""

    def sample(self, replay: Replay, rng: np.random.Generator, window: int = 0) -> Sequences:
        """Sample sequences."""
        return replay.sample_sequences(rng, self.config.batch_size, self.config.batch_length, window)

    def update(self, batch: Sequences) -> dict[str, Tensor]:
        """One step of the world model, of the disagreement ensemble, and of actor and critics from all states."""
        self.updates += 1
        data = self.experience(batch)
        loss, states, metrics = self.model.loss(data)
        optimizer_step(self.optimizer, loss, list(self.model.parameters()), self.config.model_clip)
        if self.curiosity:
            metrics |= self.curiosity.update(states, data.actions, data.is_first)
        every = min(self.config.imagine_every, len(data.is_first))
        chosen = slice(every - 1, None, every)
        start = RSSMState(*(part.detach()[chosen].flatten(0, 1) for part in states))
        rewards, terminal = self._reward_models(), data.is_terminal[chosen].flatten()
        metrics |= self.behaviour.update(self.model, start, terminal, rewards, self.updates)
        if self.config.average:
            soft_update(self.behaviour.actor, self.mean_actor, 1 - self.config.average)
        return metrics

    def experience(self, batch: Sequences) -> Experience:
        """What the world model learns from, on the device."""
        # Whatever came before a sequence is not known: it begins from the initial state, without an action.
        is_first = batch.is_first.copy()
        is_first[0] = True
        return Experience(
            self._tensor(batch.frames),
            self._tensor(batch.actions),
            self._tensor(batch.reward.reshape(batch.is_first.shape)),
            self._tensor(batch.is_terminal),
            self._tensor(is_first),
        )

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _reward_models(self) -> dict[str, PredictReward]:
        """One reward model per critic."""

        def predicted(features: Tensor, actions: Tensor) -> Tensor:
            return self.model.reward(features[1:])

        curiosity = self.curiosity
        if curiosity is None:
            return {"reward": predicted}
        if self.config.combine == "advantages":
            both = {"reward": predicted, "bonus": curiosity.rewards}
            return {name: both[name] for name in self.behaviour.critics}
        weight = self.config.explore_weight
        return {"reward": lambda f, a: predicted(f, a) + weight * curiosity.rewards(f, a)}

    def weights(self) -> dict[str, Tensor]:
        """World model and the actor that is evaluated."""
        background = {"background": self.background} if self.config.contrast else {}
        named = background | {f"model.{k}": v for k, v in self.model.state_dict().items()}
        named |= {f"actor.{k}": v for k, v in self.judged_actor.state_dict().items()}
        return {k: v.detach().cpu().clone() for k, v in named.items()}

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        optimizers: list[torch.optim.Optimizer] = [self.optimizer]
        optimizers += [self.behaviour.actor_optimizer, self.behaviour.critic_optimizer]
        return [*optimizers, self.curiosity.optimizer] if self.curiosity else optimizers

    def get_extra_state(self) -> StateDict:
        """The part of `state_dict` that holds optimizers and counter."""
        return {"updates": self.updates, "optimizers": [o.state_dict() for o in self._optimizers()]}

    def set_extra_state(self, state: StateDict) -> None:
        """Restore optimizers and counter."""
        self.updates = state["updates"]
        for optimizer, saved in zip(self._optimizers(), state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


class DreamerPolicy:
    """Acts on the RSSM's state; see `AgentPolicy`. The state takes in a frame when an action is asked for."""

    def __init__(
        self, model: WorldModel, actor: Actor, judged: Actor, envs: int, frame_shape: tuple[int, int, int]
    ) -> None:
        """actor: acts with noise; judged: acts without."""
        self.model, self.actor, self.judged = model, actor, judged
        self.generators = [torch.Generator() for _ in range(envs)]
        self.frames = np.zeros((envs, *frame_shape), np.uint8)
        self.is_first = np.ones(envs, bool)
        self.state, self.action = model.rssm.initial(envs).detach(), torch.zeros(envs, actor.actions)

    def start(self, i: int, frame: np.ndarray, seed: int = 0) -> None:
        """Environment `i` starts an episode with `frame`; seed: of its latents, where it acts without noise."""
        self.frames[i], self.is_first[i] = frame, True
        self.generators[i].manual_seed(seed)

    def push(self, frames: np.ndarray) -> None:
        """Every environment reached its next frame."""
        self.frames[:] = frames

    @torch.no_grad()
    def act(self, noise: np.ndarray | None = None) -> np.ndarray:
        """-> actions (E, A), sampled by means of `noise` (E, A), latents by torch's generator.

        Without noise: the mode of the averaged actor, if there is one, given latents that are drawn from the seeds of
        the episodes. The most likely latents would give states that training never saw.
        """
        rssm = self.model.rssm
        device = rssm.first_deter.device
        image = rssm.see_picture(self.model.encoder(torch.from_numpy(self.frames).to(device)))
        is_first = torch.from_numpy(self.is_first).to(device)
        initial = rssm.initial(len(is_first))
        drawn = None if noise is not None else self._exponential(*initial.stoch.shape[1:]).to(device)
        self.state, _ = rssm.obs_step(self.state, self.action.to(device), is_first, initial, image, noise=drawn)
        if noise is None:
            action = self.judged.act(self.state.features, None)
        else:
            action = self.actor.act(self.state.features, torch.from_numpy(noise).to(device))
        self.action = action.clamp(-1, 1)
        self.is_first[:] = False
        return self.action.cpu().numpy()

    def _exponential(self, *shape: int) -> Tensor:
        """Exponential numbers (E, *shape), each environment's from its own generator."""
        return torch.stack([torch.empty(shape).exponential_(generator=one) for one in self.generators])
