"""Adversarial Motion Priors: reward short windows of frames that look like the experts' (Peng et al. 2021; paper 4).

A least-squares discriminator D is trained to output +1 for windows of expert videos and -1 for windows of the agent's
own; the reward of a window is 1 - (D - 1)^2 / 4. A window is `window` consecutive frames and ends in x_{t+1}, the frame
that r_t belongs to. The discriminator sees no actions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from viper_pipeline.rewards.base import AMPConfig
from viper_pipeline.rewards.rnd import image_mlp
from viper_pipeline.training.checkpoints import StateDict


class AMP(nn.Module):
    """A discriminator that is trained beside the agent and relabels the agent's batches."""

    Config = AMPConfig

    def __init__(self, config: AMPConfig, frame_shape: tuple[int, int, int], videos: Sequence[np.ndarray] = ()) -> None:
        """frame_shape: (C, h, w) of frames as the agent sees them; videos: the experts', uint8 (T, H, W, C) each."""
        super().__init__()
        self.config, self.window, self.videos = config, config.window, videos
        channels, height, width = frame_shape
        shape = (config.window * channels, height, width)
        self.network = image_mlp(shape, config.channels, config.kernels, config.strides, config.hidden, 1)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate, fused=True)
        self.demos: list[np.ndarray] = []  # frames (T, C, h, w) of each video
        self.ends: np.ndarray = np.zeros((0, 2), np.int64)  # (video, index of the last frame) of every window

    def start(self, frames: np.ndarray) -> None:
        """Nothing is kept of running episodes."""

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Nothing is kept of running episodes."""

    def step(self, frames: np.ndarray, true_rewards: np.ndarray) -> np.ndarray:
        """frames (E, H, W, C) -> zeros (E,) float32: rewards are computed when the replay is sampled."""
        return np.zeros(len(frames), np.float32)

    def steps(self, frames: np.ndarray, true_rewards: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """frames (T, E, H, W, C) -> zeros (T, E) float32, as `step`."""
        return np.zeros(true_rewards.shape, np.float32), {}

    def step_metrics(self) -> dict[str, np.ndarray]:
        """None; the metrics are those of `update`."""
        return {}

    def begin(self, preprocess: Callable[[np.ndarray], np.ndarray]) -> None:
        """Take the experts' videos as the agent sees frames. preprocess: (T, H, W, C) -> (T, C, h, w) uint8."""
        self.set_demos([preprocess(video) for video in self.videos])

    def set_demos(self, demos: list[np.ndarray]) -> None:
        """The experts' videos, uint8 (T, C, h, w) each, as the agent sees frames."""
        self.demos = demos
        ends = [(i, t) for i, video in enumerate(demos) for t in range(1, len(video))]
        self.ends = np.array(ends, np.int64)

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """`size` expert windows (size, window, C, h, w) uint8.

        A window lies within one video; before the video's beginning its first frame is repeated, as in the replay.
        """
        back = np.arange(1 - self.window, 1)
        chosen = self.ends[rng.integers(len(self.ends), size=size)]
        return np.stack([self.demos[i][np.maximum(t + back, 0)] for i, t in chosen])

    def discriminate(self, windows: np.ndarray) -> Tensor:
        """windows (B, window, C, h, w) uint8 -> D (B,)."""
        return self._logits(self._inputs(windows))

    @torch.no_grad()
    def rewards(self, windows: np.ndarray) -> np.ndarray:
        """windows (B, window, C, h, w) uint8 -> rewards (B,) float32 under the current discriminator."""
        rewards = 1 - (self.discriminate(windows) - 1).square() / 4
        return rewards.clamp(self.config.low, self.config.high).cpu().numpy()

    def update(self, windows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """One step on the agent's windows (B, window, C, h, w) and as many of the experts' -> detached scalars."""
        size = min(self.config.batch_size, len(windows))
        experts = self._inputs(self.sample(rng, size)).requires_grad_(True)
        of_experts = self._logits(experts)
        of_agent = self.discriminate(windows[:size])
        (gradients,) = torch.autograd.grad(of_experts.sum(), experts, create_graph=True)
        penalty = gradients.square().flatten(1).sum(1).mean()
        loss = 0.5 * ((of_experts - 1).square().mean() + (of_agent + 1).square().mean())
        self.optimizer.zero_grad(set_to_none=True)
        (loss + self.config.penalty * penalty).backward()
        self.optimizer.step()
        return {
            "amp_loss": loss.detach(),
            "amp_experts": of_experts.detach().mean(),
            "amp_agent": of_agent.detach().mean(),
        }

    def _inputs(self, windows: np.ndarray) -> Tensor:
        device = next(self.network.parameters()).device
        return torch.from_numpy(windows).to(device).flatten(1, 2).float().mul_(1 / 255).sub_(0.5)

    def _logits(self, inputs: Tensor) -> Tensor:
        return self.network(inputs).squeeze(1)

    def get_extra_state(self) -> StateDict:
        """The optimizer's state, as a part of `state_dict`."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: StateDict) -> None:
        """The optimizer's state, as a part of `load_state_dict`."""
        self.optimizer.load_state_dict(state)
