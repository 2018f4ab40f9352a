"""Settings of a training: where torch computes (`runtime.compute`), and how a model learns (`LoopConfig`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import torch
from pydantic import Field

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadEnvironment, BadParams

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Device = Literal["auto", "cpu", "cuda"]
"""Where commands compute."""


def device_of(wanted: str) -> Literal["cpu", "cuda"]:
    """The device that a command computes on; auto: cuda where torch finds a GPU.

    Raises BadEnvironment for a GPU that torch does not find, BadParams for another word.
    """
    if wanted not in get_args(Device):
        raise BadParams(f"device: {wanted!r} is none of {', '.join(get_args(Device))}")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise BadEnvironment(
            f"device cuda: torch {torch.__version__} finds no GPU; take device cpu, or install a CUDA build of torch"
        )
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


class ComputeConfig(Config):
    """Compute settings. They affect floating-point rounding and are therefore part of every artifact's recipe."""

    threads: int = Field(1, gt=0, description="torch threads per process")
    accelerator: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one, else cpu")
    devices: int = Field(
        1, gt=0, description="devices that share the batches of one training (cpu: processes); agents use one"
    )

    def begin(self) -> str:
        """Set torch's threads; return the device to work on. Raises BadEnvironment if there are too few."""
        torch.set_num_threads(self.threads)
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        kind = "cuda" if self.accelerator == "cuda" or (self.accelerator == "auto" and found) else "cpu"
        wanted = self.devices if kind == "cuda" else 0
        if kind == "cuda" and wanted > found:
            raise BadEnvironment(
                f"runtime.compute asks for {wanted} CUDA device(s), torch {torch.__version__} finds {found}; lower "
                "runtime.compute.devices, take accelerator: cpu, or install a CUDA build of torch"
            )
        return kind

    def fabric(self, precision: str) -> Fabric:
        """Lightning's Fabric, which starts the other processes of a training; precision: 32 or bf16."""
        # Imported here: the import takes two seconds, and most stages read these parameters without training anything.
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import LightningEnvironment

        precisions: dict[str, Literal["32-true", "bf16-mixed"]] = {"32": "32-true", "bf16": "bf16-mixed"}
        return Fabric(
            accelerator=self.begin(),
            devices=self.devices,
            strategy="auto" if self.devices == 1 else "ddp",
            precision=precisions[precision],
            # One machine per stage, also inside a SLURM job, whose variables Fabric would otherwise follow.
            plugins=[LightningEnvironment()],
        )


ONE_CPU = ComputeConfig(accelerator="cpu")
"""One thread of the CPU."""


class LoopConfig(Config):
    """How long and how fast to learn."""

    steps: int = Field(gt=0, description="optimizer steps")
    batch_size: int = Field(gt=0, description="samples per step, over all tasks and devices")
    learning_rate: float = Field(gt=0, description="peak learning rate")
    schedule: Literal["constant", "onecycle"] = Field(
        "constant", description="constant (paper); onecycle: a warm-up, then a cosine to nearly 0"
    )
    warmup: float = Field(0.0, ge=0, description="steps of linear warm-up; below 1: a fraction of all steps")
    optimizer: Literal["adam", "adamw"] = "adam"
    betas: tuple[float, float] = Field((0.9, 0.999), description="Adam's moments (Table 2)")
    weight_decay: float = Field(0.0, ge=0, description="for matrices only; AdamW's decoupled form")
    grad_clip: float | None = Field(None, description="largest norm of the gradient; null: no clipping")
    ema: float | None = Field(
        None, description="decay of averaged weights, which replace the raw ones at the end; null: no averaging"
    )
    precision: Literal["32", "bf16"] = Field("32", description="arithmetic of the forward pass")
    accumulate: int = Field(
        1, gt=0, description="parts into which a device's batch is cut, to save memory (gradient accumulation)"
    )
    compile: bool = Field(False, description="torch.compile the loss: minutes at the start, faster afterwards")
    log_every: int = Field(50, gt=0, description="steps between rows of the training curve")
    checkpoint_every: int = Field(200, gt=0, description="steps between checkpoints")
