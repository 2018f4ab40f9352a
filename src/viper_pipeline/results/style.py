"""One look for every figure; colours that colour-blind readers can tell apart (Okabe and Ito)."""

from __future__ import annotations

import io
from typing import Any

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
}
SPARE = ("#CC79A7", "#56B4E9", "#F0E442", "#999999")


def colour(name: str) -> str:
    """The colour of a method or kind of video; a newcomer gets a spare one, the same in every figure."""
    return COLOURS.get(name) or SPARE[sum(name.encode()) % len(SPARE)]


def axes(columns: int, width: float = 5.2, height: float = 3.6) -> tuple[Any, list[Any]]:
    """A figure with `columns` panels side by side."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, columns, figsize=(width * columns, height), squeeze=False, layout="constrained")
    for panel in panels[0]:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
    return figure, list(panels[0])


def as_png(figure: Any, dpi: int = 110) -> bytes:
    """The picture; equal figures give equal bytes."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()
