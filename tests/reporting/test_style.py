"""Small pictures: lines by steps go where the lines through points went."""

from __future__ import annotations

import re
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from viper_pipeline.reporting.plots import _steps, as_svg

TENTHS = st.integers(-9999, 9999).map(lambda n: n / 10)
PARTS = st.lists(st.tuples(st.lists(st.tuples(TENTHS, TENTHS), min_size=1), st.booleans()), min_size=1, max_size=4)


def walked(path: str) -> list[tuple[float, float]]:
    """The points of a path of steps."""
    here, begin, points = np.zeros(2), np.zeros(2), []
    for command, numbers in re.findall(r"([mlz])([^mlz]*)", path):
        if command == "z":
            here = begin
            continue
        here = here + np.array([float(n) for n in numbers.split()])
        begin = here if command == "m" else begin
        points.append((round(float(here[0]), 1), round(float(here[1]), 1)))
    return points


@settings(max_examples=50, deadline=None)
@given(PARTS)
def test_steps_lead_through_the_same_points(parts) -> None:
    words, expected = [], []
    for points, closed in parts:
        for i, (x, y) in enumerate(points):
            words.append(f"{'L' if i else 'M'} {x} {y} ")
            expected.append((x, y))
        words += ["z"] if closed else []
    path = "\n".join(words).encode()
    found = re.fullmatch(rb' d="(.*)"', _steps(re.fullmatch(rb' d="([^"]*)"', b' d="' + path + b'"')))
    assert walked(found[1].decode()) == expected


def test_a_drawing_is_whole_and_the_same_again() -> None:
    def drawn() -> bytes:
        figure, panel = plt.subplots(figsize=(3, 2))
        panel.plot(np.linspace(0, 1, 200), np.linspace(0, 1, 200) ** 2)
        panel.set_title("a title")
        svg = as_svg(figure)
        plt.close(figure)
        return svg

    svg = drawn()
    assert svg == drawn() and b"a title" in svg and svg.rstrip().endswith(b"</svg>")
    lines = [walked(d.decode()) for d in re.findall(rb' d="(m[^"]*)"', svg)]
    curve = max(lines, key=len)
    assert len(curve) > 20 and all(a <= b for (a, _), (b, _) in pairwise(curve))
