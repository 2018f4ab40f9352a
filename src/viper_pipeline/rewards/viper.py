"""VIPER: the reward of a transition is the log-likelihood of the frame that it leads to (paper 3.2, Eqs 4 and 7).

r_t belongs to (x_t, a_t, x_{t+1}) and is ln p(x_{t+1} | x_{t-k+1}, ..., x_t), in nats summed over the frame's codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData
from viper_pipeline.envs.base import FrameSpec, blacken
from viper_pipeline.rewards.base import StoredReward
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.tokenizers.base import Tokenizer
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.training.checkpoints import StateDict
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import Scoring, Session, VideoModel
from viper_pipeline.video_models.scoring import Boundary, require_session, score_joint, score_videos, score_window


class ScaleConfig(Config):
    """How a log-likelihood becomes a reward."""

    kind: Literal["range", "standard", "none"] = Field(
        "range",
        description="range: the mean of the better baseline, random or idle, becomes 0 and that of held-out experts 1; "
        "standard: zero mean, unit deviation over all videos; none: unscaled nats (paper Eq 7)",
    )
    slope_below: float = Field(
        1.0,
        ge=0,
        le=1,
        description="slope below 0, as a fraction of the slope above. With a small one, leaving what the baselines do "
        "costs little, yet the reward still points back; 1: a straight line (paper)",
    )
    low: float | None = Field(-1.0, description="lower limit of a scaled reward; null: none")
    high: float | None = Field(1.2, description="upper limit of a scaled reward; null: none")


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


def fit_scale(config: ScaleConfig, expert: np.ndarray, *baselines: np.ndarray) -> Scale:
    """Fit to nats of the frames of held-out expert videos, and of the baselines: random and idle behavior.

    A model that finds a baseline as likely as the experts has a unit of one nat, and no use: see `gate.judge`.
    """
    expert = np.ravel(expert).astype(np.float64)
    shape = {"slope_below": config.slope_below, "low": config.low, "high": config.high}
    below = [np.ravel(nats).astype(np.float64) for nats in baselines]
    if config.kind == "none":
        return Scale(zero=0.0, unit=1.0, **shape)
    if config.kind == "range":
        zero = max(float(nats.mean()) for nats in below)
        unit = float(expert.mean()) - zero
    else:
        everything = np.concatenate([expert, *below])
        zero, unit = float(everything.mean()), float(everything.std())
    return Scale(zero=zero, unit=max(unit, 1.0), **shape)


class CachedViperStream(StoredReward):
    """As `ViperStream`, for models with a KV cache: one frame of compute per frame.

    At stride s the frames of an environment are s interleaved videos, so s sessions take turns.
    """

    def __init__(self, reward: ViperReward) -> None:
        self.reward = reward
        self.log_prob = np.zeros(0, np.float32)
        self._open = require_session(reward.model)
        self._sessions: list[Session] = []
        self._turn = 0

    def start(self, frames: np.ndarray) -> None:
        """Every environment begins an episode; frames (E, H, W, C) are its first."""
        task = self.reward.conditions(len(frames))
        self._sessions, self._turn = [self._open(task) for _ in range(self.reward.spec.stride)], 0
        with self.reward.autocast():
            self._sessions[0].step(self.reward.encode(frames))

    def restart(self, i: int, frame: np.ndarray) -> None:
        """Environment `i` alone begins a new episode with `frame` (H, W, C), in the place of its last frame."""
        for session in self._sessions:
            session.forget([i])
        with self.reward.autocast():
            self._sessions[self._turn].restart([i], self.reward.encode(frame[None]))

    def step(self, frames: np.ndarray, true_rewards: np.ndarray | None = None) -> np.ndarray:
        """frames (E, H, W, C) that the transitions led to -> their rewards (E,) float32; true_rewards are not used."""
        self._turn = (self._turn + 1) % len(self._sessions)
        codes = self.reward.encode(frames)
        with self.reward.autocast():
            nats = self._sessions[self._turn].step(codes)
        self.log_prob = nats.sum((1, 2)).cpu().numpy() - self.reward.reconstruction_penalty(frames, codes)
        return self.reward.scaled(self.log_prob)

    def step_metrics(self) -> dict[str, np.ndarray]:
        """log_prob (E,), in nats."""
        return {"log_prob": self.log_prob}

    def episode_state(self) -> StateDict:
        """The caches of the running episodes."""
        return {"turn": self._turn, "sessions": [s.state_dict() for s in self._sessions]}

    def load_episode_state(self, state: StateDict) -> None:
        """Go on in the middle of the episodes of `episode_state`."""
        self._turn, self._sessions = state["turn"], []
        for saved in state["sessions"]:
            session = self._open(self.reward.conditions(len(saved["seen"])))
            session.load_state_dict(saved)
            self._sessions.append(session)


@torch.no_grad()
def reconstruction_error(tokenizer: Tokenizer, frames: np.ndarray, codes: Tensor) -> np.ndarray:
    """|frame - reconstruction|, summed over pixels and channels in [0, 1]: (N,) float32.

    frames (N, H, W, C) uint8, masked as the tokenizer sees them; codes (N, h, w): theirs.
    """
    reconstruction = tokenizer.decode(codes).cpu().numpy()
    return (np.abs(frames.astype(np.int16) - reconstruction).sum((1, 2, 3)) / 255).astype(np.float32)


class ViperConfig(Config):
    """Which likelihood is the reward, and on what scale."""

    model: str = Field("videogpt", description="video model of the suite")
    mode: Literal["conditional", "joint"] = Field(
        "conditional",
        description="conditional: Eq 7; joint: the sum over the window, the reference code's default; "
        "the shorter windows at an episode's beginning are scaled to the length of a full one",
    )
    boundary: Boundary = Field(
        "growing",
        description="context of an episode's first frames. growing: all frames so far; repeat: the first, repeated",
    )
    scoring: Scoring = Field(
        "full_window",
        description="full_window: one forward pass over a full window per frame. half_overlap: windows overlap by "
        "half; each scores its second half. kv_cache: one frame of compute per frame (model videogpt_streaming)",
    )
    precision: Literal["32", "bf16"] = Field(
        "32", description="floating point precision of the video model while it scores"
    )
    reconstruction: float = Field(
        0.0,
        ge=0,
        description="penalty in nats per unit of |frame - reconstruction|, summed over pixels in [0, 1]; paper: 0",
    )
    scale: ScaleConfig = ScaleConfig()
    force: bool = Field(
        False, description="train agents even on a reward that evaluate_reward found unusable; see rewards/gate.py"
    )

    @model_validator(mode="after")
    def _scoring_fits(self) -> ViperConfig:
        if self.scoring != "full_window" and self.mode == "joint":
            raise ValueError(f"mode joint needs scoring full_window: {self.scoring} never scores whole windows")
        if self.scoring == "kv_cache" and self.boundary != "growing":
            raise ValueError("scoring kv_cache needs boundary growing: an episode begins with an empty cache")
        return self

    @model_validator(mode="after")
    def _joint_grows(self) -> ViperConfig:
        if self.mode == "joint" and self.boundary != "growing":
            raise ValueError("mode joint needs boundary growing: repeated frames would be counted several times")
        return self


class ViperReward:
    """Rewards of one task: log-likelihoods of frames under a frozen tokenizer and video model, scaled."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        model: VideoModel,
        task: str,
        config: ViperConfig,
        spec: FrameSpec,
        scale: Scale | None = None,
        batch: int = 64,
    ) -> None:
        """tokenizer, model: frozen, and both trained on the suite that `task` is one of.

        spec: how the frames were made that the model was trained on. scale: nats -> reward; None: unscaled nats.
        batch: windows that are scored at once. Raises BadData if the model was not trained on the task.
        """
        if task not in model.tasks:
            raise BadData(f"the video model was not trained on task '{task}', but on {', '.join(model.tasks)}")
        self.tokenizer, self.model, self.config, self.spec = tokenizer, model, config, spec
        self.task, self.scale, self.batch = task, scale, batch
        self._condition = model.conditions([task])

    @property
    def device(self) -> torch.device:
        """The device of the models."""
        return self.tokenizer.codebook.device

    def to(self, device: str) -> ViperReward:
        """Move the models."""
        for part in (self.tokenizer, self.model):
            if isinstance(part, torch.nn.Module):
                part.to(device)
        return self

    def check(self, spec: FrameSpec) -> None:
        """Raise BadData for frames that are made otherwise than those that the model was trained on."""
        live = spec.model_copy(update={"mask": self.spec.mask, "stride": self.spec.stride})
        if differences := self.spec.differences(live):
            raise BadData(
                f"the reward of {self.task} was trained on other frames than this environment makes: "
                + "; ".join(differences)
            )

    @torch.no_grad()
    def encode(self, frames: np.ndarray) -> Tensor:
        """frames (N, H, W, C) uint8, unmasked -> codes (N, h, w)."""
        return self.tokenizer.encode(torch.as_tensor(np.ascontiguousarray(blacken(frames, self.spec.mask))))

    def reconstruction_penalty(self, frames: np.ndarray, codes: Tensor) -> np.ndarray:
        """Penalty in nats (N,) for the tokenizer's reconstruction error of frames (N, H, W, C) with codes (N, h, w)."""
        if not self.config.reconstruction:
            return np.zeros(len(frames), np.float32)
        masked = blacken(frames, self.spec.mask)
        return self.config.reconstruction * reconstruction_error(self.tokenizer, masked, codes)

    def autocast(self) -> torch.autocast:
        """A context with the floating point precision of the configuration."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def conditions(self, count: int) -> Tensor:
        """(count, ...): what the model is conditioned on for this task, once per video of a batch."""
        return self._condition.to(self.device).expand(count, *self._condition.shape[1:])

    def log_prob(self, codes: Tensor, per_code: bool = False) -> Tensor:
        """codes (N, T, h, w) of whole videos at the model's stride -> nats (N, T) of every frame, on the CPU.

        With per_code=True: (N, T, h, w), the conditional score of each code, also in mode joint.
        """
        task, config, codes = self.conditions(len(codes)), self.config, codes.to(self.device)
        with self.autocast():
            if config.mode == "joint" and not per_code:
                return score_joint(self.model, codes, task, batch=self.batch).cpu()
            return score_videos(
                self.model,
                codes,
                task,
                boundary=config.boundary,
                scoring=config.scoring,
                per_code=per_code,
                batch=self.batch,
            ).cpu()

    @torch.no_grad()
    def log_prob_last(self, windows: Tensor) -> Tensor:
        """Codes (N, t, h, w), t <= window -> nats (N,) of each window's last frame, on the CPU."""
        with self.autocast():
            return self._last(windows.to(self.device)).cpu()

    def _last(self, windows: Tensor) -> Tensor:
        missing = self.model.window - windows.shape[1]
        if missing and self.config.boundary == "repeat":
            windows = torch.cat([windows[:, :1].expand(-1, missing, -1, -1), windows], 1)
        task = self.conditions(len(windows))
        if self.config.mode == "joint":
            return score_window(self.model, windows, task)
        return self.model.log_prob_last(windows, task)

    def scaled(self, nats: np.ndarray) -> np.ndarray:
        """nats -> rewards."""
        return self.scale(nats) if self.scale else np.asarray(nats, np.float32)

    def stream(self) -> ViperStream | CachedViperStream:
        """A session that scores the frames of running environments as they arrive.

        One frame at a time, `half_overlap` has nothing to share and is the same as `full_window`; `runs.update_every`
        gives it more.
        """
        return CachedViperStream(self) if self.config.scoring == "kv_cache" else ViperStream(self)


