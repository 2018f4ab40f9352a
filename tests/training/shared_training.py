"""Train something small with one process or two: python -m tests.training.shared_training DEVICES ACCUMULATE FOLDER.

Writes history.json (losses of a video model and of a tokenizer) and codebook-RANK.pt (an averaged codebook of each
process after it saw its share).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from viper_pipeline.tokenizers.quantizer import Quantizer, QuantizerConfig
from viper_pipeline.tokenizers.vqgan_training import VQGANConfig, VQGANTraining
from viper_pipeline.training.config import ComputeConfig, LoopConfig
from viper_pipeline.training.distributed import rank, share, world
from viper_pipeline.training.loop import train
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig

B, T = 8, 3


def clips(step: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([0, step])
    return rng.integers(0, 5, (B, T, 2, 2)), np.arange(B) % 2


def frames(step: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([1, step])
    return rng.integers(0, 256, (B, 16, 16, 3), dtype=np.uint8), np.arange(B) % 2


def averaged_codebook() -> torch.Tensor:
    """The codebook after every process showed it its share of two batches."""
    torch.manual_seed(rank())
    quantizer = Quantizer(QuantizerConfig(size=6, dim=4, kind="ema", decay=0.5, restart_below=1e-3)).train()
    quantizer.codebook.copy_(torch.arange(24.0).view(6, 4) / 24)
    quantizer.sums.copy_(quantizer.codebook)
    quantizer.begun.fill_(True)
    for step in range(2):
        z = torch.rand(B, 4, 3, 3, generator=torch.Generator().manual_seed(step))
        quantizer(share(z, rank(), world()))
    return quantizer.codebook


def main(devices: int, accumulate: int, folder: Path) -> None:
    compute = ComputeConfig(accelerator="cpu", devices=devices)
    compute.fabric("32").launch()
    torch.save(averaged_codebook(), folder / f"codebook-{rank()}.pt")
    loop = {"batch_size": B, "learning_rate": 1e-2, "log_every": 1, "checkpoint_every": 3, "accumulate": accumulate}
    torch.manual_seed(0)
    tokenizer = VQGANTraining(
        VQGANConfig(
            architecture="light", channels=4, multipliers=(1, 2), blocks=0, latent=4,
            quantizer={"size": 8, "dim": 4}, discriminator={"weight": 0.0},
            training=LoopConfig(steps=4, ema=0.9, grad_clip=1.0, **loop),
        ), ("a", "b"), 16, np.zeros((2, 16, 16, 3), np.uint8),
    )  # fmt: skip
    model = VideoGPT(
        VideoGPTConfig(window=T, width=12, feedforward=16, heads=2, layers=2, training=LoopConfig(steps=6, **loop)),
        torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), (2, 2), ("a", "b"),
    )  # fmt: skip
    # The other processes end where a training ends: only the first one sees a second training.
    if devices == 1 or folder.name == "tokenizer":
        history = train(tokenizer, frames, tokenizer.config.training, seed=0, compute=compute)
        (folder / "tokenizer.json").write_text(json.dumps(history))
    if devices == 1 or folder.name == "model":
        history = train(model, clips, model.config.training, seed=0, scratch=folder, compute=compute)
        (folder / "model.json").write_text(json.dumps(history))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
