"""Is the reward fooled by frames that no expert shows? Two remedies, measured on cartpole_balance.

python benchmarks/out_of_distribution.py --data data                 the weights, with the suite's own models
python benchmarks/out_of_distribution.py --data data --steps 1000    the shares too, with models trained here
python benchmarks/out_of_distribution.py --rows benchmarks/out_of_distribution.json \\
    --page reports/measured/out_of_distribution.json                 for the suite's page

Remedies: baseline_share, random and idle frames among those the tokenizer learns from; and reconstruction, the weight
of the decoding error in the reward. Shares are compared between tokenizers and video models of --steps steps each that
differ in nothing else. The reward of a kind is on the scale of `reward.scale` (0: the better baseline, 1: held-out
experts; not clipped); its AUROC is the chance that a held-out expert's frame scores above one of the kind.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.envs.dmc import DMC
from viper_pipeline.pipelines.models.nodes import baseline_frames, tokenizer_batches
from viper_pipeline.reporting.page import Measurement
from viper_pipeline.reporting.reward_metrics import auroc
from viper_pipeline.rewards.viper import reconstruction_error
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.tokenizers.quality import median_backgrounds
from viper_pipeline.tokenizers.vqgan_training import VQGANConfig, VQGANTraining
from viper_pipeline.training.artifacts import load_artifact, save_artifact
from viper_pipeline.training.checkpoints import seed_everything
from viper_pipeline.training.loop import train
from viper_pipeline.training.progress import Report
from viper_pipeline.video_models.scoring import score_videos
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig

TASK = "cartpole_balance"
LOOP = {"learning_rate": 0.002, "schedule": "onecycle", "warmup": 0.05}
TOKENIZER = {
    "architecture": "light",
    "channels": 16,
    "multipliers": [1, 2, 4],
    "blocks": 1,
    "quantizer": {"size": 256, "dim": 16, "kind": "ema", "decay": 0.97, "restart_below": 0.5},
    "discriminator": {"weight": 0.0},
    "foreground_weight": 20.0,
}
MODEL = {"window": 4, "width": 64, "feedforward": 256, "heads": 2, "layers": 3}
OWN = "the suite's own"
TEXT = (
    "Reward of cartpole_balance, not clipped: 0 is the better baseline (idle), 1 the held-out experts; in brackets the "
    "chance that a held-out expert's frame scores above one of that kind (AUROC). Columns: the weight of the "
    "reconstruction error, reward.reconstruction; the profile's is 0. One seed. benchmarks/out_of_distribution.py; "
    "conclusions, and how the tokenizer's share of baseline frames was chosen: docs/out-of-distribution.md."
)
FRAMES = 40  # of each strange video
SHARES = (0.0, 0.125)
WEIGHTS = (0.0, 0.25, 1.0)


def trained(folder: Path, share: float, steps: int, data: Path) -> tuple[Any, Any]:
    """Tokenizer and video model for this share of baseline frames; from `folder` if they are there already."""
    experts = EpisodeFile(data / f"experts/dmc/{TASK}.h5")
    baselines = EpisodeFile(data / f"episodes/dmc/baselines/{TASK}.h5")
    here = folder / f"share_{share}-{steps}"
    train_set = experts.group("train")
    videos = [train_set[i].frames for i in range(len(train_set))]
    if not (here / "tokenizer").exists():
        strange = baseline_frames(experts, baselines)
        loop = LOOP | {"steps": steps, "batch_size": 64, "betas": (0.9, 0.99)}
        settings = VQGANConfig.model_validate(TOKENIZER | {"baseline_share": share, "training": loop})
        seed_everything(0)
        backgrounds = median_backgrounds([np.concatenate([np.concatenate(videos)[::20], strange])])
        module = VQGANTraining(settings, (TASK,), experts.spec.size, backgrounds)
        source = tokenizer_batches([experts], [strange], settings, 0)
        train(module, source, settings.training, seed=0, progress=Report(f"tokenizer {share}"))
        save_artifact(here / "tokenizer", module.to_artifact())
    tokenizer = load_tokenizer(load_artifact(here / "tokenizer"))
    if not (here / "model").exists():
        codes = [tokenizer.encode(v).numpy() for v in videos]
        config = VideoGPTConfig.model_validate(MODEL | {"training": LOOP | {"steps": steps, "batch_size": 16}})
        seed_everything(0)
        network = VideoGPT(config, tokenizer.codebook, tokenizer.grid, (TASK,))

        def clips(step: int) -> tuple[np.ndarray, np.ndarray]:
            rng = np.random.default_rng([0, step])
            rows = [codes[i] for i in rng.integers(len(codes), size=16)]
            begins = [rng.integers(len(row) - config.window + 1) for row in rows]
            drawn = [row[b : b + config.window] for row, b in zip(rows, begins, strict=True)]
            return np.stack(drawn), np.zeros(16, np.int64)

        train(network, clips, config.training, seed=0, progress=Report(f"videogpt {share}"))
        save_artifact(here / "model", network.to_artifact())
    return tokenizer, VideoGPT.from_artifact(load_artifact(here / "model"))


def strange_videos(data: Path) -> dict[str, np.ndarray]:
    """Kind -> frames (N, T, H, W, C) uint8: held-out experts, baselines, and what neither shows."""
    experts = EpisodeFile(data / f"experts/dmc/{TASK}.h5")
    baselines = EpisodeFile(data / f"episodes/dmc/baselines/{TASK}.h5").group("episodes")
    held_out = experts.group("held_out")
    kinds = {"held_out": np.stack([held_out[i].frames[50 : 50 + FRAMES] for i in range(len(held_out))])}
    for kind in ("random", "idle"):
        rows = [i for i, k in enumerate(baselines.kinds) if k == kind][:6]
        kinds[kind] = np.stack([baselines[i].frames[50 : 50 + FRAMES] for i in rows])
    poses = {
        "balanced, 1.0 m to the left": [(-1.0, 0.0)],
        "balanced, 1.0 m to the right": [(1.0, 0.0)],
        "balanced, 1.6 m to a side": [(-1.6, 0.0), (1.6, 0.0)],
        "hanging in the middle": [(0.0, np.pi)],
        "lying to a side": [(0.0, np.pi / 2), (0.0, -np.pi / 2)],
    }
    kinds |= {kind: np.stack([posed(experts.spec, *pose) for pose in several]) for kind, several in poses.items()}
    rng = np.random.default_rng(0)
    expert = kinds["held_out"][:3]
    kinds["frozen expert"] = np.repeat(expert[:, :1], FRAMES, 1)
    kinds["the empty scene"] = np.repeat(np.median(kinds["random"], (0, 1)).astype(np.uint8)[None, None], FRAMES, 1)
    kinds["expert, colors inverted"] = 255 - expert
    kinds["expert and pixel noise"] = np.clip(expert + rng.normal(0, 25, expert.shape), 0, 255).astype(np.uint8)
    kinds["noise alone"] = rng.integers(0, 256, expert.shape, dtype=np.uint8)
    return kinds


def posed(spec: Any, place: float, angle: float) -> np.ndarray:
    """The cart at `place` (m) and the pole at `angle` from upright, trembling: (T, H, W, C)."""
    env = DMC().make(TASK, 0, {"action_repeat": spec.action_repeat}, spec)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    shown = []
    for _ in range(FRAMES):
        physics = env.unwrapped.simulator.physics
        with physics.reset_context():
            physics.data.qpos[:] = np.array([place, angle]) + rng.normal(0, 0.01, 2)
        shown.append(env.render())
    env.close()
    return np.stack(shown)


def measure(tokenizer: Any, model: Any, kinds: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kind -> nats and decoding error of every frame but the videos' first."""
    found, task = {}, model.tasks.index(TASK)
    for kind, videos in kinds.items():
        codes = torch.stack([tokenizer.encode(v) for v in videos])
        nats = score_videos(model, codes, torch.full((len(codes),), task)).numpy()
        errors = np.stack([reconstruction_error(tokenizer, v, c) for v, c in zip(videos, codes, strict=True)])
        found[kind] = (nats[:, 1:].ravel(), errors[:, 1:].ravel())
    return found


