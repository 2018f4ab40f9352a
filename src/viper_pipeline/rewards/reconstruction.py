"""What codes leave out: a tokenizer that has only seen experts may decode a strange frame as a familiar one.

The likelihood of codes is then fooled. Taken off it, in nats, the error of decoding is the other half of a frame's
likelihood: ln p(x | earlier) = ln p(codes | earlier) + ln p(x | codes), where pixels are Laplace about their
reconstruction. The paper has no such term.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


@torch.no_grad()
def reconstruction_error(tokenizer: Any, frames: np.ndarray, codes: Tensor) -> np.ndarray:
    """|frame - what its codes decode to|, summed over pixels and channels in [0, 1]: (N,), float32.

    frames (N, H, W, C) uint8 as the tokenizer sees them, masked; codes (N, h, w).
    """
    again = tokenizer.decode(codes).cpu().numpy()
    return (np.abs(frames.astype(np.int16) - again).sum((1, 2, 3)) / 255).astype(np.float32)
