"""What is known of each Atari game: its ROM, its scoreboard, and the scores it is measured by (paper 4.1 and A)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Game:
    """One game. Bands are rows (first, after the last) of a frame of 64 rows that hold score, clock or lives."""

    rom: str
    bands: tuple[tuple[int, int], ...]
    random: float
    human: float


GAMES = {
    "assault": Game("assault", ((0, 4), (58, 64)), 222.4, 742.0),
    "atlantis": Game("atlantis", ((57, 64),), 12850.0, 29028.1),
    "boxing": Game("boxing", ((0, 4),), 0.1, 12.1),
    "defender": Game("defender", ((0, 3), (53, 64)), 2874.5, 18688.9),
    "freeway": Game("freeway", ((0, 4),), 0.0, 29.6),
    "kangaroo": Game("kangaroo", ((55, 64),), 52.0, 3035.0),
    "pong": Game("pong", ((0, 7),), -20.7, 14.6),
    "zaxxon": Game("zaxxon", ((0, 7),), 32.5, 9173.3),
}
"""Random and human scores as published with DQN and its successors; they normalise a score as Fig 11 does."""


def human_normalised(task: str, score: float) -> float:
    """A score on the scale on which random play is 0 and a human tester 1."""
    game = GAMES[task]
    return (score - game.random) / (game.human - game.random)