class ViperStream(StoredReward):
    """Rewards for E environments at once. Each frame is encoded once; windows are built of the latest codes."""

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

    def step(self, frames: np.ndarray, true_rewards: np.ndarray | None = None) -> np.ndarray:
        """frames (E, H, W, C) that the transitions led to -> their rewards (E,) float32; true_rewards are not used."""
        codes = self.reward.encode(frames)
        for i, code in enumerate(codes):
            self._codes[i] = torch.cat([self._codes[i], code[None]])[-self._keep :]
        windows = [past.flip(0)[:: self._stride].flip(0) for past in self._codes]
        nats = torch.zeros(len(windows))
        for length in {len(w) for w in windows}:
            rows = [i for i, w in enumerate(windows) if len(w) == length]
            nats[rows] = self.reward.log_prob_last(torch.stack([windows[i] for i in rows])).float()
        self.log_prob = nats.numpy() - self.reward.reconstruction_penalty(frames, codes)
        return self.reward.scaled(self.log_prob)

    def steps(self, frames: np.ndarray, true_rewards: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """As `step` for T steps at once: frames (T, E, H, W, C) -> rewards and log_prob (T, E).

        Frames are encoded in batches, and windows of all of them are scored together; with `scoring: half_overlap` a
        window scores several frames.
        """
        if len(frames) == 1:
            return super().steps(frames, true_rewards)
        reward, (count, envs), context = self.reward, frames.shape[:2], self.reward.model.window - 1
        flat = frames.reshape(-1, *frames.shape[2:])
        codes = torch.cat([reward.encode(flat[i : i + reward.batch]) for i in range(0, len(flat), reward.batch)])
        penalties = reward.reconstruction_penalty(flat, codes)
        new = codes.unflatten(0, (count, envs))
        tails: dict[tuple[int, int], list[tuple[np.ndarray, int, Tensor]]] = {}
        for i in range(envs):
            past, seen = torch.cat([self._codes[i], new[:, i]]), len(self._codes[i])
            for phase in range(min(self._stride, len(past))):  # at stride s, s interleaved videos
                places = np.arange(phase, len(past), self._stride)
                scored = places[places >= seen] - seen
                if len(scored):
                    tail = past[places[-(len(scored) + context) :]]
                    tails.setdefault((len(tail), len(scored)), []).append((scored, i, tail))
            self._codes[i] = past[-self._keep :]
        nats = np.zeros((count, envs), np.float32)
        for (_, last), parts in tails.items():
            found = reward.log_prob(torch.stack([tail for _, _, tail in parts]))[:, -last:].float().numpy()
            for (rows, i, _), values in zip(parts, found, strict=True):
                nats[rows, i] = values
        nats -= penalties.reshape(count, envs)
        self.log_prob = nats[-1]
        return reward.scaled(nats), {"log_prob": nats}

    def step_metrics(self) -> dict[str, np.ndarray]:
        """log_prob (E,), in nats."""
        return {"log_prob": self.log_prob}

    def episode_state(self) -> StateDict:
        """The codes of the running episodes."""
        return {"codes": list(self._codes)}

    def load_episode_state(self, state: Mapping[str, Sequence[Tensor]]) -> None:
        """Go on in the middle of the episodes of `episode_state`."""
        self._codes = list(state["codes"])


def assemble_reward(
    tokenizer: ModelArtifact, video_model: ModelArtifact, reward: ModelArtifact, task: str, batch: int = 64
) -> ViperReward:
    """The reward of `task`, of the models' folders and of what `evaluate_reward` wrote."""
    saved = reward.config
    return ViperReward(
        load_tokenizer(tokenizer),
        VIDEO_MODELS.get(saved["model"]).from_artifact(video_model),
        task,
        ViperConfig.model_validate(saved["reward"]),
        FrameSpec.model_validate(saved["specs"][task]),
        Scale.model_validate(saved["scales"][task]),
        batch,
    )
