"""A rolling cache of keys and values: every new frame costs one frame of compute, whatever its context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from viper_pipeline.video_models.attention import Rotation

if TYPE_CHECKING:
    from viper_pipeline.video_models.banded import BandedGPT


class Session:
    """Running videos, one a row. All go on together; any may begin anew.

    The keys of the last context + 1 frames lie in a ring whose slot is the clock's remainder. Order within the ring
    does not matter: time is in the keys.
    """

    def __init__(self, model: BandedGPT, task: Tensor) -> None:
        """task (B,): task ids of the rows."""
        self.model, self.task, self.clock = model, task, -1
        self.seen = torch.zeros(len(task), dtype=torch.long)
        self.last = torch.zeros(len(task), dtype=torch.long)
        self._rings: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def step(self, codes: Tensor) -> Tensor:
        """The next frame (B, h, w) of every video -> nats of each code (B, h, w)."""
        self.clock += 1
        return self._score(codes, torch.arange(len(self.task)))

    @torch.no_grad()
    def restart(self, rows: Sequence[int], codes: Tensor) -> Tensor:
        """Rows begin anew: codes (len(rows), h, w) replace the last frame, and are first frames. Nats as `step`."""
        index = torch.as_tensor(rows)
        self.seen[index] = 0
        return self._score(codes, index)

    def forget(self, rows: Sequence[int]) -> None:
        """What comes next in these rows is a first frame."""
        self.seen[torch.as_tensor(rows)] = 0

    def _score(self, codes: Tensor, rows: Tensor) -> Tensor:
        model, Z = self.model, self.model.codes_per_frame
        flat, task = codes.long().flatten(1), self.task[rows]
        first = torch.where(
            (self.seen[rows] > 0)[:, None],
            model.embed(model.codebook[self.last[rows]]),
            model.start.expand(len(rows), -1),
        )
        x = torch.cat([first[:, None], model.embed(model.codebook[flat[:, :-1]])], 1) + model._position(Z)
        turn = Rotation(torch.full((Z,), self.clock, device=x.device), model.config.width // model.config.heads)
        slot, mask = self.clock % model.window, self._mask(rows).to(x.device)
        for i, block in enumerate(model.blocks):
            q, k, v = block.project(x, task)  # type: ignore[operator]
            keys, values = self._ring(i, k)
            keys[rows, :, slot], values[rows, :, slot] = turn(k), v
            if len(rows) < len(self.task):
                keys, values = keys[rows], values[rows]
            x = block.attend(x, task, turn(q), keys.flatten(2, 3), values.flatten(2, 3), mask)  # type: ignore[operator]
        logits = model.head(model.norm(x, task)).float()
        self.seen[rows] += 1
        self.last[rows] = flat[:, -1]
        return -F.cross_entropy(logits.flatten(0, 1), flat.flatten(), reduction="none").view_as(codes)

    def _mask(self, rows: Tensor) -> Tensor:
        """Which keys of the ring each code may see: (rows, 1, Z, window * Z); one row where all are alike."""
        window, Z = self.model.window, self.model.codes_per_frame
        seen = self.seen[rows].clamp(max=window - 1).unique()
        seen = seen if len(seen) == 1 else self.seen[rows]
        age = (self.clock - torch.arange(window)) % window
        mask = (age <= seen[:, None])[:, None, None, :, None].expand(-1, 1, Z, window, Z).clone()
        mask[:, :, :, self.clock % window] = torch.ones(Z, Z, dtype=torch.bool).tril()
        return mask.flatten(3)

    def _ring(self, layer: int, like: Tensor) -> tuple[Tensor, Tensor]:
        if layer == len(self._rings):
            heads, Z, size = like.shape[1:]
            shape = (len(self.task), heads, self.model.window, Z, size)
            self._rings.append((like.new_zeros(shape), like.new_zeros(shape)))
        return self._rings[layer]

    def state_dict(self) -> dict[str, object]:
        """Everything that later scores depend on."""
        rings = [(k.clone(), v.clone()) for k, v in self._rings]
        return {"clock": self.clock, "seen": self.seen.clone(), "last": self.last.clone(), "rings": rings}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from `state_dict`."""
        self.clock, self.seen, self.last = state["clock"], state["seen"].clone(), state["last"].clone()  # type: ignore
        self._rings = [(k.clone(), v.clone()) for k, v in state["rings"]]  # type: ignore[attr-defined]
