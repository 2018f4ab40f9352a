"""`viper score --overlay`: videos with the model's surprise drawn on them, as one .mp4 or .gif.

Surprise is -ln p. Each frame is tinted where the model did not expect its codes. Below it runs the surprise of whole
frames, with the present one marked. All videos share one color scale and one axis, so they can be compared. Pillow and
PyAV draw and write, so this works in the smallest installation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import atomic_path, check_writable
from viper_pipeline.reporting.films import write_mp4
from viper_pipeline.reporting.score import ScoredVideo
from viper_pipeline.rewards.pretrained import RewardModel
from viper_pipeline.training.progress import Progress, silent

ENDINGS = (".mp4", ".gif")
COLUMNS = 4
"""Videos side by side; more begin a new row."""
MOST = 16
"""Videos in one film."""
SIDE = 256
"""Pixels of an enlarged frame."""
CURVE = 72
"""Rows of the curve, below a line of text."""
TEXT = 14
"""Rows of the line of text above the frame, and of that above the curve."""
MARGIN = 4
TINT = (255, 45, 0)
STRENGTH = 0.65
"""Share of the tint where surprise is greatest."""
PERCENTILES = (50.0, 99.0)
"""Of surprise, over all codes of all videos: where the tint begins, and where it ends."""
FRAMES_PER_SECOND = 20
COLORS = 64
"""Of a GIF."""


def check_overlay(path: Path, sources: Mapping[Path, Sequence[int]] | None = None) -> None:
    """Raise BadParams or BadData for a film that cannot be written, before any work.

    sources: the frames of each video at each place, as far as they are known.
    """
    if path.suffix.lower() not in ENDINGS:
        raise BadParams(f"--overlay {path}: give a name that ends in {' or '.join(ENDINGS)}")
    check_writable(path)
    count = sum(len(lengths) or 1 for lengths in (sources or {}).values())
    if count > MOST:
        raise BadParams(f"--overlay {path}: {count} videos do not fit side by side; give at most {MOST}")


def draw_overlay(scored: Sequence[ScoredVideo], model: RewardModel, path: Path, progress: Progress = silent) -> None:
    """All videos in one film, side by side; a video that is over shows its last frame. Raises BadParams as above."""
    check_overlay(path, {Path(f"{number}"): () for number in range(len(scored))})
    length, work = max(len(video.frames) for video in scored), sum(len(video.frames) for video in scored)
    maps, done = [], 0
    progress(done, work + length)
    for video in scored:
        maps.append(model.surprise(video.frames, video.task))
        progress(done := done + len(video.frames), work + length)
    begin, end = (np.mean([np.percentile(m, p) for m in maps]) for p in PERCENTILES)
    curves = [-video.nats[1:] for video in scored]
    low, high = min(float(c.min()) for c in curves), max(float(c.max()) for c in curves)
    panels = [
        _panels(video, (m - begin) / max(end - begin, 1e-6), (low, max(high, low + 1e-6)))
        for video, m in zip(scored, maps, strict=True)
    ]
    film = _film(panels, length, lambda drawn: progress(work + drawn, work + length))
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".gif":
            pictures = (Image.fromarray(picture).quantize(COLORS) for picture in film)
            next(pictures).save(
                temporary, "GIF", save_all=True, append_images=pictures, duration=1000 // FRAMES_PER_SECOND, loop=0
            )
        else:
            write_mp4(film, temporary, FRAMES_PER_SECOND)


def _film(panels: Sequence[Iterator[np.ndarray]], length: int, drawn: Callable[[int], None]) -> Iterator[np.ndarray]:
    """Every picture (height, width, 3) of the film, one at a time: a whole film would not fit into memory."""
    columns, last = min(COLUMNS, len(panels)), [next(panel) for panel in panels]
    for t in range(length):
        last = [next(panel, shown) if t else shown for panel, shown in zip(panels, last, strict=True)]
        tiles = [*last, *[np.zeros_like(last[0])] * (-len(last) % columns)]
        yield np.concatenate([np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)])
        drawn(t + 1)


def _panels(video: ScoredVideo, heat: np.ndarray, limits: tuple[float, float]) -> Iterator[np.ndarray]:
    """The panel of one video at each frame, uint8 (height, SIDE + 2 MARGIN, 3). heat (T, h, w): 1 is full tint."""
    width, top = SIDE + 2 * MARGIN, TEXT + SIDE
    base = Image.new("RGB", (width, top + TEXT + CURVE + MARGIN), "black")
    surprises = -video.nats[1:]
    x = MARGIN + (SIDE - 1) * np.arange(len(surprises)) / max(len(surprises) - 1, 1)
    y = top + TEXT + (CURVE - 1) * (1 - (surprises - limits[0]) / (limits[1] - limits[0]))
    points = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    draw = ImageDraw.Draw(base)
    draw.text((MARGIN, 1), _short(Path(video.name).name), fill="white")
    draw.line(points if len(points) > 1 else points * 2, fill=(150, 150, 150), width=1)
    for t, frame in enumerate(video.frames):
        picture = base.copy()
        draw = ImageDraw.Draw(picture)
        picture.paste(_tinted(frame, heat[t]), (MARGIN, TEXT))
        reward = f", reward {video.rewards[t - 1]:.2f}" if t else ""
        draw.text((MARGIN, top + 1), f"frame {t}: {-video.nats[t]:.1f} nats of surprise{reward}", fill="white")
        if t:
            across, down = points[t - 1]
            draw.line([(across, top + TEXT), (across, top + TEXT + CURVE)], fill=(90, 90, 90), width=1)
            draw.ellipse([across - 3, down - 3, across + 3, down + 3], fill=TINT)
        yield np.asarray(picture)


def _tinted(frame: np.ndarray, heat: np.ndarray) -> Image.Image:
    """A frame (H, W, 3) of SIDE pixels; heat (h, w) in units of full tint is blended smoothly over its pixels."""
    large = Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    share = Image.fromarray((255 * STRENGTH * np.clip(heat, 0, 1)).astype(np.uint8))
    tint = Image.new("RGB", large.size, TINT)
    return Image.composite(tint, large, share.resize(large.size, Image.Resampling.BILINEAR))


def _short(name: str, most: int = 40) -> str:
    return name if len(name) <= most else f"{name[: most - 3]}..."
