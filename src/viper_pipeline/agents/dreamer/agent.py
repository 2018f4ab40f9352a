"""Dreamer: a world model, a behaviour learned in its imagination, and curiosity about it (paper 4.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from viper_pipeline.agents import replay as sequences
from viper_pipeline.agents.dreamer.actor_critic import Actor, Behaviour, Disagreement, Rewards, step
from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.dreamer.world_model import Experience, State, WorldModel
from viper_pipeline.agents.networks import averaged, seen_shape
from viper_pipeline.agents.replay import Replay, Sequences


class DreamerPlayer:
    """See `Player`. A belief is brought up to date when an action is asked for."""

    def __init__(self, model: WorldModel, actor: Actor, envs: int, frame_shape: tuple[int, int, int]) -> None:
        self.model, self.actor = model, actor
        self.frames = np.zeros((envs, *frame_shape), np.uint8)
        self.first = np.ones(envs, bool)
        self.state, self.action = model.rssm.first(envs).detach(), torch.zeros(envs, actor.actions)

    def start(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` begins an episode with `frame`."""
        self.frames[i], self.first[i] = frame, True

    def push(self, frames: np.ndarray) -> None:
        """Every environment arrived at a frame."""
        self.frames[:] = frames

    @torch.no_grad()
    def act(self, noise: np.ndarray | None = None) -> np.ndarray:
        """-> actions (E, A), drawn with `noise` (E, A) and latents by chance; without noise: all the likeliest."""
        rssm = self.model.rssm
        device = rssm.first_deter.device
        picture = rssm.see_picture(self.model.encoder(torch.from_numpy(self.frames).to(device)))
        first = torch.from_numpy(self.first).to(device)
        fresh = rssm.first(len(first))
        self.state, _ = rssm.seen(self.state, self.action.to(device), first, fresh, picture, draw=noise is not None)
        numbers = None if noise is None else torch.from_numpy(noise).to(device)
        self.action = self.actor.choose(self.state.features, numbers).clamp(-1, 1)
        self.first[:] = False
        return self.action.cpu().numpy()


class Dreamer(nn.Module):
    """The agent. See `Agent` for its methods."""

    Config = DreamerConfig
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
    ) -> None:
        """frame_shape: (H, W, C) of the environment's frames; actions: dimensions of an action.

        discrete: the greatest dimension of an action is done. curious: seek what Plan2Explore has not yet learned.
        """
        super().__init__()
        self.config = config
        self.frame_shape = seen_shape(frame_shape, config.pixels)
        self.model = WorldModel(config, self.frame_shape, actions)
        size = self.model.rssm.size
        kinds = {"reward": 1.0}
        self.curiosity = Disagreement(config, size, actions) if curious else None
        if curious and config.combine == "advantages":
            kinds["bonus"] = config.explore_weight
        self.behaviour = Behaviour(config, size, actions, discrete, kinds)
        self.optimizer = torch.optim.Adam(self.model.parameters(), config.model_rate, eps=config.model_eps, fused=True)
        self.updates = 0

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.rssm.first_deter.device

    def see(self, frames: np.ndarray) -> np.ndarray:
        """Average frames (E, H, W, C) down to (E, C, pixels, pixels)."""
        return averaged(frames, self.config.pixels)

    def player(self, envs: int) -> DreamerPlayer:
        """Itself at play in `envs` environments."""
        return DreamerPlayer(self.model, self.behaviour.actor, envs, self.frame_shape)

    def prepare(self, replay: Replay) -> None:
        """A world model learns the background as well: frames stay as they are."""

    def anneal(self, done: float) -> None:
        """Rates stay."""

    def sample(self, replay: Replay, rng: np.random.Generator, window: int = 0) -> Sequences:
        """Draw sequences."""
        return sequences.draw(replay, rng, self.config.batch_size, self.config.batch_length, window)

    def update(self, batch: Sequences) -> dict[str, Tensor]:
        """One step of the world model, of curiosity, and of the behaviour from every state of the batch."""
        self.updates += 1
        data = Experience(
            *(
                torch.from_numpy(array).to(self.device)
                for array in (
                    batch.frames, batch.actions, batch.reward.reshape(batch.first.shape), batch.terminal, batch.first,
                )
            )
        )  # fmt: skip
        loss, states, metrics = self.model.loss(data)
        step(self.optimizer, loss, list(self.model.parameters()), self.config.model_clip)
        if self.curiosity:
            metrics |= self.curiosity.learn(states, data.actions, data.first)
        start = State(*(part.detach().flatten(0, 1) for part in states))
        return metrics | self.behaviour.learn(self.model, start, data.terminal.flatten(), self._rewards(), self.updates)

    def _rewards(self) -> dict[str, Rewards]:
        def paid(features: Tensor, actions: Tensor) -> Tensor:
            return self.model.reward(features[1:])

        curiosity = self.curiosity
        if curiosity is None:
            return {"reward": paid}
        if self.config.combine == "advantages":
            return {"reward": paid, "bonus": curiosity.rewards}
        weight = self.config.explore_weight
        return {"reward": lambda f, a: paid(f, a) + weight * curiosity.rewards(f, a)}

    def weights(self) -> dict[str, Tensor]:
        """World model and actor."""
        named = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        named |= {f"actor.{k}": v for k, v in self.behaviour.actor.state_dict().items()}
        return {k: v.detach().cpu().clone() for k, v in named.items()}

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        found: list[torch.optim.Optimizer] = [self.optimizer]
        found += [self.behaviour.actor_optimizer, self.behaviour.critic_optimizer]
        return [*found, self.curiosity.optimizer] if self.curiosity else found

    def get_extra_state(self) -> dict[str, Any]:
        """Optimisers and counter, as a part of `state_dict`."""
        return {"updates": self.updates, "optimizers": [o.state_dict() for o in self._optimizers()]}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Optimisers and counter, as a part of `load_state_dict`."""
        self.updates = state["updates"]
        for optimizer, saved in zip(self._optimizers(), state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
