"""Ways of scoring with trained models at the paper's window: speed and agreement of the same weights.

python benchmarks/scoring_trained.py --data data --minutes 60 --keep models/        trains, keeps what it trained
python benchmarks/scoring_trained.py --data data --keep models/                     again, with the kept models
python benchmarks/scoring_trained.py --data data --keep models/ --json reports/scoring_trained.json

benchmarks/scoring.py measures this size with random weights. Here models of the sizes of profile paper (suite dmc)
learn the codes of a finished run in --data for some minutes of CPU time, one thread, and are then measured:

- frames per second of one core's CPU time, several episodes at once, frames with a full context
- of the same segments of held-out experts and random behavior, frames with a full context alone: correlation with and
  largest difference from the same model's full_window, in nats, and the AUROC that tells the two kinds of video apart

Killed while it trains, it goes on from its last checkpoint in --keep.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scoring import SHARED, WAYS, compared, frames_per_s, videos  # benchmarks/scoring.py
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.data.sampler import ClipSampler
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import load_artifact, save_artifact
from viper_pipeline.training.loop import train
from viper_pipeline.video_models import VIDEO_MODELS

ROOT = Path(__file__).parents[1]


def train_for(name: str, config: Any, data: Path, minutes: float, scratch: Path) -> Any:
    """A model of `config` after as many steps as fit into these minutes of CPU time. Two steps are timed first."""
    tokenizer = load_tokenizer(load_artifact(data / "tokenizers/dmc"))
    groups = [EpisodeFile(data / f"codes/dmc/{task}.h5").group("train") for task in tokenizer.tasks]
    clips = ClipSampler(groups, config.window, config.training.batch_size, seed=0)
    begun: list[float] = []

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        begun.append(time.process_time())
        return clips(step)

    def made() -> Any:
        torch.manual_seed(0)
        return VIDEO_MODELS.get(name)(config, tokenizer.codebook, tokenizer.grid, tokenizer.tasks)

    path = scratch / "steps.json"
    if not path.exists():
        train(made(), batch, config.training.model_copy(update={"steps": 3, "ema": None}), seed=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(max(int(60 * minutes / (begun[-1] - begun[-2])), 2)))
    training = config.training.model_copy(update={"steps": json.loads(path.read_text())})
    print(f"{name}: {training.steps} steps of {training.batch_size} clips of {config.window} frames", flush=True)
    model = made()

    def progress(step: int, steps: int, shown: Any) -> None:
        print(f"  {step} of {steps}: {shown}", flush=True)

    history = train(model, batch, training, seed=0, scratch=scratch, progress=progress)
    model.config = config.model_copy(update={"training": training})
    return model, history


def segments(data: Path, task: str, tokenizer: Any, most: int, frames: int, first: int) -> dict[str, torch.Tensor]:
    """Codes (N, frames, h, w) of held-out experts and of random behavior, from frame `first` on."""
    return {
        kind: videos(data, task, tokenizer, kind, most)[:, first : first + frames] for kind in ("held_out", "random")
    }


def agreement(model: Any, scorings: Sequence[Any], data: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """scoring -> means over tasks of correlation, largest difference and AUROC."""
    tokenizer = load_tokenizer(load_artifact(data / "tokenizers/dmc"))
    context = model.window - 1
    found: dict[str, list[dict[str, float]]] = {}
    for number, task in enumerate(model.tasks):
        kinds = segments(data, task, tokenizer, arguments.videos, context + arguments.frames, arguments.first)
        for scoring, row in compared(model, number, kinds, scorings, context).items():
            found.setdefault(scoring, []).append(row)
            print(f"  {task} {scoring}: {row}", flush=True)
    return {
        scoring: {key: round(float(np.mean([row[key] for row in rows])), 5) for key in rows[0]}
        for scoring, rows in found.items()
    }


def measured(name: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per scoring of one model."""
    block = read_profile(ROOT / f"profiles/{arguments.profile}.yaml")["suites"]["dmc"][name]
    config: Any = VIDEO_MODELS.get(name).Config.model_validate(block)
    window = {"window": arguments.clip} if name == "videogpt_streaming" and arguments.clip else {}
    learning = {"batch_size": arguments.batch, "learning_rate": arguments.learning_rate, "ema": None}
    learning |= {"schedule": "onecycle", "warmup": 0.05, "log_every": 20, "checkpoint_every": 20}
    config = config.model_copy(update=window | {"training": config.training.model_copy(update=learning)})
    folder = arguments.keep / name
    if (folder / "model").exists():
        model = VIDEO_MODELS.get(name).from_artifact(load_artifact(folder / "model"))
        history = json.loads((folder / "history.json").read_text())
    else:
        model, history = train_for(name, config, arguments.data, arguments.minutes, folder / "scratch")
        save_artifact(folder / "model", model.to_artifact())
        (folder / "history.json").write_text(json.dumps(history))
    model.eval()
    scorings = WAYS[name]
    quality = agreement(model, scorings, arguments.data, arguments)
    rows: list[dict[str, Any]] = []
    for scoring in scorings:
        frames = 4 if scoring == "full_window" else 4 * SHARED
        rate = frames_per_s(model, scoring, arguments.episodes, frames, arguments.times)
        first = rows[0]["frames_per_s"] if rows else rate
        rows.append(
            {
                "size": f"{arguments.profile}_dmc", "model": name, "scoring": scoring, "window": model.window,
                "tokens": model.window * int(np.prod(model.grid)), "training_steps": history[-1]["step"],
                "nats_per_code": history[-1]["nats_per_code"], "episodes_at_once": arguments.episodes,
                "frames_per_s": round(rate, 2), "ratio_to_full_window": round(rate / first, 2),
            }
            | quality[scoring]
        )  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def main(given: list[str] | None = None) -> list[dict[str, Any]]:
    """Train or load, measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data folder of a finished run of suite dmc")
    parser.add_argument("--keep", type=Path, required=True, help="folder of the trained models and their checkpoints")
    parser.add_argument("--minutes", type=float, default=60.0, help="of CPU time that a model is trained for")
    parser.add_argument("--profile", default="paper")
    parser.add_argument("--models", nargs="+", default=["videogpt_streaming"], choices=list(WAYS))
    parser.add_argument("--clip", type=int, default=32, help="frames of a training clip of videogpt_streaming")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--episodes", type=int, default=4, help="scored at once, as environments of an agent are")
    parser.add_argument("--videos", type=int, default=3, help="of a kind and task, whose scores are compared")
    parser.add_argument("--frames", type=int, default=40, help="of each video, after a full context")
    parser.add_argument("--first", type=int, default=30, help="frame of a video at which the compared segment begins")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(given)
    torch.set_num_threads(1)
    rows = [row for name in arguments.models for row in measured(name, arguments)]
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return rows


if __name__ == "__main__":
    main()
