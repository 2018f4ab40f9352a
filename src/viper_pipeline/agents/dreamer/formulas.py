"""The formulas of DreamerV3 that can be wrong unnoticed: each is tested against another way of writing it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 255
LIMIT = 20.0
"""Bins of a two-hot code lie evenly from -LIMIT to LIMIT, in symlog units."""


def symlog(x: Tensor) -> Tensor:
    """sign(x) ln(1 + |x|): numbers of any size become small ones."""
    return x.sign() * x.abs().log1p()


def symexp(x: Tensor) -> Tensor:
    """The inverse of `symlog`."""
    return x.sign() * x.abs().expm1()


def two_hot(values: Tensor) -> Tensor:
    """values (...) -> weights (..., BINS) of the two bins around each symlog(value); their mean is that."""
    place = (symlog(values).clamp(-LIMIT, LIMIT) + LIMIT) * ((BINS - 1) / (2 * LIMIT))
    below = place.floor().clamp(max=BINS - 2).long()
    above = (place - below).unsqueeze(-1)
    code = torch.zeros(*values.shape, BINS, device=values.device)
    code.scatter_(-1, below.unsqueeze(-1), 1 - above)
    return code.scatter_(-1, below.unsqueeze(-1) + 1, above)


def two_hot_loss(logits: Tensor, values: Tensor) -> Tensor:
    """logits (..., BINS), values (...) -> cross-entropy (...) with their two-hot codes, in nats."""
    return -(two_hot(values) * F.log_softmax(logits, -1)).sum(-1)


def two_hot_mean(logits: Tensor) -> Tensor:
    """logits (..., BINS) -> the value (...) they stand for: symexp of the mean bin."""
    return symexp(F.softmax(logits, -1) @ torch.linspace(-LIMIT, LIMIT, BINS, device=logits.device))


def mixed(logits: Tensor, uniform: float) -> Tensor:
    """logits (..., K) -> log-probabilities (..., K) with a share `uniform` spread evenly over all classes."""
    if not uniform:
        return F.log_softmax(logits, -1)
    return (F.softmax(logits, -1) * (1 - uniform) + uniform / logits.shape[-1]).log()


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """log-probabilities (..., S, K) of S independent variables -> KL(p, q) (...), in nats."""
    return (p.exp() * (p - q)).sum((-1, -2))


def balanced_kl(posterior: Tensor, prior: Tensor, balance: float, free: float) -> tuple[Tensor, Tensor]:
    """log-probabilities (..., S, K) -> loss (...), KL (...).

    The share `balance` of the loss draws the prior to the posterior, the rest the posterior to the prior;
    below `free` nats neither is drawn.
    """
    dynamics = divergence(posterior.detach(), prior)
    representation = divergence(posterior, prior.detach())
    loss = balance * dynamics.clamp(min=free) + (1 - balance) * representation.clamp(min=free)
    return loss, dynamics.detach()


def lambda_returns(rewards: Tensor, discounts: Tensor, values: Tensor, mix: float) -> Tensor:
    """Returns (H, ...) of the first H states of H + 1.

    rewards (H, ...) of the steps, discounts (H, ...) of what follows them, values (H + 1, ...) of the states;
    mix: lambda, 0 trusts the next value, 1 none but the last.
    """
    following, returns = values[-1], []
    one_step = rewards + discounts * values[1:] * (1 - mix)
    for now, discount in zip(one_step.flip(0), discounts.flip(0), strict=True):
        following = now + discount * mix * following
        returns.append(following)
    return torch.stack(returns[::-1])
