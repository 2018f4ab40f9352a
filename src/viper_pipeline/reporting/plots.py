"""The figures: reward against time and return (Fig 5), learning curves (Figs 3 and 12)."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from viper_pipeline.envs.atari import GAMES, human_normalised
from viper_pipeline.envs.base import Rect, blacken
from viper_pipeline.reporting.metrics import interval
from viper_pipeline.reporting.results import Floors, RunResult

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
        f"tester, {game.human:g}). Episodes may be cut short by suites.atari.env.max_frames; the published "
        "scores are of whole games."
    )


EVERY = 4
"""Frames of the film that become one of the page's."""
FILM_COLORS = 32
"""Of films and strips of frames."""
QUALITY = 50
"""Of WebP, for frames: a tenth of the bytes, and a loss that is seen only beside the original."""
WIDEST = 100
"""Pixels; wider films were enlarged when they were made, and the page enlarges them again."""


def smaller(film: bytes) -> bytes:
    """A GIF with every fourth frame at four times the time, at half the size if it was enlarged."""
    source = Image.open(io.BytesIO(film))
    shrink = 2 if source.width > WIDEST else 1
    frames, duration = [], int(source.info.get("duration", 50))
    for number, frame in enumerate(ImageSequence.Iterator(source)):
        if number % EVERY == 0:
            whole = frame.convert("RGB")
            size = (whole.width // shrink, whole.height // shrink)
            frames.append(whole.resize(size, Image.Resampling.NEAREST).quantize(FILM_COLORS, dither=Image.Dither.NONE))
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration * EVERY, loop=0)
    return buffer.getvalue()


def flatter(picture: bytes) -> bytes:
    """A PNG in few colours: a strip of frames at half its bytes."""
    buffer = io.BytesIO()
    few = Image.open(io.BytesIO(picture)).convert("RGB").quantize(FILM_COLORS, dither=Image.Dither.NONE)
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def compact(picture: bytes) -> bytes:
    """A PNG as WebP: exactly, as line drawings deserve, unless half the bytes do for it nearly, as for frames."""
    source = Image.open(io.BytesIO(picture)).convert("RGB")
    exact, nearly = io.BytesIO(), io.BytesIO()
    source.save(exact, "WEBP", lossless=True)
    source.save(nearly, "WEBP", quality=QUALITY)
    return exact.getvalue() if len(exact.getvalue()) < 2 * len(nearly.getvalue()) else nearly.getvalue()


COLOURS = {
    "viper": "#009E73",
    "oracle": "#555555",
    "exploration": "#E69F00",
    "random": "#D55E00",
    "idle": "#0072B2",
    "expert": "#000000",
    "paper": "#CC79A7",
    "held_out": "#009E73",
    "contrast": "#56B4E9",
    "amp": "#56B4E9",
    "amp_multi": "#CC79A7",
    "reference": "#009E73",
}
SPARE = ("#CC79A7", "#56B4E9", "#F0E442", "#999999")


def colour(name: str) -> str:
    """The colour of a method or kind of video; a newcomer gets a spare one, the same in every figure."""
    return COLOURS.get(name) or SPARE[sum(name.encode()) % len(SPARE)]


def axes(columns: int, width: float = 5.2, height: float = 3.6) -> tuple[Any, list[Any]]:
    """A figure with `columns` panels side by side."""
    return panels_of(columns, columns, width, height)


def panels_of(count: int, columns: int, width: float = 5.2, height: float = 3.6) -> tuple[Any, list[Any]]:
    """A figure with `count` panels, `columns` in a row; width and height of one, in inches."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams.update({"axes.titlesize": 10, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8})
    rows = -(-count // columns)
    size = (width * columns, height * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    panels = list(grid.flat)
    for panel in panels[count:]:
        panel.set_visible(False)
    for panel in panels[:count]:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
    return figure, panels[:count]


def show_frames(panel: Any, image: np.ndarray, title: str) -> None:
    """A picture (H, W, 3) in a panel without axes, its pixels as squares."""
    panel.imshow(image, interpolation="nearest")
    panel.set_title(title, fontsize=8)
    panel.axis("off")


def as_png(figure: Any, dpi: int = 90, colours: int = 64) -> bytes:
    """The picture in few colours, to be small; equal figures give equal bytes. The figure is gone after it."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    plt.close(figure)
    small = io.BytesIO()
    picture = Image.open(buffer).convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    picture.save(small, "PNG", optimize=True)
    return small.getvalue()


