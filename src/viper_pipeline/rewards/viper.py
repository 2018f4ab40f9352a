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

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData
from viper_pipeline.envs.base import FrameSpec, blacken
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import VideoModel
from viper_pipeline.video_models.scoring import Boundary, Way, require_session, score_joint, score_videos, score_window
from viper_pipeline.video_models.videogpt_streaming import Session


class ScaleConfig(Config):
    """How a log-likelihood becomes a reward."""

    kind: Literal["range", "standard", "none"] = Field(
        "range",
        description="range: the mean of the better floor, random or idle, becomes 0 and that of held-out experts 1; "
        "standard: zero mean, unit deviation over all; none: nats as they are (paper Eq 7)",
    )
    slope_below: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the slope that is left below 0. Small: to move on from what the floors do costs little, "
        "yet the way back shows; 1: a straight line (paper)",
    )
    low: float | None = Field(-1.0, description="floor of a scaled reward; null: none")
    high: float | None = Field(1.2, description="ceiling of a scaled reward; null: none")


class Scale(Config):
    """reward = clip(bend((nats - zero) / unit), low, high), where bend(x) = x above 0, slope_below x below."""

    zero: float
    unit: float = Field(gt=0)
    slope_below: float = 1.0
    low: float | None
    high: float | None

    def __call__(self, nats: np.ndarray) -> np.ndarray:
        """nats of any shape -> rewards of that shape, float32."""
        scaled = (np.asarray(nats, np.float64) - self.zero) / self.unit
        scaled = np.where(scaled < 0, self.slope_below * scaled, scaled)
        if self.low is not None or self.high is not None:
            scaled = np.clip(scaled, self.low, self.high)
        return scaled.astype(np.float32)


def fit_scale(config: ScaleConfig, expert: np.ndarray, *floors: np.ndarray) -> Scale:
    """Fit to per-frame nats of held-out expert videos, and of the floors: random behaviour, idle behaviour.

    A model that finds a floor as likely as experts has no scale: the unit is then kept at one nat at least, and the
    rewards stay near zero.
    """
    expert = np.ravel(expert).astype(np.float64)
    shape = {"slope_below": config.slope_below, "low": config.low, "high": config.high}
    below = [np.ravel(floor).astype(np.float64) for floor in floors]
    if config.kind == "none":
        return Scale(zero=0.0, unit=1.0, **shape)
    if config.kind == "range":
        zero = max(float(floor.mean()) for floor in below)
        unit = float(expert.mean()) - zero
    else:
        everything = np.concatenate([expert, *below])
        zero, unit = float(everything.mean()), float(everything.std())
    return Scale(zero=zero, unit=max(unit, 1.0), **shape)


class RollingStream:
    """What `ViperStream` does, for E environments at once and models that keep a session.

    At stride s the frames of an environment are s interleaved videos, so there are s sessions that take turns.
    """

    def __init__(self, reward: ViperReward) -> None:
        self.reward = reward
        self.log_prob = np.zeros(0, np.float32)
        self._open = require_session(reward.model)
        self._sessions: list[Session] = []
        self._turn = 0

    def start(self, frames: np.ndarray) -> None:
        """Every environment begins an episode; frames (E, H, W, C) are its first."""
        task = self.reward.task_ids(len(frames))
        self._sessions, self._turn = [self._open(task) for _ in range(self.reward.spec.stride)], 0
        with self.reward.precisely():
            self._sessions[0].step(self.reward.encode(frames))

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` alone begins a new episode with `frame` (H, W, C), in the place of its last frame."""
        for session in self._sessions:
            session.forget([i])
        with self.reward.precisely():
            self._sessions[self._turn].restart([i], self.reward.encode(frame[None]))

    def step(self, frames: np.ndarray) -> np.ndarray:
        """frames (E, H, W, C) that the transitions led to -> their rewards (E,), float32."""
        self._turn = (self._turn + 1) % len(self._sessions)
        arrived = self.reward.encode(frames)
        with self.reward.precisely():
            nats = self._sessions[self._turn].step(arrived)
        self.log_prob = nats.sum((1, 2)).cpu().numpy() - self.reward.doubt(frames, arrived)
        return self.reward.scaled(self.log_prob)

    def state_dict(self) -> dict[str, Any]:
        """The caches of the running episodes."""
        return {"turn": self._turn, "sessions": [s.state_dict() for s in self._sessions]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on in the middle of the episodes of `state_dict`."""
        self._turn, self._sessions = state["turn"], []
        for kept in state["sessions"]:
            session = self._open(self.reward.task_ids(len(kept["seen"])))
            session.load_state_dict(kept)
            self._sessions.append(session)


@torch.no_grad()
def reconstruction_error(tokenizer: Any, frames: np.ndarray, codes: Tensor) -> np.ndarray:
    """|frame - what its codes decode to|, summed over pixels and channels in [0, 1]: (N,), float32.

    frames (N, H, W, C) uint8 as the tokenizer sees them, masked; codes (N, h, w).
    """
    again = tokenizer.decode(codes).cpu().numpy()
    return (np.abs(frames.astype(np.int16) - again).sum((1, 2, 3)) / 255).astype(np.float32)


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


def load_reward(
    tokenizer: Directory, video_model: Directory, reward: Directory, task: str, batch: int = 64
) -> ViperReward:
    """The reward of `task`, as an agent uses it."""
    kept = reward.config
    return ViperReward(
        load_tokenizer(tokenizer),
        VIDEO_MODELS.get(kept["model"]).from_directory(video_model),
        task,
        ViperConfig.model_validate(kept["reward"]),
        FrameSpec.model_validate(kept["specs"][task]),
        Scale.model_validate(kept["scales"][task]),
        batch,
    )
