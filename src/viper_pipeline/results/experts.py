"""What an expert set shows, what its mask hides (paper 4.2), and how good it is on the scale of Fig 11."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from viper_pipeline.suites.atari_games import GAMES, human_normalised
from viper_pipeline.suites.frames import Rect, blacken

COLUMNS = 8


def draw_masks(plain: np.ndarray, experts: np.ndarray, mask: Sequence[Rect]) -> bytes:
    """Rows: unmasked frames (N, H, W, 3) of random play; the same frames as models see them; frames of experts."""

    def row(frames: np.ndarray) -> np.ndarray:
        return np.concatenate(list(frames[np.linspace(0, len(frames) - 1, COLUMNS).astype(int)]), 1)

    picture = np.concatenate([row(plain), row(blacken(plain, list(mask))), row(experts)])
    return png(picture, 2)


def png(picture: np.ndarray, times: int) -> bytes:
    """A picture (H, W, 3), every pixel `times` as large."""
    height, width = picture.shape[:2]
    buffer = io.BytesIO()
    Image.fromarray(picture).resize((width * times, height * times), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def in_words(suite: str, task: str, floors: Mapping[str, Any]) -> Iterator[str]:
    """The expert set against random play and against people."""
    if suite != "atari" or floors["expert_return"] is None:
        return
    expert, random = floors["expert_return"], floors["random_return"]
    game = GAMES[task]
    yield (
        f"Expert set: mean score {expert:.1f}, random play {random:.1f}; human-normalised "
        f"{human_normalised(task, expert):.2f} (0 is random play as published, {game.random:g}; 1 is a human "
        f"tester, {game.human:g}). Episodes may be cut short by suites.atari.frames.max_frames; the published "
        "scores are of whole games."
    )
