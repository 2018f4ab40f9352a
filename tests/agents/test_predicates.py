"""Bundles of steps and the moments they pass."""

from __future__ import annotations

import pytest

from viper_pipeline.agents.train import Passed


@pytest.mark.parametrize("bundle", [1, 3, 7, 40, 400])
def test_every_multiple_is_noticed_once_whatever_the_bundle(bundle):
    due, step, noticed = Passed(10, 100), 0, 0
    while step < 100:
        before, step = step, step + bundle
        noticed += due(before, step)
        assert due(before, step) == any(m <= step for m in range(10, 101, 10) if m > before)
    assert due(before, step), "the last step is always a moment"
    assert noticed <= 10 and (bundle > 10 or noticed == 10)


def test_no_period_is_only_the_last():
    assert [Passed(0, 5)(step, step + 1) for step in range(7)] == [False] * 4 + [True] + [False] * 2
