"""Experts made wrong: a reward of behaviour must tell them from the originals (paper 4.2 and 4.4).

A frozen video looks expert in every frame and goes nowhere; shuffled and reversed ones have the right frames in the
wrong order. What a model says of them shows which short cuts an agent could find.
"""

from __future__ import annotations

import numpy as np


def perturbed(length: int, freeze_at: tuple[int, ...], seed: int) -> dict[str, np.ndarray]:
    """For videos of `length` frames: name -> the index (length,) of the frame shown at each step.

    `frozen_S` plays the expert up to step S and then stands still; `frozen_0` never moves at all.
    """
    steps = np.arange(length)
    indices = {f"frozen_{s}": np.minimum(steps, s) for s in freeze_at if s < length - 1}
    indices["shuffled"] = np.random.default_rng(seed).permutation(length)
    indices["reversed"] = steps[::-1].copy()
    return indices
