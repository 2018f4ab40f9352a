"""Where a frame surprises the reward: the log-likelihood of each code, laid over the frames (paper A.6, Figs 16-18)."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
import torch
from PIL import Image

from viper_pipeline.rewards.viper import ViperReward

SHOWN = 10  # frames of a video on a strip
FILMED = 50  # and on film, every second one
DARKEST = 99.0  # percentile of surprise, over all that is shown, that gets the end of the colour map


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
    count: int = SHOWN,
) -> list[np.ndarray]:
    """kind -> a video (T, H, W, C), and its surprise (T, H, W) -> two rows a kind: frames, and maps over grey frames.

    The colours of all rows have one scale, so that kinds can be compared; bright is surprising. Rows (count, H, W, 3),
    shorter where a video ends.
    """
    shown = slice(begin, begin + count * every, every)
    maps = {kind: surprises[kind][shown] for kind in videos}
    low = min(m.min() for m in maps.values())
    high = np.percentile(np.concatenate(list(maps.values())), DARKEST)
    colours = matplotlib.colormaps["inferno"]
    rows = []
    for kind, video in videos.items():
        grey = np.stack([np.asarray(Image.fromarray(f).convert("L").convert("RGB")) for f in video[shown]])
        tint = (255 * colours((maps[kind] - low) / max(high - low, 1e-6))[..., :3]).astype(np.uint8)
        rows += [video[shown], (grey // 3 + tint // 3 * 2).astype(np.uint8)]
    return rows


def surprise_film(videos: Mapping[str, np.ndarray], surprises: Mapping[str, np.ndarray]) -> np.ndarray:
    """The same as a film (T, 2 H, kinds W, 3): kinds side by side, frames above maps, as long as the shortest video."""
    rows = surprise_rows(videos, surprises, every=2, count=FILMED)
    length = min(len(row) for row in rows)
    columns = [
        np.concatenate([above[:length], below[:length]], 1) for above, below in zip(rows[::2], rows[1::2], strict=True)
    ]
    return np.concatenate(columns, 2)
