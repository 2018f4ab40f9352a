"""Transformer blocks whose layer normalizations have their own gain and bias per condition (paper 4.1)."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viper_pipeline.training.initialization import initialize_as_flax, lecun_normal, without_decay


class ConditionalNorm(nn.Module):
    """Layer normalization with one gain and one bias vector per condition id."""

    def __init__(self, width: int, conditions: int) -> None:
        super().__init__()
        self.width = width
        self.gain = nn.Parameter(torch.zeros(conditions, width))
        self.bias = nn.Parameter(torch.zeros(conditions, width))
        without_decay(self.gain, self.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, L, D), condition ids (B,) -> (B, L, D)."""
        x = F.layer_norm(x, (self.width,), eps=1e-6)
        return torch.addcmul(self.bias[condition].unsqueeze(1), x, 1 + self.gain[condition].unsqueeze(1))


def initialize_as_reference(model: nn.Module) -> None:
    """Give a new transformer the weights that the reference code would draw; tables of positions are left alone.

    There a task's gains and biases are a linear layer of its one-hot code, and begin as such.
    """
    initialize_as_flax(model)
    for module in model.modules():
        if isinstance(module, ConditionalNorm):
            for table in (module.gain, module.bias):
                lecun_normal(table, len(table))


class Cache:
    """Keys and values (B, heads, L, D / heads) of the tokens that one block has processed."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append, and return everything so far."""
        if self.keys is not None and self.values is not None:
            keys, values = torch.cat([self.keys, keys], 2), torch.cat([self.values, values], 2)
        self.keys, self.values = keys, values
        return keys, values


class Block(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, width: int, heads: int, feedforward: int, conditions: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = ConditionalNorm(width, conditions), ConditionalNorm(width, conditions)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, feedforward), nn.Linear(feedforward, width)

    def forward(self, x: Tensor, condition: Tensor, last: int | None = None, cache: Cache | None = None) -> Tensor:
        """x (B, L, D) -> (B, L, D), or only its `last` positions; with a cache, x continues the cached tokens."""
        B, L, D = x.shape
        q, k, v = self.qkv(self.norm1(x, condition)).view(B, L, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        if cache is not None:
            k, v = cache.extend(k, v)
        if last is not None:
            q, x = q[:, :, -last:], x[:, -last:]
        if q.shape[2] == k.shape[2]:
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            rows, columns = q.shape[2], k.shape[2]
            mask = torch.ones(rows, columns, dtype=torch.bool, device=x.device).tril(columns - rows)
            a = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + F.dropout(self.out(a.transpose(1, 2).reshape(B, -1, D)), self.dropout, self.training)
        hidden = F.silu(1.702 * self.up(self.norm2(x, condition))) / 1.702  # the reference's approximation of GELU
        return x + F.dropout(self.down(hidden), self.dropout, self.training)


class MaskedBlock(Block):
    """The same weights as `Block`, for callers that bring their own mask, keys and values."""

    def project(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, L, D), condition ids (B,) -> queries, keys and values (B, heads, L, D / heads)."""
        B, L, D = x.shape
        q, k, v = self.qkv(self.norm1(x, condition)).view(B, L, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        return q, k, v

    def attend(self, x: Tensor, condition: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D) and its queries attend to keys and values (B, heads, M, ...) where `mask` (..., L, M) is true."""
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + F.dropout(self.out(a.transpose(1, 2).flatten(2)), self.dropout, self.training)
        hidden = F.silu(1.702 * self.up(self.norm2(x, condition))) / 1.702
        return x + F.dropout(self.down(hidden), self.dropout, self.training)


def masked_blocks(blocks: nn.ModuleList) -> list[MaskedBlock]:
    """The blocks of a list that holds nothing else."""
    return cast(list[MaskedBlock], list(blocks))


class Rotation:
    """Rotary time embedding of one half of each head: attention then depends on differences of time only.

    The other half is left as it is; it matches content and place independently of time.
    """

    LONGEST = 100.0  # frames in which the slowest pair turns by about one radian

    def __init__(self, times: Tensor, size: int, dtype: torch.dtype = torch.float32) -> None:
        """times (..., L): frame numbers of tokens; size: width of a head, a multiple of 4."""
        rates = self.LONGEST ** -torch.linspace(0, 1, size // 4, device=times.device)
        angles = times.float().unsqueeze(-1) * rates
        self.cos, self.sin = angles.cos().to(dtype), angles.sin().to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """x (..., L, size) -> the same shape, rotated."""
        a, b, rest = x.split((x.shape[-1] // 4, x.shape[-1] // 4, x.shape[-1] - 2 * (x.shape[-1] // 4)), -1)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.cat([a * cos - b * sin, a * sin + b * cos, rest], -1)
