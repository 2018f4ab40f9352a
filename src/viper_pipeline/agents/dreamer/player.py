"""Dreamer at play: what it believes of each environment, from one frame to the next."""

from __future__ import annotations

import numpy as np
import torch

from viper_pipeline.agents.dreamer.behaviour import Actor
from viper_pipeline.agents.dreamer.world_model import WorldModel


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
