"""Scores of held-out, random and perturbed videos: does the reward rank experts first? (paper 4.2, Fig 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from viper_pipeline.rewards.scores import EvaluationConfig, Scores, perturbed
from viper_pipeline.rewards.viper import ViperReward


def score_episodes(reward: ViperReward, videos: Sequence[Tensor]) -> list[np.ndarray]:
    """videos: codes (T, h, w), of any lengths -> nats (T,) of each. Videos of one length are scored together."""
    scores: list[np.ndarray] = [np.zeros(0)] * len(videos)
    for length in sorted({len(v) for v in videos}):
        rows = [i for i, v in enumerate(videos) if len(v) == length]
        nats = reward.log_prob(torch.stack([videos[i] for i in rows])).float().numpy()
        for i, row in zip(rows, nats, strict=True):
            scores[i] = row
    return scores


def score_kinds(
    reward: ViperReward,
    kinds: Mapping[str, Sequence[Tensor]],
    config: EvaluationConfig,
    seed: int,
    penalties: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> Scores:
    """Score every kind of video, and perturbed versions of `held_out`.

    kinds: codes (T, h, w) of videos, by kind. penalties: nats (T,) to subtract from each frame of each video, by kind;
    None: nothing is subtracted.
    """
    rows_of: dict[str, list[tuple[str, int, np.ndarray]]] = {
        kind: [(kind, i, np.arange(len(v))) for i, v in enumerate(videos)] for kind, videos in kinds.items()
    }
    for number, codes in enumerate(kinds["held_out"][: config.episodes]):
        for name, index in perturbed(len(codes), config.freeze_at, seed + number).items():
            rows_of.setdefault(name, []).append(("held_out", number, index))
    scores = {
        name: score_episodes(reward, [kinds[kind][i][torch.as_tensor(index)] for kind, i, index in rows])
        for name, rows in rows_of.items()
    }
    if penalties is not None:
        for name, rows in rows_of.items():
            scores[name] = [
                s - penalties[kind][i][index] for s, (kind, i, index) in zip(scores[name], rows, strict=True)
            ]
    return scores


def pack(
    task: str, scores: Scores, returns: Mapping[str, np.ndarray], frames: Scores | None = None
) -> dict[str, Tensor]:
    """Nats of each kind's videos, concatenated, with the videos' lengths and true returns, as named tensors.

    frames: where `scores` are of windows, those of single frames.
    """
    packed = {}
    for kind, rows in scores.items():
        packed[f"{task}/{kind}/nats"] = torch.as_tensor(np.concatenate(rows), dtype=torch.float32)
        if frames:
            packed[f"{task}/{kind}/frame_nats"] = torch.as_tensor(np.concatenate(frames[kind]), dtype=torch.float32)
        packed[f"{task}/{kind}/lengths"] = torch.tensor([len(row) for row in rows])
        if kind in returns:
            packed[f"{task}/{kind}/returns"] = torch.as_tensor(returns[kind], dtype=torch.float64)
    return packed


STRIP_FRAMES = 10  # per video in the still picture
FILM_FRAMES = 50  # per video in the animation, every second one
MAX_PERCENTILE = 99.0  # of surprise, over all frames shown: the end of the color map


def surprise(reward: ViperReward, frames: np.ndarray) -> np.ndarray:
    """frames (T, H, W, C) uint8 of a video -> minus the nats of each code, enlarged to the frames: (T, H, W)."""
    nats = reward.log_prob(reward.encode(frames)[None], per_code=True)[0].float()
    size = frames.shape[1:3]
    return -torch.nn.functional.interpolate(nats[None], size, mode="bilinear", align_corners=False)[0].numpy()


def surprise_rows(
    videos: Mapping[str, np.ndarray],
    surprises: Mapping[str, np.ndarray],
    begin: int = 0,
    every: int = 5,
    count: int = STRIP_FRAMES,
) -> list[np.ndarray]:
    """kind -> a video (T, H, W, C), and its surprise (T, H, W) -> two rows per kind: frames, and maps over gray frames.

    All rows share one color scale, so that kinds can be compared; bright is surprising. Rows are (count, H, W, 3), or
    shorter where a video ends.
    """
    shown = slice(begin, begin + count * every, every)
    maps = {kind: surprises[kind][shown] for kind in videos}
    low = min(m.min() for m in maps.values())
    high = np.percentile(np.concatenate(list(maps.values())), MAX_PERCENTILE)
    colors = matplotlib.colormaps["inferno"]
    rows = []
    for kind, video in videos.items():
        gray = np.stack([np.asarray(Image.fromarray(f).convert("L").convert("RGB")) for f in video[shown]])
        tint = (255 * colors((maps[kind] - low) / max(high - low, 1e-6))[..., :3]).astype(np.uint8)
        rows += [video[shown], (gray // 3 + tint // 3 * 2).astype(np.uint8)]
    return rows


def surprise_film(videos: Mapping[str, np.ndarray], surprises: Mapping[str, np.ndarray]) -> np.ndarray:
    """The same as an animation (T, 2 H, kinds W, 3): kinds side by side, frames above maps, as long as the shortest."""
    rows = surprise_rows(videos, surprises, every=2, count=FILM_FRAMES)
    length = min(len(row) for row in rows)
    columns = [
        np.concatenate([above[:length], below[:length]], 1) for above, below in zip(rows[::2], rows[1::2], strict=True)
    ]
    return np.concatenate(columns, 2)
