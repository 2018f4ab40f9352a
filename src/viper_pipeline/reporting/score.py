"""`viper score`: the log-likelihood of each frame of given videos, as a table, CSV, JSON, or a picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import Json, atomic_path, check_writable
from viper_pipeline.data.importers import kind_of, read_videos
from viper_pipeline.rewards.pretrained import RewardModel
from viper_pipeline.rewards.viper import ViperReward


@dataclass(frozen=True)
class ScoredVideo:
    """A video's scores. nats (T,): ln p of each frame; rewards (T - 1,): of the transitions that lead to frames 1..

    frames uint8 (T, size, size, 3): as the model saw them, before its mask.
    """

    name: str
    task: str
    nats: np.ndarray
    rewards: np.ndarray
    frames: np.ndarray

    def as_dict(self) -> Json:
        """Plain values, for JSON."""
        numbers = {"nats": self.nats.tolist(), "rewards": self.rewards.tolist()}
        return {"video": self.name, "task": self.task, **numbers}


PICTURES = ("png", "svg", "pdf", "jpg", "webp")
"""Endings of pictures that can be drawn."""


def check_plot(path: Path) -> None:
    """Raise BadParams or BadData for a picture that cannot be drawn or written there."""
    if (ending := path.suffix.lower().lstrip(".")) and ending not in PICTURES:
        raise BadParams(f"--plot {path}: no picture ends in .{ending}; take .{', .'.join(PICTURES)}")
    check_writable(path)


def score_files(model: RewardModel, paths: Sequence[Path], task: str | None) -> list[ScoredVideo]:
    """Every video at `paths`, each a file or a folder of videos. Raises BadData for anything else.

    Frames are resized to the model's size. How the frames of a file were made cannot be checked: see the model's card.
    """
    task = model.known(task)
    reward = model.of(task)
    scored: list[ScoredVideo] = []
    for path in paths:
        for name, frames in _videos(path, reward.spec.size):
            nats = model.score(frames, task)
            scored.append(ScoredVideo(name, task, nats, reward.scaled(nats[1:]), frames))
    return scored


def _videos(path: Path, size: int) -> Iterator[tuple[str, np.ndarray]]:
    """(name, frames (T, size, size, 3)) of every video of a file or folder."""
    kind = kind_of(path)
    for number, episode in enumerate(read_videos(kind, path, size)):
        yield f"{path}" if path.is_file() and kind != "episodes" else f"{path} #{number}", episode.frames


def scores_table(scored: Sequence[ScoredVideo], each_frame: bool = True) -> str:
    """A line for each video, and, if `each_frame`, one for each of its frames."""
    lines = []
    for video in scored:
        mean, reward = video.nats[1:].mean(), video.rewards.mean()
        lines.append(
            f"{video.name}: {len(video.nats)} frames, {video.task}: {mean:.2f} nats, reward {reward:.3f} (means)"
        )
        if each_frame:
            lines.append(f"{'frame':>7} {'nats':>10} {'reward':>8}")
            lines.append(f"{0:>7} {video.nats[0]:>10.2f} {'':>8}".rstrip())
            pairs = zip(video.nats[1:], video.rewards, strict=True)
            lines += [f"{t:>7} {nats:>10.2f} {reward:>8.3f}" for t, (nats, reward) in enumerate(pairs, 1)]
    return "\n".join(lines)


def write_csv(scored: Sequence[ScoredVideo], path: Path) -> None:
    """A row for each frame: video, task, frame, nats, reward. Frame 0 belongs to no transition and has no reward."""
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("video", "task", "frame", "nats", "reward"))
        for video in scored:
            rewards = ["", *video.rewards.tolist()]
            for frame, (nats, reward) in enumerate(zip(video.nats.tolist(), rewards, strict=True)):
                writer.writerow((video.name, video.task, frame, nats, reward))


def as_json(scored: Sequence[ScoredVideo]) -> str:
    """A list with an object for each video: video, task, nats (T), rewards (T - 1)."""
    return json.dumps([video.as_dict() for video in scored], indent=1) + "\n"


def draw_scores(scored: Sequence[ScoredVideo], reward: ViperReward, path: Path) -> None:
    """Nats of each frame, one line per video, with the levels of experts and of the better baseline -> a picture."""
    from viper_pipeline.reporting.plots import COLORS, panels_of

    scale = reward.scale if reward.config.scale.kind == "range" else None  # other scales know no such levels
    figure, (panel,) = panels_of(1, width=8)
    for video in scored:
        panel.plot(np.arange(1, len(video.nats)), video.nats[1:], label=Path(video.name).name, lw=1.2)
    if scale is not None:
        panel.axhline(scale.zero + scale.unit, color=COLORS["expert"], ls="--", lw=1, label="held-out experts")
        panel.axhline(scale.zero, color=COLORS["random"], ls=":", lw=1, label="better of random and idle")
    panel.set_xlabel("frame")
    panel.set_ylabel("ln p(frame given the last), nats")
    panel.set_title(scored[0].task)
    panel.legend(fontsize=8, frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower().lstrip(".") or "png", dpi=120)
