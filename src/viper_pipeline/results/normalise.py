"""Returns on a scale on which tasks of a suite may be averaged (paper 4.3 and Fig 3)."""

from __future__ import annotations

from viper_pipeline.suites.atari_games import GAMES, human_normalised

UNITS = {
    "dmc": "return / 1000",
    "atari": "human-normalised score",
    "rlbench": "success rate",
    "tabletop": "success rate",
}
"""What 1 stands for: the most a task can return, a human tester, success. Returns of other suites stay as they are."""


def normalised(suite: str, task: str, value: float) -> float:
    """A return on the suite's scale; the paper averages DMC's plain returns, which is the same times 1000."""
    if suite == "dmc":
        return value / 1000.0
    if suite == "atari" and task in GAMES:
        return human_normalised(task, value)
    return value


def unit(suite: str) -> str:
    """The scale's name."""
    return UNITS.get(suite, "return")