def as_svg(figure: Any) -> bytes:
    """The lines, for print, to a tenth of a point; equal figures give equal bytes. The figure stays."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "viper", "svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    figure.set_layout_engine("none")  # everything has its place now; finding it takes longer than drawing
    rounded = re.sub(rb"\d+\.\d{2,}", lambda number: b"%.1f" % float(number[0]), buffer.getvalue())
    return re.sub(rb"\n\s+", b"\n", re.sub(rb' d="([MLz\d\s.-]+)"', _steps, rounded))


def _steps(path: re.Match[bytes]) -> bytes:
    """Lines through points as lines by steps, which take half the space: M 10.1 20 L 10.9 19.8 -> m10.1 20l.8 -.2."""
    words, found = iter(path[1].split()), []
    begin = last = (0, 0)
    for command in words:
        if command == b"z":
            found.append("z")  # the pen is back where this part began
            last = begin
            continue
        place = round(10 * float(next(words))), round(10 * float(next(words)))
        found.append(command.decode().lower() + " ".join(_tenths(a - b) for a, b in zip(place, last, strict=True)))
        last = place
        begin = place if command == b"M" else begin
    return f' d="{"".join(found)}"'.encode()


def _tenths(count: int) -> str:
    return re.sub(r"^(-?)0\.", r"\1.", f"{count / 10:g}")


def draw_reward_figure(
    task: str,
    scores: Mapping[str, Sequence[np.ndarray]],
    returns: Mapping[str, np.ndarray],
    mode: str = "conditional",
) -> bytes:
    """Left: nats per step of held-out, random and idle videos. Right: true return against episode mean (Fig 5).

    mode: `reward.mode`, of what the nats are: a frame, or a whole window.
    """
    figure, (left, right) = axes(2)
    plot_along_video(left, task, scores)
    plot_against_return(right, scores, returns)
    if mode == "joint":
        left.set_ylabel("ln p(window), nats")
        right.set_ylabel("mean nats a window")
    return as_png(figure)


def plot_along_video(panel: Any, task: str, scores: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Nats of each frame: mean over videos, and the span of most of them."""
    for kind in ("held_out", "random", "idle"):
        if kind not in scores:
            continue
        length = min(len(v) for v in scores[kind])
        rows = np.stack([v[1:length] for v in scores[kind]])
        steps = np.arange(1, length)
        panel.plot(steps, rows.mean(0), color=colour(kind), label=f"{kind.replace('_', ' ')} ({len(rows)} videos)")
        panel.fill_between(steps, *np.quantile(rows, [0.1, 0.9], axis=0), color=colour(kind), alpha=0.15, lw=0)
    panel.set(xlabel="frame", ylabel="ln p(frame | earlier), nats", title=f"{task}: mean, and 10 to 90 % of videos")
    panel.legend(frameon=False, fontsize=8)


def plot_against_return(
    panel: Any, scores: Mapping[str, Sequence[np.ndarray]], returns: Mapping[str, np.ndarray]
) -> None:
    """A dot a video: true return, mean nats."""
    for kind, values in returns.items():
        if kind == "train":
            continue
        means = [v[1:].mean() for v in scores[kind]]
        panel.scatter(values, means, s=18, color=colour(kind), label=kind.replace("_", " "), alpha=0.8)
    panel.set(xlabel="true return of the episode", ylabel="mean nats a frame", title="each dot is a video")
    panel.legend(frameon=False, fontsize=8)


def on_common_steps(runs: Sequence[RunResult]) -> tuple[np.ndarray, np.ndarray]:
    """(steps (S,), returns (seeds, S)): every seed's curve on the union of their steps, where all seeds have one.

    Between its own evaluations a curve is interpolated linearly; nothing is carried past a seed's last evaluation.
    """
    first = max(float(run.steps[0]) for run in runs)
    last = min(float(run.steps[-1]) for run in runs)
    steps = np.unique(np.concatenate([run.steps for run in runs]))
    steps = steps[(steps >= first) & (steps <= last)]
    return steps, np.stack([np.interp(steps, run.steps, run.returns) for run in runs])


def draw_learning_curves(task: str, runs: Sequence[RunResult], floors: Floors) -> bytes:
    """True return of evaluation episodes against agent steps: mean and 95 % interval over seeds, each seed, floors."""
    figure, (left, right) = axes(2)
    several = len({run.agent for run in runs}) > 1
    for number, (agent, method) in enumerate(dict.fromkeys((run.agent, run.method) for run in runs)):
        mine = [run for run in runs if (run.agent, run.method) == (agent, method)]
        name = f"{method}, {agent}" if several else method
        ink, dashes = colour(method), "-" if agent == runs[0].agent else "-."
        for run in mine:
            left.plot(run.steps, run.returns, color=ink, lw=0.7, alpha=0.5, ls=dashes)
        steps, returns = on_common_steps(mine)
        seeds = "1 seed, no band" if len(mine) == 1 else f"{len(mine)} seeds"
        left.plot(steps, returns.mean(0), color=ink, lw=2.2, ls=dashes, label=f"{name} ({seeds})")
        if len(mine) > 1 and len(steps):
            band = np.array([interval([[x] for x in column]) for column in returns.T])
            left.fill_between(steps, band[:, 0], band[:, 1], color=ink, alpha=0.15, lw=0)
        low, high = interval([run.final_returns for run in mine])
        final = float(np.mean([np.mean(run.final_returns) for run in mine]))
        errors = [[max(final - low, 0)], [max(high - final, 0)]]
        right.errorbar([final], [number], xerr=errors, fmt="o", color=ink, capsize=4)
        right.plot([np.mean(run.final_returns) for run in mine], [number] * len(mine), "|", color=ink, ms=14)
        right.text(final, number + 0.16, f"{name}: {final:.0f}", color=ink, ha="center", va="bottom", fontsize=9)
    for name, value in (("random", floors.random), ("idle", floors.idle), ("expert", floors.expert)):
        if value is not None and not np.isnan(value):
            line = "--" if name == "expert" else ":"
            left.axhline(value, color=colour(name), ls=line, lw=1.2, label=name)
            right.axvline(value, color=colour(name), ls=line, lw=1.2)
    left.set(xlabel="agent steps", ylabel="true return", title=f"{task}: evaluation episodes on the way")
    left.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8, handlelength=3)
    episodes = min(run.judged for run in runs)
    right.set(xlabel="true return", title=f"the end: 95 % interval, {episodes} fresh episodes a seed")
    right.set(yticks=[], ylim=(-0.6, len({(run.agent, run.method) for run in runs}) - 0.2))
    right.set_xlim(left=min(0.0, right.get_xlim()[0]) if right.dataLim.x0 < 0 else 0.0)
    return as_png(figure)


def embed(content: bytes) -> str:
    """A GIF, or a PNG made smaller, as a data URL."""
    kind, content = ("gif", content) if content[:3] == b"GIF" else ("webp", compact(content))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
