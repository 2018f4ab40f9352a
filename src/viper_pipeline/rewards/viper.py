"""VIPER: the reward of a transition is the log-likelihood of the frame it leads to (paper 3.2, Eqs 4 and 7).

r_t belongs to (x_t, a_t, x_{t+1}) and is ln p(x_{t+1} | x_{t-k+1}, ..., x_t), in nats summed over the frame's codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from viper_pipeline.configs import Config
from viper_pipeline.errors import BadData
from viper_pipeline.rewards.reconstruction import reconstruction_error
from viper_pipeline.rewards.rolling import RollingStream
from viper_pipeline.rewards.standardise import Scale, ScaleConfig
from viper_pipeline.suites.frames import FrameSpec, blacken
from viper_pipeline.video_models.base import VideoModel
from viper_pipeline.video_models.scoring import Boundary, Way, score_joint, score_videos, score_window


class ViperConfig(Config):
    """Which likelihood is the reward, and on what scale."""

    model: str = Field("videogpt", description="video model of the suite")
    mode: Literal["conditional", "joint"] = Field(
        "conditional",
        description="conditional: Eq 7; joint: the window's sum, the reference code's default; "
        "an episode's first windows are short, and stretched to the size of a whole one",
    )
    boundary: Boundary = Field(
        "growing",
        description="context of an episode's first frames: those there are, or the first one repeated",
    )
    way: Way = Field(
        "exact",
        description="exact: a window a frame; strided: a window some frames; streaming: a frame a frame (banded)",
    )
    precision: Literal["32", "bf16"] = Field("32", description="arithmetic of the video model while it scores")
    reconstruction: float = Field(
        0.0,
        ge=0,
        description="nats taken off per unit of |frame - reconstruction|, summed over pixels in [0, 1]; paper: 0",
    )
    scale: ScaleConfig = ScaleConfig()

    @model_validator(mode="after")
    def _ways_fit(self) -> ViperConfig:
        if self.way != "exact" and self.mode == "joint":
            raise ValueError(f"mode joint has way exact: way {self.way} never scores whole windows")
        if self.way == "streaming" and self.boundary != "growing":
            raise ValueError("way streaming has boundary growing: an episode begins with an empty cache")
        return self

    @model_validator(mode="after")
    def _joint_grows(self) -> ViperConfig:
        if self.mode == "joint" and self.boundary != "growing":
            raise ValueError("mode joint has boundary growing: repeated frames would be counted again and again")
        return self


class ViperReward:
    """Scores of frames under a frozen tokenizer and video model, for one task."""

    def __init__(
        self,
        tokenizer: Any,
        model: VideoModel,
        task: str,
        config: ViperConfig,
        spec: FrameSpec,
        scale: Scale | None = None,
        batch: int = 64,
    ) -> None:
        """spec: the frame specification that the model was trained on; scale: None for plain nats."""
        if task not in model.tasks:
            raise BadData(f"the video model knows no task '{task}': it was trained on {', '.join(model.tasks)}")
        self.tokenizer, self.model, self.config, self.spec = tokenizer, model, config, spec
        self.task, self.scale, self.batch = task, scale, batch
        self._task_id = model.tasks.index(task)

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return self.tokenizer.codebook.device

    def to(self, device: str) -> ViperReward:
        """Move the models."""
        self.tokenizer.to(device)
        self.model.to(device)  # type: ignore[attr-defined]
        return self

    def check(self, spec: FrameSpec) -> None:
        """Refuse frames that were made in another way than those the model was trained on."""
        live = spec.model_copy(update={"mask": self.spec.mask, "stride": self.spec.stride})
        if differences := self.spec.differences(live):
            raise BadData(
                f"the reward of {self.task} was trained on other frames than this environment makes: "
                + "; ".join(differences)
            )

    @torch.no_grad()
    def encode(self, frames: np.ndarray) -> Tensor:
        """frames (N, H, W, C) uint8, unmasked -> codes (N, h, w)."""
        return self.tokenizer.encode(blacken(frames, self.spec.mask))

    def doubt(self, frames: np.ndarray, codes: Tensor) -> np.ndarray:
        """Nats (N,) to take off the likelihood of frames (N, H, W, C), for what their codes leave out."""
        if not self.config.reconstruction:
            return np.zeros(len(frames), np.float32)
        shown = blacken(frames, self.spec.mask)
        return self.config.reconstruction * reconstruction_error(self.tokenizer, shown, codes)

    def precisely(self) -> torch.autocast:
        """The arithmetic that the configuration asks for."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def task_ids(self, count: int) -> Tensor:
        """(count,): the task's id, for every video of a batch."""
        return torch.full((count,), self._task_id, device=self.device)

    def log_prob(self, codes: Tensor, per_code: bool = False) -> Tensor:
        """codes (N, T, h, w) of whole videos at the model's stride -> nats (N, T) of every frame, or of every code,
        on the CPU.

        There are no codes' shares of a joint score: per_code is always conditional.
        """
        task, config, codes = self.task_ids(len(codes)), self.config, codes.to(self.device)
        with self.precisely():
            if config.mode == "joint" and not per_code:
                return score_joint(self.model, codes, task, batch=self.batch).cpu()
            return score_videos(
                self.model, codes, task, boundary=config.boundary, way=config.way, per_code=per_code, batch=self.batch
            ).cpu()

    @torch.no_grad()
    def log_prob_last(self, windows: Tensor) -> Tensor:
        """windows (N, t <= window, h, w) of codes -> nats (N,) of the frame each ends in, on the CPU."""
        with self.precisely():
            return self._last(windows.to(self.device)).cpu()

    def _last(self, windows: Tensor) -> Tensor:
        missing = self.model.window - windows.shape[1]
        if missing and self.config.boundary == "repeat":
            windows = torch.cat([windows[:, :1].expand(-1, missing, -1, -1), windows], 1)
        task = self.task_ids(len(windows))
        if self.config.mode == "joint":
            return score_window(self.model, windows, task)
        return self.model.log_prob_last(windows, task)

    def scaled(self, nats: np.ndarray) -> np.ndarray:
        """nats -> rewards."""
        return self.scale(nats) if self.scale else np.asarray(nats, np.float32)

    def stream(self) -> ViperStream | RollingStream:
        """A session that scores the frames of running environments as they arrive.

        One frame at a time, `strided` has nothing to share and is `exact`.
        """
        return RollingStream(self) if self.config.way == "streaming" else ViperStream(self)


