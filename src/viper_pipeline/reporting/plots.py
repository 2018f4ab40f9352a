"""The figures of a suite's page: reward along videos and against return (Fig 5), learning curves, masks.

Also the panels, colors and labels that all figures share, and pictures as bytes: PNG, SVG, PDF, data URLs.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from PIL import Image

from viper_pipeline.data.episode import png
from viper_pipeline.envs.base import Rect, blacken
from viper_pipeline.reporting.results import Baselines, RunResult
from viper_pipeline.reporting.statistics import FEWEST, half_width, t_interval
from viper_pipeline.rewards.base import REWARDS
from viper_pipeline.rewards.scores import experts_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class MethodStyle(NamedTuple):
    """How figures and tables show a method."""

    label: str  # in figures; also the paper's name of the method
    color: str
    text: str  # where its reward comes from


BASELINE_TEXTS = {"random": "random actions", "idle": "zero action", "expert": "the expert videos"}
COLORS = {
    "random": "#D55E00",
    "idle": "#0072B2",
    "expert": "#000000",
    "paper": "#CC79A7",
    "held_out": "#009E73",
    "test": "#009E73",
    "contrast": "#56B4E9",
    "reference": "#009E73",
}
"""Of baselines and kinds of videos. The palette is Okabe and Ito's."""
SPARE_COLORS = ("#CC79A7", "#56B4E9", "#F0E442", "#999999")
MASK_COLUMNS = 8


def method_style(name: str) -> MethodStyle:
    """As its reward says; a method that is not registered is shown under its name, in a spare color.

    name: of a method, or of a column, which adds in brackets what else made its runs.
    """
    method, space, other = name.partition(" [")
    if method in REWARDS.names():
        # asked for each, so that figures depend on these words and not on the rewards' code
        label, color, text = REWARDS.get(method).label, REWARDS.get(method).color, REWARDS.get(method).description
        return MethodStyle(f"{label}{space}{other}", color, text)
    return MethodStyle(name, SPARE_COLORS[sum(method.encode()) % len(SPARE_COLORS)], "")


def method_of(label: str) -> str:
    """The method that the paper's figures call `label`."""
    return next((name for name in REWARDS.names() if method_style(name).label == label), label)


def color_of(name: str) -> str:
    """The color of a method, a baseline or a kind of video; the same in every figure."""
    return COLORS.get(name) or method_style(name).color


def panels_of(count: int, columns: int = 0, width: float = 5.2, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, `columns` per row (0: one row); width and height of one panel in inches."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams.update(STYLE)
    columns = columns or count
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


def legend_below(panel: Axes, columns: int = 3) -> None:
    """The legend of one panel, below its axes: nothing of what is drawn is covered."""
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns, columnspacing=1.2)


def show_frames(panel: Axes, image: np.ndarray, title: str) -> None:
    """A picture (H, W, 3) in a panel without axes, its pixels as squares."""
    panel.imshow(image, interpolation="none")
    panel.set_title(title, fontsize=8)
    panel.axis("off")


def draw_reward_figure(
    task: str,
    scores: Mapping[str, Sequence[np.ndarray]],
    returns: Mapping[str, np.ndarray],
    mode: str = "conditional",
) -> Figure:
    """Left: nats per step of held-out, random and idle videos. Right: true return against episode mean (Fig 5).

    mode: `reward.mode`, of what the nats are: a frame, or a whole window.
    """
    figure, (left, right) = panels_of(2)
    plot_along_video(left, task, scores)
    plot_against_return(right, scores, returns)
    if mode == "joint":
        left.set_ylabel("ln p(window), nats")
        right.set_ylabel("mean nats per window")
    return figure


MOST_POINTS = 100
"""Of a line along a video; a longer video's line is of means of a few frames in a row."""


