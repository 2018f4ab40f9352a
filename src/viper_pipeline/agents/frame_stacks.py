"""What agents share that see stacks of frames: their policy's memory, random shifts, parameters as one vector."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from viper_pipeline.agents.base import AgentConfig
from viper_pipeline.agents.networks import FlatParameters
from viper_pipeline.agents.replay import Replay, Transitions


class FrameStackConfig(AgentConfig):
    """What an observation is, and what a batch of transitions is."""

    pixels: int = Field(64, gt=0, description="side of the image the agent sees; frames are averaged down to it")
    stack: int = Field(3, gt=0, description="frames per observation")
    shift: int = Field(4, ge=0, description="largest random shift of an image, in pixels")
    batch_size: int = Field(256, gt=0, description="transitions per update")
    gamma: float = Field(0.99, gt=0, lt=1, description="discount")
    n_step: int = Field(1, gt=0, description="rewards summed before the value takes over")


class FrameStackAgent(nn.Module):
    """Base of agents that act on the last frames and learn from randomly shifted transitions; see `Agent`."""

    config: FrameStackConfig
    frame_shape: tuple[int, int, int]
    """(C, h, w) of a preprocessed frame."""
    trained: FlatParameters
    """What the optimizer changes, as one vector."""

    @abstractmethod
    def _flatten(self) -> None:
        """Make vectors of what is trained and of what follows it, and an optimizer of the first one."""

    @abstractmethod
    def act(self, obs: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
        """obs (E, stack, C, h, w) uint8, noise (E, A) or None -> actions (E, A)."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move all tensors, as `to` does; their vectors are made anew."""
        super()._apply(fn, recurse)
        self._flatten()
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.trained.vector.device

    def policy(self, envs: int) -> FrameStackPolicy:
        """A policy for `envs` environments."""
        return FrameStackPolicy(envs, self.config.stack, self.frame_shape, self.act)

    def sample(self, replay: Replay, rng: np.random.Generator, window: int = 0) -> Transitions:
        """Sample a batch; both observations of a transition get their own random shift, windows get none."""
        c = self.config
        batch = replay.sample(rng, c.batch_size, stack=c.stack, n_step=c.n_step, gamma=c.gamma, window=window)
        obs, next_obs = (
            random_shift(rng, frames.reshape(len(frames), -1, *frames.shape[-2:]), c.shift)
            for frames in (batch.obs, batch.next_obs)
        )
        return replace(batch, obs=obs, next_obs=next_obs)


class FrameStackPolicy:
    """Acts on stacks of the last frames; see `AgentPolicy`. The first frame of an episode is repeated."""

    def __init__(
        self,
        envs: int,
        stack: int,
        frame_shape: tuple[int, ...],
        select_actions: Callable[[np.ndarray, np.ndarray | None], np.ndarray],
    ) -> None:
        """select_actions: stacks (E, stack, *frame_shape), oldest frame first, noise (E, A) or None -> (E, A)."""
        self.frames = np.zeros((envs, stack, *frame_shape), np.uint8)
        self.select_actions = select_actions

    def start(self, i: int, frame: np.ndarray, seed: int = 0) -> None:
        """Environment `i` starts an episode with `frame`; nothing is drawn, so the seed is not used."""
        self.frames[i] = frame

    def push(self, frames: np.ndarray) -> None:
        """Every environment reached its next frame."""
        self.frames[:, :-1] = self.frames[:, 1:]
        self.frames[:, -1] = frames

    def act(self, noise: np.ndarray | None = None) -> np.ndarray:
        """-> actions (E, A)."""
        return self.select_actions(self.frames, noise)


def random_shift(rng: np.random.Generator, images: np.ndarray, limit: int) -> np.ndarray:
    """Shift each image (B, channels, h, w) by up to `limit` pixels along both axes; edge pixels are repeated."""
    if limit == 0:
        return images
    height, width = images.shape[-2:]
    shifts = range(-limit, limit + 1)
    rows = [np.clip(np.arange(height) + shift, 0, height - 1) for shift in shifts]
    columns = [np.clip(np.arange(width) + shift, 0, width - 1) for shift in shifts]
    shifted = np.empty_like(images)
    # A loop of small copies: several times as fast on a CPU as one gather by index arrays.
    for i, (down, right) in enumerate(rng.integers(0, len(shifts), (len(images), 2)).tolist()):
        shifted[i] = images[i].take(rows[down], 1).take(columns[right], 2)
    return shifted
