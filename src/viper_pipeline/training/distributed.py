"""Data-parallel training: each process works on its share of every batch, and gradients are averaged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor, nn

Batch: TypeAlias = Any
"""Arrays or tensors, or tuples of them, nested at will."""


def world() -> int:
    """The number of processes of this training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, 0 for the first."""
    return dist.get_rank() if world() > 1 else 0


def total(x: Tensor) -> Tensor:
    """The sum of `x` over all processes."""
    if world() > 1:
        x = x.clone()
        dist.all_reduce(x)
    return x


def from_first(x: Tensor) -> Tensor:
    """The first process's `x`, broadcast to all."""
    if world() > 1:
        x = x.contiguous().clone()
        dist.broadcast(x, 0)
    return x


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over all processes."""
    if world() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    mean = total(nn.utils.parameters_to_vector(gradients)) / world()
    nn.utils.vector_to_parameters(mean, gradients)


def share(batch: Batch, i: int, count: int) -> Batch:
    """Part `i` of `count` equal parts of a batch: arrays, tensors, tuples of them, cut along the first axis."""
    if count == 1:
        return batch
    if isinstance(batch, tuple | list):
        return tuple(share(item, i, count) for item in batch)
    size = len(batch) // count
    return batch[i * size : (i + 1) * size]


def tensors(batch: Batch, pin: bool = False) -> Batch:
    """Arrays of a batch (also nested in tuples) as tensors; pin: in memory that a GPU can read from by itself."""
    if isinstance(batch, tuple | list):
        return tuple(tensors(item, pin) for item in batch)
    tensor = torch.as_tensor(batch)
    return tensor.pin_memory() if pin else tensor


def moved(batch: Batch, device: torch.device) -> Batch:
    """Tensors of a batch (also nested in tuples) on `device`."""
    if isinstance(batch, tuple | list):
        return tuple(moved(item, device) for item in batch)
    return batch.to(device, non_blocking=True)