def plot_along_video(panel: Axes, task: str, scores: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Nats of frames: mean over videos, and the span of most of them; of experts, random and idle behavior.

    A point is a frame, or in long videos the mean of as many in a row as the axis says.
    """
    together = 1
    for kind in (experts_of(scores), "random", "idle"):
        if kind not in scores:
            continue
        length = min(len(v) for v in scores[kind])
        rows = np.stack([v[1:length] for v in scores[kind]])
        steps, rows, width = thinned(np.arange(1, length), rows)
        together = max(together, width)
        panel.plot(steps, rows.mean(0), color=color_of(kind), label=f"{kind.replace('_', ' ')} ({len(rows)} videos)")
        panel.fill_between(steps, *np.quantile(rows, [0.1, 0.9], axis=0), color=color_of(kind), alpha=0.15, lw=0)
    frames = "frame" if together == 1 else f"frame (means of {together} in a row)"
    panel.set(xlabel=frames, ylabel="ln p(frame | earlier), nats", title=f"{task}: mean, and 10 to 90 % of videos")
    legend_below(panel)


def thinned(steps: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """steps (T,), rows (N, T) -> means of equal stretches, at most MOST_POINTS of them, and the stretch's length.

    What is left over at the end is left out.
    """
    width = max(1, -(-len(steps) // MOST_POINTS))
    whole = len(steps) // width * width
    return steps[:whole].reshape(-1, width).mean(1), rows[:, :whole].reshape(len(rows), -1, width).mean(2), width


def plot_against_return(
    panel: Axes, scores: Mapping[str, Sequence[np.ndarray]], returns: Mapping[str, np.ndarray]
) -> None:
    """One dot per video: true return, and mean nats per frame."""
    for kind, values in returns.items():
        if kind == "train":
            continue
        means = [v[1:].mean() for v in scores[kind]]
        panel.scatter(values, means, s=18, color=color_of(kind), label=kind.replace("_", " "), alpha=0.8)
    panel.set(xlabel="true return of the episode", ylabel="mean nats per frame", title="each dot is a video")
    legend_below(panel)


class Curve(Protocol):
    """Returns over steps."""

    @property
    def steps(self) -> np.ndarray:
        """(S,) agent steps."""
        ...

    @property
    def returns(self) -> np.ndarray:
        """(S,) returns."""
        ...


def on_common_steps(runs: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """(steps (S,), returns (seeds, S)): every seed's curve on the union of their steps, where all seeds have one.

    Between its own evaluations a curve is interpolated linearly; nothing is carried past a seed's last evaluation.
    """
    first = max(float(run.steps[0]) for run in runs)
    last = min(float(run.steps[-1]) for run in runs)
    steps = np.unique(np.concatenate([run.steps for run in runs]))
    steps = steps[(steps >= first) & (steps <= last)]
    return steps, np.stack([np.interp(steps, run.steps, run.returns) for run in runs])


def draw_learning_curves(task: str, runs: Sequence[RunResult], baselines: Baselines) -> Figure:
    """True return of evaluation episodes against agent steps: mean, 95 % t-interval, each seed, and baselines.

    One line per agent and column: runs of other code or machines have a line of their own.
    """
    figure, (left, right) = panels_of(2)
    several = len({run.agent for run in runs}) > 1
    lines = list(dict.fromkeys((run.agent, run.column) for run in runs))
    for number, (agent, column) in enumerate(lines):
        mine = [run for run in runs if (run.agent, run.column) == (agent, column)]
        label = method_style(column).label
        name = f"{label}, {agent}" if several else label
        ink, dashes = color_of(column), ":" if mine[0].other else "-" if agent == runs[0].agent else "-."
        for run in mine:
            left.plot(run.steps, run.returns, color=ink, lw=0.7, alpha=0.5, ls=dashes)
        steps, returns = on_common_steps(mine)
        seeds = "1 seed" if len(mine) == 1 else f"{len(mine)} seeds"
        left.plot(steps, returns.mean(0), color=ink, lw=2.2, ls=dashes, label=f"{name} ({seeds})")
        shade_interval(left, steps, returns, ink, 0.15)
        values = [run.final_return for run in mine]
        final, ends = float(np.mean(values)), t_interval(values)
        errors = [[final - ends[0]], [ends[1] - final]] if ends else None
        right.errorbar([final], [number], xerr=errors, fmt="o", color=ink, capsize=4)
        right.plot(values, [number] * len(mine), "|", color=ink, ms=14)
        right.text(final, number + 0.16, f"{name}: {final:.4g}", color=ink, ha="center", va="bottom", fontsize=9)
    for kind, value in (("random", baselines.random), ("idle", baselines.idle), ("expert", baselines.expert)):
        if value is not None and not np.isnan(value):
            style = "--" if kind == "expert" else ":"
            left.axhline(value, color=color_of(kind), ls=style, lw=1.2, label=kind)
            right.axvline(value, color=color_of(kind), ls=style, lw=1.2)
    left.set(xlabel="agent steps", ylabel="true return", title=f"{task}: evaluation episodes on the way")
    figure.legend(loc="outside lower center", ncols=3)
    episodes = min(run.final_episodes for run in runs)
    right.set(xlabel="true return", title=f"the end: seeds, mean, 95 % t-interval; {episodes} fresh episodes per seed")
    right.set(yticks=[], ylim=(-0.6, len(lines) - 0.2))
    right.set_xlim(left=min(0.0, right.get_xlim()[0]) if right.dataLim.x0 < 0 else 0.0)
    return figure


def shade_interval(panel: Axes, x: np.ndarray, values: np.ndarray, ink: str, alpha: float = 0.2) -> None:
    """Shade the 95 % t-interval of the mean of values (seeds, S) over x (S,), if there are seeds for one."""
    if len(values) >= FEWEST and len(x):
        middle, half = values.mean(0), half_width(values)
        panel.fill_between(x, middle - half, middle + half, color=ink, alpha=alpha, lw=0)


def draw_mask_examples(plain: np.ndarray, experts: np.ndarray, mask: Sequence[Rect]) -> bytes:
    """Rows: unmasked frames (N, H, W, 3) of random play; the same frames as models see them; frames of experts."""

    def across(frames: np.ndarray) -> np.ndarray:
        return np.concatenate(list(frames[np.linspace(0, len(frames) - 1, MASK_COLUMNS).astype(int)]), 1)

    return png(np.concatenate([across(plain), across(blacken(plain, list(mask))), across(experts)]), 2)


DPI = 200
"""Of pictures as PNG: enough for print."""
STYLE: Any = {
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 3,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "viper",
    "image.interpolation": "none",
}
"""Of matplotlib, for every figure. Text stays text in PDF and SVG, and frames have their own pixels there."""


WIDEST = 2000
"""Pixels, of a picture on a page. The file beside the page has all of them."""
QUALITY = 86
"""Of WebP and JPEG, for frames: a loss that is not seen."""


def decode_picture(content: bytes) -> np.ndarray:
    """A PNG as (H, W, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


FORMATS: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Format -> what is not said of when and by which program a file was made."""
VECTOR = ("svg", "pdf")
"""The formats of what is committed: `viper figures --draw` writes pictures as well."""
NIGHT = (
    "@media (prefers-color-scheme: dark) {"
    ' text, [style*="fill: #000000"] { fill: #e6e9ee !important }'
    ' [style*="fill: #ffffff"] { fill: #171b21 !important }'
    ' [style*="stroke: #000000"] { stroke: #e6e9ee !important }'
    ' [style*="stroke: #555555"] { stroke: #a9b1bd !important }'
    ' [style*="stroke: #ffffff"] { stroke: #171b21 !important } }'
)
"""Colors of an SVG on a dark page."""
INKS = (b"#000000", b"#ffffff", b"#555555")
"""Those that change there, of a part with a style of its own."""
SEVERAL = 4
"""Parts that look alike, for which a class is shorter than what they look like."""


def figure_files(stem: str, figure: Figure, formats: Sequence[str] = VECTOR) -> dict[str, bytes]:
    """The figure as `stem` in each of `FORMATS` that is asked for; equal figures give equal bytes. It is closed."""
    import matplotlib
    import matplotlib.pyplot as plt

    made: dict[str, bytes] = {}
    with matplotlib.rc_context(STYLE):
        for ending in formats:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=ending, dpi=DPI, metadata=FORMATS[ending])
            figure.set_layout_engine("none")  # everything has its place now: finding it takes longer than drawing
            made[f"{stem}.{ending}"] = REFINED.get(ending, bytes)(buffer.getvalue())
    plt.close(figure)
    return made


def small_png(picture: bytes) -> bytes:
    """The same pixels without transparency, packed as small as PNG goes."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


STRAIGHT = re.compile(rb"[ML] [-\d.]+ [-\d.]+(?: \nL [-\d.]+ [-\d.]+)+")
"""Points of a straight line in an SVG. What follows the first of them without a letter is a point of it, too."""


def small_svg(drawing: bytes) -> bytes:
    """An SVG of matplotlib that is dark on a dark page, made smaller.

    Places are given to a hundredth of a point, which halves drawings, a line's points without a letter for each, and
    what many parts look like once. Frames are JPEG; the PDF has them exactly.
    """
    dark = re.sub(rb"(\.\d\d)\d+", rb"\1", drawing).replace(b"</style>", f"{NIGHT}</style>".encode(), 1)
    dark = _shared_looks(STRAIGHT.sub(lambda line: line[0].replace(b" \nL ", b" "), dark))
    return re.sub(rb"data:image/png;base64,([^\"]+)", _smaller_frames, dark)


def _shared_looks(drawing: bytes) -> bytes:
    """An SVG in which a style that stands at several parts is a class, unless it changes on a dark page."""
    styles = Counter(re.findall(rb' style="([^"]*)"', drawing))
    shared = [style for style, count in styles.items() if count >= SEVERAL and not any(ink in style for ink in INKS)]
    for number, style in enumerate(shared):
        drawing = drawing.replace(b' style="%s"' % style, b' class="s%d"' % number)
        drawing = drawing.replace(
            b"</style>", b".s%d { %s }</style>" % (number, html.unescape(style.decode()).encode()), 1
        )
    return drawing


def _smaller_frames(found: re.Match[bytes]) -> bytes:
    """A PNG's data URL in an SVG, or that of a JPEG where it is smaller and nothing shines through."""
    source = Image.open(io.BytesIO(base64.b64decode(found[1])))
    if source.mode == "RGBA" and source.getchannel("A").getextrema() != (255, 255):
        return found[0]
    buffer = io.BytesIO()
    source.convert("RGB").save(buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    url = b"data:image/jpeg;base64," + base64.b64encode(buffer.getvalue())
    return url if len(url) < len(found[0]) else found[0]


REFINED: dict[str, Callable[[bytes], bytes]] = {"png": small_png, "svg": small_svg}


def compact(picture: bytes, widest: int = WIDEST) -> bytes:
    """A PNG as WebP of at most so many pixels across: exact for line drawings, nearly so for frames."""
    source = Image.open(io.BytesIO(picture)).convert("RGB")
    if source.width > widest:
        source = source.resize((widest, round(source.height * widest / source.width)), Image.Resampling.LANCZOS)
    exact, lossy = io.BytesIO(), io.BytesIO()
    source.save(exact, "WEBP", lossless=True)
    source.save(lossy, "WEBP", quality=QUALITY)
    return exact.getvalue() if len(exact.getvalue()) < 2 * len(lossy.getvalue()) else lossy.getvalue()


def embed(content: bytes) -> str:
    """A WebP, or a PNG made smaller, as a data URL."""
    webp = content if content[:4] == b"RIFF" else compact(content)
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"
