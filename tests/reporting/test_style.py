"""Figures as bytes."""

from __future__ import annotations

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from viper_pipeline.reporting.plots import (
    FORMATS,
    MOST_POINTS,
    color_of,
    figure_files,
    method_of,
    method_style,
    plot_along_video,
    small_svg,
    thinned,
)
from viper_pipeline.rewards.base import REWARDS


def drawn():
    figure, panel = plt.subplots(figsize=(3, 2))
    panel.plot(np.linspace(0, 1, 200), np.linspace(0, 1, 200) ** 2)
    panel.set_title("a title")
    return figure


def test_figures_are_fit_for_print_and_equal_figures_give_equal_bytes() -> None:
    one, two = (figure_files("x", drawn(), tuple(FORMATS)) for _ in range(2))
    assert one == two and set(one) == {"x.png", "x.svg", "x.pdf"}
    picture = Image.open(io.BytesIO(one["x.png"]))
    assert picture.size == (600, 400) and picture.mode == "RGB"  # 3 by 2 inches
    assert b"a title" in one["x.svg"] and one["x.svg"].rstrip().endswith(b"</svg>")
    assert b"prefers-color-scheme: dark" in one["x.svg"] and one["x.pdf"].startswith(b"%PDF")
    assert not any(word in content for content in one.values() for word in (b"CreationDate", b"<dc:date>"))


def test_frames_in_an_svg_are_small_and_nearly_exact() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    figure, panel = plt.subplots()
    panel.imshow(frame, interpolation="none")
    panel.axis("off")
    svg = figure_files("x", figure, ("svg",))["x.svg"]
    found = re.findall(rb"data:image/(\w+);base64,([^\"]+)", svg)
    assert [kind for kind, _ in found] == [b"jpeg"]
    again = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[0][1])))).astype(int)
    assert again.shape == frame.shape and abs(again - frame).mean() < 8


def test_a_line_keeps_its_points_without_a_letter_for_each_and_curves_keep_theirs() -> None:
    drawing = b'd="M 1 2 \nL 3.255 4 \nL 5 6 \nQ 1 1 2 2 \nL 7 7 \nL 8 -8 \nz"'
    assert small_svg(drawing) == b'd="M 1 2 3.25 4 5 6 \nQ 1 1 2 2 \nL 7 7 8 -8 \nz"'


def test_what_many_parts_look_like_stands_once_but_for_colors_that_change_on_a_dark_page() -> None:
    many, dark, few = b"fill: #d55e00", b"stroke: #000000", b"font-family: 'DejaVu Sans'"
    parts = b"".join(b'<use style="%s"/>' % style for style in [many] * 4 + [dark] * 4 + [few] * 3)
    small = small_svg(b"<style>* { }</style>" + parts)
    assert small.count(b'<use class="s0"/>') == 4 and small.count(many) == 1
    assert small.count(b'<use style="%s"/>' % dark) == 4 and small.count(b'<use style="%s"/>' % few) == 3
    assert b".s0 { fill: #d55e00 }</style>" in small


def test_long_videos_are_drawn_by_means_and_the_axis_says_of_how_many_frames() -> None:
    rows = np.arange(2 * 250.0).reshape(2, 250)
    steps, means, width = thinned(np.arange(1, 251), rows)
    assert width == 3 and means.shape == (2, 83) and len(steps) == 83 <= MOST_POINTS
    np.testing.assert_array_equal(means[:, 0], [1, 251])
    np.testing.assert_array_equal(steps[:2], [2, 5])
    short = thinned(np.arange(1, 91), rows[:, :90])
    assert short[2] == 1 and np.array_equal(short[1], rows[:, :90])
    for length, says in ((252, "frame (means of 3 in a row)"), (91, "frame")):
        _, panel = plt.subplots()
        plot_along_video(panel, "a", {"held_out": [np.zeros(length)], "random": [np.zeros(60)]})
        assert panel.get_xlabel() == says


def test_every_method_has_a_label_and_a_color_and_unknown_ones_are_shown_under_their_name() -> None:
    assert all(method_of(method_style(name).label) == name for name in REWARDS.names())
    assert method_style("newcomer").label == "newcomer" and color_of("newcomer") == color_of("newcomer")
    assert color_of("viper") == method_style("viper").color != color_of("random")
