"""Figures as bytes."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from viper_pipeline.reporting.plots import color_of, figure_svg, figure_webp, method_of, method_style
from viper_pipeline.rewards.base import REWARDS


def drawn():
    figure, panel = plt.subplots(figsize=(3, 2))
    panel.plot(np.linspace(0, 1, 200), np.linspace(0, 1, 200) ** 2)
    panel.set_title("a title")
    return figure


@pytest.mark.parametrize("encode", [figure_webp, figure_svg])
def test_equal_figures_give_equal_bytes(encode) -> None:
    one, two = encode(drawn()), encode(drawn())
    plt.close("all")
    assert one == two
    if encode is figure_svg:
        assert b"a title" in one and one.rstrip().endswith(b"</svg>")
    else:
        assert Image.open(io.BytesIO(one)).size == (270, 180)


def test_every_method_has_a_label_and_a_color_and_unknown_ones_are_shown_under_their_name() -> None:
    assert all(method_of(method_style(name).label) == name for name in REWARDS.names())
    assert method_style("newcomer").label == "newcomer" and color_of("newcomer") == color_of("newcomer")
    assert color_of("viper") == method_style("viper").color != color_of("random")
