"""Speed of each scoring, in frames per second of one core, and its agreement with `full_window`.

python benchmarks/scoring.py                          speeds with random weights
python benchmarks/scoring.py --data data              correlation and AUROC too, of trained laptop models in data/
python benchmarks/scoring.py --json benchmarks/scoring.json
python benchmarks/scoring.py --rows benchmarks/scoring.json --page reports/measured/scoring.json    for the suite's page

AUROC tells held-out experts from random behavior, frame by frame; correlation and max_abs_diff (nats) are of the same
frames with `exact` of the same model. Episodes are scored together, as an agent's environments are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.envs.base import blacken
from viper_pipeline.reporting.page import Measurement
from viper_pipeline.reporting.reward_metrics import auroc
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.training.artifacts import load_artifact
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import Scoring
from viper_pipeline.video_models.scoring import score_videos

LOOP = {"steps": 1, "batch_size": 1, "learning_rate": 1e-4}
LAPTOP = {"window": 4, "width": 64, "feedforward": 256, "heads": 2, "layers": 3, "training": LOOP}
PAPER = {"window": 16, "width": 256, "feedforward": 1024, "heads": 8, "layers": 8, "training": LOOP}
SIZES = {"laptop": (LAPTOP, 128, 16), "paper_dmc": (PAPER, 1024, 64)}
TEXT = (
    "Frames per second of one core's CPU time, random weights, one episode at a time. Agreement with `full_window`: "
    "trained laptop models, held-out expert and random episodes; AUROC tells the two apart frame by frame. MaskGIT's "
    "rewards are 8 times slower in the paper. benchmarks/scoring.py; machine and conditions: docs/scoring.md."
)
PAPER_SLOWDOWN = 8.0  # of rewards by MaskGIT to those by VideoGPT
SHARED = 6  # times as many frames for the scorings that share work between frames
WAYS: dict[str, tuple[Scoring, ...]] = {
    "videogpt": ("full_window", "half_overlap"),
    "videogpt_streaming": ("full_window", "half_overlap", "kv_cache"),
    "maskgit": ("full_window",),
}


def untrained(name: str, size: str) -> Any:
    """A model of random weights."""
    block, codes, dim = SIZES[size]
    if name == "videogpt_streaming":
        block = block | {"window": 3 * block["window"], "context": block["window"] - 1}
    kind = VIDEO_MODELS.get(name)
    return kind(kind.Config.model_validate(block), torch.randn(codes, dim), (8, 8), ("a",)).eval()


def frames_per_s(model: Any, scoring: Scoring, episodes: int, frames: int, times: int) -> float:
    """Of frames with a full context: what the first k of an episode cost is taken off. Median over `times` runs."""
    k = model.window - 1
    codes = torch.randint(len(model.codebook), (episodes, k + frames, *model.grid))
    task = torch.zeros(episodes, dtype=torch.long)

    def seconds(length: int) -> float:
        begun = time.process_time()
        score_videos(model, codes[:, :length], task, scoring=scoring, batch=max(episodes, 16))
        return time.process_time() - begun

    seconds(min(2, k))
    return episodes * frames / statistics.median(seconds(k + frames) - seconds(k) for _ in range(times))


def speeds(size: str, episodes: int, frames: int, times: int) -> list[dict[str, Any]]:
    """One row per model and scoring. ratio_to_full_window: speed relative to the same model's; maskgit's to videogpt's.

    Exact frames all cost the same, so `frames` of them are enough; what shares work is shown more.
    """
    rows: list[dict[str, Any]] = []
    for name, scorings in WAYS.items():
        model = untrained(name, size)
        for scoring in scorings:
            rate = frames_per_s(
                model, scoring, episodes, frames if scoring == "full_window" else SHARED * frames, times
            )
            exact = next((r["frames_per_s"] for r in rows if (r["model"], r["scoring"]) == (name, "full_window")), rate)
            if name == "maskgit":
                exact = rows[0]["frames_per_s"]
            row: dict[str, Any] = {"size": size, "model": name, "scoring": scoring, "episodes_at_once": episodes}
            if name == "maskgit":
                row |= {"slowdown": round(exact / rate, 2), "slowdown_in_the_paper": PAPER_SLOWDOWN}
            rows.append(row | {"frames_per_s": round(rate, 2), "ratio_to_full_window": round(rate / exact, 2)})
            print(rows[-1], flush=True)
    return rows


def videos(data: Path, task: str, tokenizer: Any, kind: str, most: int) -> Tensor:
    """Codes (N, T, h, w) of held-out experts, or of random behavior."""
    codes = EpisodeFile(data / f"codes/dmc/{task}.h5").group("held_out")
    if kind == "held_out":
        return torch.stack([torch.as_tensor(codes[i].frames).long() for i in range(min(most, len(codes)))])
    spec = EpisodeFile(data / f"experts/dmc/{task}.h5").spec
    episodes = EpisodeFile(data / f"episodes/dmc/baselines/{task}.h5").group("episodes")
    chosen = [episodes[i] for i, k in enumerate(episodes.kinds) if k == "random"][:most]
    return torch.stack([tokenizer.encode(blacken(e.frames[:: spec.stride], spec.mask)) for e in chosen])


def compared(
    model: Any, task: int, kinds: dict[str, Tensor], scorings: Sequence[Scoring], first: int
) -> dict[Scoring, dict[str, float]]:
    """scoring -> correlation and largest difference to the scores of the first of `scorings`, AUROC, mean nats.

    kinds: codes (N, T, h, w) of experts, and of others; frames before `first` are context alone.
    """
    found: dict[Scoring, dict[str, float]] = {}
    reference = None
    for scoring in scorings:
        nats = [
            score_videos(model, codes, torch.full((len(codes),), task), scoring=scoring)[:, first:].flatten().numpy()
            for codes in kinds.values()
        ]
        flat = np.concatenate(nats)
        reference = flat if reference is None else reference
        found[scoring] = {
            "correlation": float(np.corrcoef(flat, reference)[0, 1]),
            "auroc": auroc(*nats),
            "max_abs_diff": float(np.abs(flat - reference).max()),
            "nats": float(nats[0].mean()),
        }
    return found


def qualities(data: Path, most: int) -> dict[tuple[str, str], dict[str, float]]:
    """(model, scoring) -> correlation and largest difference to full-window scores, and AUROC: means over tasks."""
    tokenizer = load_tokenizer(load_artifact(data / "tokenizers/dmc"))
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    trained_for: dict[str, int] = {}
    for name, scorings in (WAYS | {"byol": ("full_window",)}).items():
        folder = data / f"video_models/dmc/{name}"
        if not folder.exists():
            continue
        model = VIDEO_MODELS.get(name).from_artifact(load_artifact(folder))
        for number, task in enumerate(model.tasks):
            kinds = {kind: videos(data, task, tokenizer, kind, most) for kind in ("held_out", "random")}
            for scoring, row in compared(model, number, kinds, scorings, 1).items():
                found.setdefault((name, scoring), []).append({key: row[key] for key in row if key != "nats"})
                print(name, scoring, task, row, flush=True)
        trained_for[name] = model.config.training.steps
    return {
        (name, scoring): {"training_steps": trained_for[name]}
        | {k: round(float(np.mean([r[k] for r in rows])), 5) for k in rows[0]}
        for (name, scoring), rows in found.items()
    }


def measured(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows, speeds first."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = speeds("laptop", arguments.episodes, 48, arguments.times)
    rows += speeds("paper_dmc", arguments.episodes, 4, arguments.times)
    if arguments.data:
        quality = qualities(arguments.data, arguments.videos)
        laptop = {(r["model"], r["scoring"]): r for r in rows if r["size"] == "laptop"}
        for (name, scoring), found in quality.items():
            if (name, scoring) not in laptop:
                rows.append(laptop.setdefault((name, scoring), {"size": "laptop", "model": name, "scoring": scoring}))
            laptop[name, scoring] |= found
    return rows


def page_rows(rows: list[dict[str, Any]]) -> list[dict[str, str | float]]:
    """For people; what was not measured is a blank."""
    shown = {
        "frames per second": "frames_per_s",
        "relative to full_window": "ratio_to_full_window",
        "correlation": "correlation",
    }
    shown |= {"largest difference, nats": "max_abs_diff", "AUROC": "auroc", "times slower than VideoGPT": "slowdown"}
    return [
        {"size": row["size"].replace("_", " "), "model": row["model"], "scoring": row["scoring"]}
        | {name: row.get(key, "") for name, key in shown.items()}
        for row in rows
    ]


def main() -> None:
    """Print one line a row; write them as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the data folder of a laptop run")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=Path, help="what --json wrote before; nothing is measured")
    parser.add_argument("--page", type=Path, help="a table for reports/measured")
    parser.add_argument("--episodes", type=int, default=4, help="scored at once")
    parser.add_argument("--videos", type=int, default=4, help="how many of each kind and task are compared")
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    rows = json.loads(arguments.rows.read_text()) if arguments.rows else measured(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.page:
        page = Measurement(suite="dmc", title="Scoring", text=TEXT, rows=page_rows(rows))
        arguments.page.write_text(page.model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    main()
