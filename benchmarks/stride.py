"""Do still videos get too much likelihood when every frame is kept (paper 4.2)? Two rewards compared, kind by kind.

Run the pipeline with curation.stride 4 and again, in a copy of the project, with 1 and reward_evaluation.freeze_at
[0, 40], so that its videos stop at the same pictures as those of [0, 10] do here; then

python benchmarks/stride.py 1=COPY/data/rewards/tabletop/videogpt 4=data/rewards/tabletop/videogpt \\
    --suite tabletop --json reports/measured/stride.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from viper_pipeline.dvc_bridge.provenance import machine
from viper_pipeline.reporting.page import Measurement
from viper_pipeline.reporting.reward_metrics import auroc
from viper_pipeline.rewards.scores import unpack
from viper_pipeline.training.artifacts import load_artifact

TEXT = (
    "Videos of held-out experts against the same videos frozen at a moment. Nats per frame after that "
    "moment; AUROC: the chance that a frame of the moving video scores above one of the frozen one; below 0.5 the "
    "frozen video scores higher."
)


def after(videos: list[np.ndarray], start: int) -> np.ndarray:
    """Nats of all frames from `start` on."""
    return np.concatenate([video[max(start, 1) :] for video in videos])


def rows_of(stride: int, folder: Path) -> list[dict[str, str | float]]:
    """One row a task and moment."""
    artifact = load_artifact(folder)
    rows: list[dict[str, str | float]] = []
    for task in artifact.config["scales"]:
        scores, _ = unpack(task, artifact.tensors)
        for kind in sorted(name for name in scores if name.startswith("frozen_")):
            start = int(kind.removeprefix("frozen_"))
            moving, still = after(scores["held_out"], start), after(scores[kind], start)
            rows.append(
                {
                    "task": task,
                    "stride": stride,
                    "stops at step": start * stride,
                    "expert, nats": round(float(moving.mean()), 1),
                    "still, nats": round(float(still.mean()), 1),
                    "AUROC": round(auroc(moving, still), 3),
                }
            )
    return rows


def main() -> None:
    """Print the rows; with --json, keep them for the suite's page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rewards", nargs="+", help="STRIDE=FOLDER of a reward")
    parser.add_argument("--suite", required=True)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    pairs = [reward.split("=", 1) for reward in args.rewards]
    rows = sorted(
        (row for stride, folder in pairs for row in rows_of(int(stride), Path(folder))),
        key=lambda row: (str(row["task"]), float(row["stops at step"]), float(row["stride"])),
    )
    for row in rows:
        print(*row.values())
    if args.json:
        text = f"{TEXT} benchmarks/stride.py on models of {machine()}."
        found = Measurement(suite=args.suite, title="Still videos, by stride", text=text, rows=rows)
        args.json.write_text(found.model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    main()