class ViperStream:
    """Rewards for E environments at once. Each frame is encoded once; a window is built from cached codes."""

    def __init__(self, reward: ViperReward) -> None:
        self.reward = reward
        self.log_prob = np.zeros(0, np.float32)
        self._codes: list[Tensor] = []
        stride, window = reward.spec.stride, reward.model.window
        self._stride, self._keep = stride, (window - 1) * stride + 1

    def start(self, frames: np.ndarray) -> None:
        """Every environment begins an episode; frames (E, H, W, C) are its first."""
        self._codes = list(self.reward.encode(frames)[:, None])

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` alone begins a new episode with `frame` (H, W, C)."""
        self._codes[i] = self.reward.encode(frame[None])

    def step(self, frames: np.ndarray) -> np.ndarray:
        """frames (E, H, W, C) that the transitions led to -> their rewards (E,), float32."""
        arrived = self.reward.encode(frames)
        for i, code in enumerate(arrived):
            self._codes[i] = torch.cat([self._codes[i], code[None]])[-self._keep :]
        windows = [codes.flip(0)[:: self._stride].flip(0) for codes in self._codes]
        nats = torch.zeros(len(windows))
        for length in {len(w) for w in windows}:
            rows = [i for i, w in enumerate(windows) if len(w) == length]
            nats[rows] = self.reward.log_prob_last(torch.stack([windows[i] for i in rows])).float()
        self.log_prob = nats.numpy() - self.reward.doubt(frames, arrived)
        return self.reward.scaled(self.log_prob)

    def state_dict(self) -> dict[str, Any]:
        """The codes of the running episodes."""
        return {"codes": list(self._codes)}

    def load_state_dict(self, state: Mapping[str, Sequence[Tensor]]) -> None:
        """Go on in the middle of the episodes of `state_dict`."""
        self._codes = list(state["codes"])
