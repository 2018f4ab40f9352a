"""One look for every figure; colours that colour-blind readers can tell apart (Okabe and Ito)."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from PIL import Image

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
