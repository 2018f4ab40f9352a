"""An exponential moving average of a module's floating-point state."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Ema:
    """Averaged weights. Early on the decay is lower, so that the first random weights are soon forgotten."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.average = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the module's present weights."""
        decay = min(self.decay, self.updates / (self.updates + 10))
        self.updates += 1
        for name, parameter in module.named_parameters():
            self.average[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Put the average in the place of the module's weights."""
        for name, parameter in module.named_parameters():
            parameter.copy_(self.average[name])

    def state_dict(self) -> dict[str, Tensor | int | dict[str, Tensor]]:
        """What a checkpoint must hold."""
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state: dict) -> None:
        """Continue from a checkpoint."""
        self.updates = state["updates"]
        for name, value in state["average"].items():
            self.average[name].copy_(value)
