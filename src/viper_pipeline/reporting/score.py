"""`viper score`: the log-likelihood of each frame of given videos, as a table, CSV, JSON, or a picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import Json, atomic_path, check_writable
from viper_pipeline.data.importers import kind_of, read_videos
from viper_pipeline.data.importers.film_sizes import expected_frames
from viper_pipeline.data.importers.folders import files_of
from viper_pipeline.rewards.pretrained import RewardModel
from viper_pipeline.rewards.viper import ViperReward
from viper_pipeline.training.progress import Progress, silent


@dataclass(frozen=True)
class ScoredVideo:
    """A video's scores. nats (T,): ln p of each frame; rewards (T - 1,): of the transitions that lead to frames 1..

    frames uint8 (T, size, size, 3): as the model saw them, before its mask; (0, size, size, 3) if they were not kept.
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


LEGEND = 10
"""Videos that a plot names; more are drawn in gray."""
PICTURES = ("png", "svg", "pdf", "jpg", "webp")
"""Endings of pictures that can be drawn."""


def check_plot(path: Path) -> None:
    """Raise BadParams or BadData for a picture that cannot be drawn or written there."""
    if (ending := path.suffix.lower().lstrip(".")) and ending not in PICTURES:
        raise BadParams(f"--plot {path}: no picture ends in .{ending}; take .{', .'.join(PICTURES)}")
    check_writable(path)


def check_sources(paths: Sequence[Path]) -> dict[Path, list[int]]:
    """Frames of each video at each of `paths`, as the files say; [] where they do not.

    Raises BadData for what is not there, is mixed or cannot be opened: before any work.
    """
    return {path: expected_frames(kind_of(path), path) for path in paths}


def score_files(
    model: RewardModel,
    paths: Sequence[Path],
    task: str | None,
    progress: Progress = silent,
    keep_frames: bool = True,
) -> list[ScoredVideo]:
    """Every video at `paths`, each a file or a folder of videos. Raises BadData for anything else.

    Frames are resized to the model's size. How the frames of a file were made cannot be checked: see the model's card.
    keep_frames: an overlay needs them; without them, memory does not grow with the number of videos. progress counts
    frames, or places where these do not say how many frames they hold.
    """
    task = model.known(task)
    reward, sizes = model.of(task), check_sources(paths)
    counted = all(sizes.values())
    total, done = sum(map(sum, sizes.values())) if counted else len(sizes), 0
    progress(0, total)
    scored: list[ScoredVideo] = []
    for path, lengths in sizes.items():
        for number, (name, frames) in enumerate(_videos(path, reward.spec.size)):
            nats = model.score(frames, task)
            kept = frames if keep_frames else frames[:0].copy()
            scored.append(ScoredVideo(name, task, nats, reward.scaled(nats[1:]), kept))
            if counted and number < len(lengths):
                done += lengths[number]
                progress(done, total, Path(name).name)
        done += not counted
        if not counted:
            progress(done, total, path.name)
    return scored


def _videos(path: Path, size: int) -> Iterator[tuple[str, np.ndarray]]:
    """(name, frames (T, size, size, 3)) of every video of a file or folder; its name is that of its file."""
    kind = kind_of(path)
    files = files_of(kind, path) if kind in ("npz", "video") else ()
    for number, episode in enumerate(read_videos(kind, path, size)):
        yield f"{files[number]}" if files else f"{path} #{number}", episode.frames


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


def as_csv(scored: Sequence[ScoredVideo]) -> str:
    """A row for each frame: video, task, frame, nats, reward. Frame 0 belongs to no transition and has no reward."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("video", "task", "frame", "nats", "reward"))
    for video in scored:
        rewards = ["", *video.rewards.tolist()]
        for frame, (nats, reward) in enumerate(zip(video.nats.tolist(), rewards, strict=True)):
            writer.writerow((video.name, video.task, frame, nats, reward))
    return text.getvalue()


def as_json(scored: Sequence[ScoredVideo]) -> str:
    """A list with an object for each video: video, task, nats (T), rewards (T - 1)."""
    return json.dumps([video.as_dict() for video in scored], indent=1) + "\n"


def draw_scores(scored: Sequence[ScoredVideo], reward: ViperReward, path: Path) -> None:
    """Nats of each frame, one line per video, with the levels of experts and of the better baseline -> a picture.

    More than LEGEND videos are one bundle of thin gray lines.
    """
    from viper_pipeline.reporting.plots import COLORS, panels_of

    scale = reward.scale if reward.config.scale.kind == "range" else None  # other scales know no such levels
    figure, (panel,) = panels_of(1, width=8)
    many = len(scored) > LEGEND
    for number, video in enumerate(scored):
        label = Path(video.name).name if not many else None if number else f"each of {len(scored)} videos"
        look: dict[str, Any] = {"color": "#777777", "lw": 0.6, "alpha": 0.5} if many else {"lw": 1.2}
        panel.plot(np.arange(1, len(video.nats)), video.nats[1:], label=label, **look)
    if scale is not None:
        panel.axhline(scale.zero + scale.unit, color=COLORS["expert"], ls="--", lw=1, label="held-out experts")
        panel.axhline(scale.zero, color=COLORS["random"], ls=":", lw=1, label="better of random and idle")
    panel.set_xlabel("frame")
    panel.set_ylabel("ln p(frame given the last), nats")
    panel.set_title(scored[0].task)
    panel.legend(fontsize=8, frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower().lstrip(".") or "png", dpi=120)
