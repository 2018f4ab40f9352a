"""A block whose attention is laid out by its caller: masks, keys from elsewhere, and times as rotations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from viper_pipeline.video_models.transformer import Block


class OpenBlock(Block):
    """The same weights as `Block`, in two halves: tokens to queries, keys, values; and what comes of attending."""

    def project(self, x: Tensor, task: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, L, D), task (B,) -> queries, keys and values (B, heads, L, D / heads)."""
        B, L, D = x.shape
        q, k, v = self.qkv(self.norm1(x, task)).view(B, L, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        return q, k, v

    def attend(self, x: Tensor, task: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D) and its queries against any keys (B, heads, M, ...) that `mask` (..., L, M) lets through."""
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + F.dropout(self.out(a.transpose(1, 2).flatten(2)), self.dropout, self.training)
        hidden = F.silu(1.702 * self.up(self.norm2(x, task))) / 1.702
        return x + F.dropout(self.down(hidden), self.dropout, self.training)


class Rotation:
    """Turns one half of each head by an angle that grows with time: attention then sees differences of time only.

    The other half is left alone; it matches content and place whatever the time.
    """

    LONGEST = 100.0  # the slowest pair turns by about one radian in so many frames

    def __init__(self, times: Tensor, size: int, dtype: torch.dtype = torch.float32) -> None:
        """times (..., L): frame numbers of tokens; size: width of a head, a multiple of 4."""
        rates = self.LONGEST ** -torch.linspace(0, 1, size // 4, device=times.device)
        angles = times.float().unsqueeze(-1) * rates
        self.cos, self.sin = angles.cos().to(dtype), angles.sin().to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """x (..., L, size) -> the same, turned."""
        a, b, rest = x.split((x.shape[-1] // 4, x.shape[-1] // 4, x.shape[-1] - 2 * (x.shape[-1] // 4)), -1)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.cat([a * cos - b * sin, a * sin + b * cos, rest], -1)