def rows_of(
    name: str, weights: Sequence[float], found: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> list[dict[str, Any]]:
    """A row a kind and weight, of the models called `name`."""
    rows = []
    for weight in weights:
        scores = {kind: nats - weight * errors for kind, (nats, errors) in found.items()}
        zero = max(float(scores[floor].mean()) for floor in ("random", "idle"))
        unit = float(scores["held_out"].mean()) - zero
        for kind, values in scores.items():
            nats, errors = (float(part.mean()) for part in found[kind])
            row: dict[str, Any] = {"models": name, "reconstruction": weight, "kind": kind}
            row |= {"reward": round((float(values.mean()) - zero) / unit, 3)}
            row |= {"auroc": round(auroc(scores["held_out"], values), 3)}
            rows.append(row | {"nats": round(nats, 1), "error": round(errors, 1)})
    return rows


def by_kind(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """One row per kind of video, one column per remedy: reward (AUROC)."""
    found: dict[str, dict[str, str]] = {}
    for r in rows:
        remedy = f"{r['models']}, weight {r['reconstruction']:g}"
        found.setdefault(r["kind"], {"frames": r["kind"]})[remedy] = f"{r['reward']:.2f} ({r['auroc']:.2f})"
    return list(found.values())


def table(rows: list[dict[str, Any]]) -> str:
    """The same as Markdown."""
    kinds = by_kind(rows)
    lines = [list(kinds[0]), *(list(kind.values()) for kind in kinds)]
    head, *rest = ("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([head, "|---" * len(kinds[0]) + "|", *rest])


def measured(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows; those of the suite's own models first."""
    torch.set_num_threads(1)
    kinds = strange_videos(arguments.data)
    tokenizer = load_tokenizer(load_artifact(arguments.data / "tokenizers/dmc"))
    model = VideoGPT.from_artifact(load_artifact(arguments.data / "video_models/dmc/videogpt"))
    rows = rows_of(OWN, WEIGHTS, measure(tokenizer, model, kinds))
    print(table(rows), flush=True)
    for share in SHARES if arguments.steps else ():
        pair = trained(arguments.models, share, arguments.steps, arguments.data)
        rows += rows_of(f"share {share:g}, {arguments.steps} steps", (0.0, 1.0), measure(*pair, kinds))
        print(table([row for row in rows if row["models"].startswith("share")]), flush=True)
    return rows


def main() -> None:
    """Print the table; write the rows as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the data folder of a laptop run")
    parser.add_argument("--models", type=Path, default=Path(".viper/ood"), help="where trained models are kept")
    parser.add_argument("--steps", type=int, default=0, help="of tokenizers and video models trained here; 0: none")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=Path, help="what --json wrote before; nothing is measured")
    parser.add_argument("--page", type=Path, help="a table for reports/measured, of the suite's own models")
    arguments = parser.parse_args()
    if not arguments.rows and not (arguments.data / "video_models/dmc/videogpt").exists():
        print(f"{arguments.data}: holds no models; run the laptop profile first")
        return
    rows = json.loads(arguments.rows.read_text()) if arguments.rows else measured(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.page:
        own = by_kind([row for row in rows if row["models"] == OWN])
        short = [{name.removeprefix(f"{OWN}, "): cell for name, cell in row.items()} for row in own]
        page = Measurement(suite="dmc", title="Out-of-distribution frames", text=TEXT, rows=short)
        arguments.page.write_text(page.model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    main()
