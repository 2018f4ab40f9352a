"""The training loop of tokenizers and video models: trains everything that has `parts` and `loss(batch, part)`.

A step updates the module's parts in order (a tokenizer has a generator and a discriminator, most modules have one).
Batches are a pure function of the step, so a resumed run sees the same batches as an uninterrupted one. With several
devices, each process works on its share of a batch and gradients are averaged; only the first process returns.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from viper_pipeline.core.errors import BadParams
from viper_pipeline.training.checkpoints import (
    derive,
    load_checkpoint,
    random_state,
    restore_random_state,
    save_checkpoint,
    seed_everything,
)
from viper_pipeline.training.config import ONE_CPU, ComputeConfig, LoopConfig
from viper_pipeline.training.distributed import Batch, average_gradients, moved, rank, share, tensors, total, world
from viper_pipeline.training.progress import Progress, silent

History = list[dict[str, float]]


class Trainable(Protocol):
    """What the loop trains."""

    @property
    def parts(self) -> Mapping[str, list[nn.Parameter]]:
        """The parameters of each part, in the order of their updates."""
        ...

    def loss(self, batch: Batch, part: str) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one part on one batch, and detached metrics."""


def train(
    module: Trainable,
    batches: Callable[[int], Batch],
    config: LoopConfig,
    *,
    seed: int,
    scratch: Path | None = None,
    progress: Progress = silent,
    compute: ComputeConfig = ONE_CPU,
) -> History:
    """Train `module` in place for `config.steps` steps; return one row of mean metrics every `log_every` steps.

    batches: step -> batch (tensors, arrays, tuples of them); must depend on nothing but the step, and is called from a
        thread, one step ahead.
    scratch: folder for checkpoints. Killed at any moment and called again with the same arguments, the module ends
        up bit for bit as if it had never been interrupted (CPU).
    compute: with several devices this command is started once more for each of them; those processes end here.
    Ends with the averaged weights in place if `config.ema` is set, on the CPU.
    """
    assert isinstance(module, nn.Module)
    fabric = compute.fabric(config.precision)
    fabric.launch()
    parts, mine = world() * config.accumulate, rank() * config.accumulate
    if config.batch_size % parts:
        raise BadParams(
            f"training.batch_size: {config.batch_size} cannot be cut into {world()} devices x {config.accumulate} "
            "accumulated parts of one size; change one of the three"
        )
    seed_everything(derive(seed, "process", rank()) if rank() else seed)
    module.to(fabric.device).train()
    optimizers = {name: make_optimizer(list(p), config) for name, p in module.parts.items()}
    average = AveragedModel(module, multi_avg_fn=ema_with_warmup(config.ema)) if config.ema else None
    history: History = []
    sums: dict[str, Tensor] = {}
    step = 0

    path = scratch / "training.pt" if scratch else None
    if path and (saved := load_checkpoint(path)):
        step, history = saved["step"], saved["history"]
        module.load_state_dict(saved["module"])
        for name, state in saved["optimizers"].items():
            optimizers[name].load_state_dict(state)
        if average:
            average.load_state_dict(saved["average"])
        sums = {name: value.to(fabric.device) for name, value in saved["sums"].items()}
        if rank():
            seed_everything(derive(seed, "process", rank(), step))
        else:
            restore_random_state(saved["random"])

    due_log, due_checkpoint = Every(config.log_every, config.steps), Every(config.checkpoint_every, config.steps)
    loss = torch.compile(module.loss) if config.compile else module.loss

    def update(batch: list[Batch], part: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """One optimizer step of one part, on the parts of this process's share; their mean metrics."""
        optimizer.zero_grad(set_to_none=True)
        metrics: dict[str, Tensor] = {}
        for piece in batch:
            with fabric.autocast():
                value, found = loss(piece, part)
            (value / len(batch)).backward()
            for name, metric in found.items():
                metrics[name] = metrics.get(name, 0) + metric / len(batch)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        average_gradients(parameters)
        if config.grad_clip is not None:
            nn.utils.clip_grad_norm_(parameters, config.grad_clip)
        optimizer.step()
        return metrics

    def pieces(step: int) -> list[Batch]:
        whole = batches(step)
        own = [share(whole, mine + i, parts) for i in range(config.accumulate)]
        return [tensors(piece, pin=fabric.device.type == "cuda") for piece in own]

    with Prefetcher(pieces, step, config.steps) as prefetcher:
        while step < config.steps:
            batch = [moved(piece, fabric.device) for piece in prefetcher.next_batch()]
            factor = learning_rate_at(step, config)
            for part, optimizer in optimizers.items():
                for group in optimizer.param_groups:
                    group["lr"] = config.learning_rate * factor
                for key, value in update(batch, part, optimizer).items():
                    sums[key] = sums.get(key, torch.zeros((), device=fabric.device)) + value
            if average:
                average.update_parameters(module)
            step += 1
            if due_log(step):
                rows = world() * (step - (history[-1]["step"] if history else 0))
                history.append({"step": step, **{k: float(total(v)) / rows for k, v in sums.items()}})
                sums = {}
                shown = {k: v for k, v in history[-1].items() if k != "step"}
                if (waiting := prefetcher.share_waited()) > 0.02:
                    shown["waiting for data"] = waiting
                if not rank():
                    progress(step, config.steps, shown)
            if path and not rank() and due_checkpoint(step):
                save_checkpoint(
                    path,
                    {
                        "step": step,
                        "history": history,
                        "sums": sums,
                        "module": module.state_dict(),
                        "optimizers": {name: o.state_dict() for name, o in optimizers.items()},
                        "average": average.state_dict() if average else None,
                        "random": random_state(),
                    },
                )
    if rank():
        raise SystemExit(0)
    if average:
        with torch.no_grad():
            for parameter, mean in zip(module.parameters(), average.module.parameters(), strict=True):
                parameter.copy_(mean)
    module.to("cpu").eval()
    return history


def learning_rate_at(step: int, config: LoopConfig) -> float:
    """The factor on the learning rate at `step` (0-based)."""
    warmup = config.warmup * config.steps if config.warmup < 1 else config.warmup
    if step < warmup:
        return (step + 1) / max(warmup, 1)
    if config.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(config.steps - warmup, 1)
    return max(0.5 * (1 + math.cos(math.pi * progress)), 1e-3)


def make_optimizer(parameters: list[nn.Parameter], config: LoopConfig) -> torch.optim.Optimizer:
    """Adam or AdamW; weight decay touches matrices and kernels, not gains, biases and tables of vectors."""
    matrices = [p for p in parameters if p.ndim >= 2 and not getattr(p, "no_decay", False)]
    others = [p for p in parameters if p.ndim < 2 or getattr(p, "no_decay", False)]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return kind([g for g in groups if g["params"]], lr=config.learning_rate, betas=config.betas)


def ema_with_warmup(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """How `AveragedModel` moves its average: exponentially, with a lower decay in the first updates.

    So the first random weights are soon forgotten.
    """

    @torch.no_grad()
    def update(average: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
        n = int(updates)
        for mean, value in zip(average, current, strict=True):
            mean.lerp_(value, 1 - min(decay, n / (n + 10)))

    return update


class Prefetcher:
    """Calls `make(step)` for a range of steps in a thread, each while the batch before it is in use."""

    def __init__(self, make: Callable[[int], Batch], first: int, end: int) -> None:
        """The steps from `first` on, `end` not among them."""
        self.make, self.next, self.end = make, first, end
        self.waited = 0.0
        """Seconds that were spent waiting for a batch."""
        self._begun = time.perf_counter()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._coming: Future | None = self._order()

    def _order(self) -> Future | None:
        return self._thread.submit(self.make, self.next) if self.next < self.end else None

    def next_batch(self) -> Batch:
        """The next step's batch. What `make` raised for it is raised here."""
        assert self._coming is not None, "the batches of all steps have been taken"
        begun = time.perf_counter()
        batch = self._coming.result()
        self.waited += time.perf_counter() - begun
        self.next += 1
        self._coming = self._order()
        return batch

    def share_waited(self) -> float:
        """The fraction of the time since the beginning that was spent waiting for batches."""
        return self.waited / max(time.perf_counter() - self._begun, 1e-9)

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class Every:
    """True at every `period`-th step and at the `last` one; a period of 0 is only ever true at the last."""

    period: int
    last: int | None = None

    def __call__(self, step: int) -> bool:
        """Whether it is time at `step` (1-based: steps done so far)."""
        return step == self.last or (self.period > 0 and step % self.period == 0)
