"""Vector quantizer: nearest codebook vector, straight-through gradient; codebook learned (paper) or averaged (EMA)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from viper_pipeline.core.config import Config
from viper_pipeline.training.distributed import from_first, total
from viper_pipeline.training.initialization import without_decay


class QuantizerConfig(Config):
    """How the codebook learns."""

    size: int = Field(1024, gt=1, le=32767, description="codebook vectors K (Table 1)")
    dim: int = Field(64, gt=0, description="length of a codebook vector D (Table 1)")
    kind: Literal["learned", "ema"] = Field(
        "learned",
        description="learned: by gradient (paper); ema: moving average of the encodings assigned to each vector",
    )
    commitment: float = Field(0.25, ge=0, description="beta: weight of the commitment loss (Table 1)")
    decay: float = Field(0.99, gt=0, lt=1, description="per step; of the averages of `ema` and of the usage counts")
    restart_below: float = Field(
        0.0,
        ge=0,
        description="codes used less often than this a step (on average) restart; 0: never (paper)",
    )


class Quantizer(nn.Module):
    """(B, D, h, w) -> the nearest codebook vectors and their indices."""

    codebook: Tensor
    usage: Tensor
    sums: Tensor
    begun: Tensor

    def __init__(self, config: QuantizerConfig) -> None:
        super().__init__()
        self.config = config
        K, D = config.size, config.dim
        vectors = (2 * torch.rand(K, D) - 1) / K
        if config.kind == "learned":
            self.codebook = nn.Parameter(vectors)
            without_decay(self.codebook)
        else:
            self.register_buffer("codebook", vectors)
        self.register_buffer("usage", torch.ones(K))
        self.register_buffer("sums", vectors.clone())
        self.register_buffer("begun", torch.tensor(False))
        self._duplicates: tuple[tuple[int, int], Tensor] | None = None

    def forward(self, z: Tensor, update: bool = True) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """z (B, D, h, w) -> (quantized z, codes (B, h, w), loss, metrics); float32 whatever the autocast.

        The gradient of the quantized z goes straight through to z. In training mode, and with `update`, this call also
        moves an averaged codebook and restarts unused codes; both draw from torch's global generator. With several
        processes, counts are summed over all of them and all keep the same codebook.
        """
        with torch.autocast(z.device.type, enabled=False):
            rows = z.float().permute(0, 2, 3, 1)
            flat = rows.flatten(0, 2)
            learning = self.training and update
            if learning and self.config.kind == "ema" and not self.begun:
                self._begin(flat.detach())
            codes = self.distances(flat).argmin(1)
            chosen = F.embedding(codes, self.codebook)
            loss = self.config.commitment * (flat - chosen.detach()).square().mean()
            if self.config.kind == "learned":
                loss = loss + (chosen - flat.detach()).square().mean()
            through = flat + (chosen - flat).detach()
            counts = torch.bincount(codes, minlength=self.config.size).float()
            if learning:
                counts = total(counts)
                self._learn(flat.detach(), codes, counts, chosen.detach())
        shape = rows.shape
        return through.view(shape).permute(0, 3, 1, 2), codes.view(shape[:3]), loss, self._metrics(counts)

    def distances(self, flat: Tensor) -> Tensor:
        """(M, D) -> (M, K): squared distances less |z|^2, which does not change their order."""
        with torch.no_grad():
            return torch.addmm(self.codebook.square().sum(1), flat.detach(), self.codebook.t(), alpha=-2)

    def lookup(self, codes: Tensor) -> Tensor:
        """Integers (N, h, w) -> vectors (N, D, h, w)."""
        return F.embedding(codes.long(), self.codebook).permute(0, 3, 1, 2)

    @torch.no_grad()
    def nearest(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (N, D, h, w) -> codes (N, h, w), and per frame whether rounding could have changed a code, bool (N,).

        Of equal vectors the first is chosen. A frame is doubtful if for one of its positions a second vector is as
        near as the first up to rounding error. The caller must encode such frames in a way that does not depend on
        the batch.
        """
        flat = z.float().permute(0, 2, 3, 1).flatten(0, 2)
        distances = self.distances(flat) + self._duplicate_penalty()
        best, codes = distances.min(1)
        scale = flat.square().sum(1) + F.embedding(codes, self.codebook).square().sum(1)
        doubtful = (distances <= (best + 2e-5 * scale)[:, None]).sum(1) > 1
        shape = (len(z), *z.shape[2:])
        return codes.view(shape), doubtful.view(len(z), -1).any(1)

    def _duplicate_penalty(self) -> Tensor:
        """(K,): infinity for vectors equal to an earlier one, else 0; duplicates would make every frame doubtful."""
        known = (self.codebook.data_ptr(), self.codebook._version)
        if self._duplicates is None or self._duplicates[0] != known:
            _, group = torch.unique(self.codebook, dim=0, return_inverse=True)
            index = torch.arange(self.config.size, device=group.device)
            first = torch.full_like(index, self.config.size).scatter_reduce(0, group, index, "amin")
            self._duplicates = known, torch.where(first[group] == index, 0.0, torch.inf)
        return self._duplicates[1]

    def _begin(self, flat: Tensor) -> None:
        """Initialize an averaged codebook with vectors of the first batch."""
        self.codebook.copy_(from_first(flat[torch.randint(len(flat), (self.config.size,), device=flat.device)]))
        self.sums.copy_(self.codebook)
        self.begun.fill_(True)

    @torch.no_grad()
    def _learn(self, flat: Tensor, codes: Tensor, counts: Tensor, chosen: Tensor) -> None:
        decay = self.config.decay
        self.usage.mul_(decay).add_(counts, alpha=1 - decay)
        if self.config.kind == "ema":
            sums = total(torch.zeros_like(self.sums).index_add_(0, codes, flat))
            self.sums.mul_(decay).add_(sums, alpha=1 - decay)
            self.codebook.copy_(self.sums / self.usage.clamp(min=1e-5)[:, None])
        dead = self.usage < self.config.restart_below
        if dead.any():
            # sample new vectors in proportion to their quantization error
            error = (flat - chosen).square().sum(1).clamp(min=1e-9)
            new = from_first(flat[torch.multinomial(error, int(dead.sum()), replacement=True)])
            self.codebook[dead] = new
            self.sums[dead] = new
            self.usage[dead] = 1.0

    @staticmethod
    def _metrics(counts: Tensor) -> dict[str, Tensor]:
        p = counts / counts.sum()
        return {
            "perplexity": torch.exp(-(p * p.clamp(min=1e-12).log()).sum()),
            "codes_used": (counts > 0).float().mean(),
        }
