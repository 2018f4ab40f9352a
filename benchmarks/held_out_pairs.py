"""Does the ratio know an arm on a task that only the other arm has shown? Every pair held out in turn (Fig 8).

python benchmarks/held_out_pairs.py --steps 500 --keep build/held_out --json reports/measured/held_out_pairs.json

Reads what a finished run of suite tabletop left in data/ (or --data). For each pair of an arm and a task that another
arm does, too, a video model with two classes learns all other pairs, --steps steps, and is judged on this pair as the
stage `evaluate_reward_ratio` does. The tokenizer is the run's own: unlike the run's held-out pair, it has seen the
other pairs. What is finished lies in --keep; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from viper_pipeline.core.files import Json, atomic_write
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.dvc_bridge.project import read_params
from viper_pipeline.dvc_bridge.provenance import machine
from viper_pipeline.envs import SUITES
from viper_pipeline.pipelines.models.ratio import evaluate_ratio, train_ratio_model
from viper_pipeline.reporting.page import Measurement
from viper_pipeline.reporting.reward_metrics import reward_metrics
from viper_pipeline.reporting.summary import RIVAL_NAMES, auroc_number
from viper_pipeline.rewards.methods import RATIO_MODEL
from viper_pipeline.rewards.scores import unpack
from viper_pipeline.training.artifacts import load_artifact

ROOT = Path(__file__).parents[1]
SUITE = "tabletop"
TEXT = (
    "Each row is a model of its own that learned neither this pair's experts nor its random play, only the same task "
    "with the other arm and the other tasks with both. AUROC of single frames of {videos} expert videos against each "
    "kind of play, with 95 % intervals over episodes. The tokenizer is shared; it was trained on all pairs but "
    "{unseen}. {steps} steps a model, of {full} in the run. benchmarks/held_out_pairs.py on {machine}."
)


def judged(pair: str, data: Path, params: Json, steps: int, scratch: Path) -> Json:
    """The metrics of a model that was not trained on `pair`, on this pair."""
    block = params["suites"][SUITE]
    config = block[RATIO_MODEL] | {"training": block[RATIO_MODEL]["training"] | {"steps": steps}}
    tokenizer = load_artifact(data / "tokenizers" / SUITE)
    files = {f"codes__{task}": EpisodeFile(data / f"codes/{SUITE}/{task}.h5") for task in block["tasks"]}
    files |= {
        f"baselines__{task}": EpisodeFile(data / f"episodes/{SUITE}/baselines/{task}.h5") for task in block["tasks"]
    }
    where = {"suite": SUITE, "model": RATIO_MODEL, "tokenizer_kind": None}
    compute, seed = params["runtime"]["compute"], params["seed"]
    model = train_ratio_model(config, seed, compute, tokenizer, scratch / pair, [pair], **where, **files)
    own = {name: file for name, file in files.items() if name.endswith(f"__{pair}")}
    own[f"experts__{pair}"] = EpisodeFile(data / f"experts/{SUITE}/{pair}.h5")
    reward = evaluate_ratio(
        block["reward"] | {"model": RATIO_MODEL},
        block["reward_evaluation"],
        seed,
        compute,
        tokenizer,
        model,
        **where,
        **own,
    )
    return reward_metrics(*unpack(pair, reward.tensors))


def row_of(pair: str, metrics: Json) -> dict[str, str | int | float]:
    """One row of the table."""
    row: dict[str, str | int | float] = {"pair": pair}
    row |= {name: auroc_number(metrics["kinds"][kind]["auroc_frame"]) for kind, name in RIVAL_NAMES.items()}
    return row | {"whole videos, hardest": round(metrics["auroc_episode"], 2)}


def main() -> None:
    """Print the rows; with --json, keep them for the suite's page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--steps", type=int, default=500, help="of each model")
    parser.add_argument("--keep", type=Path, default=ROOT / "build/held_out")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    params = read_params(ROOT / "params.yaml")
    block, label = params["suites"][SUITE], SUITES.get(SUITE)().task_label
    labels = [label(task) for task in block["tasks"]]
    rows, videos = [], 0
    for pair in block["tasks"]:
        if labels.count(label(pair)) < 2:
            continue
        kept = args.keep / f"{pair}-{args.steps}.json"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(kept, json.dumps(judged(pair, args.data, params, args.steps, args.keep)).encode())
        metrics = json.loads(kept.read_text())
        videos = metrics["kinds"][metrics["experts"]]["videos"]
        rows.append(row_of(pair, metrics))
        print(*rows[-1].values(), flush=True)
    if args.json:
        text = TEXT.format(
            videos=videos,
            unseen=" and ".join(block.get("held_out_tasks", [])) or "none",
            steps=f"{args.steps:,}",
            full=f"{block[RATIO_MODEL]['training']['steps']:,}",
            machine=machine(),
        )
        found = Measurement(suite=SUITE, title="Every pair held out in turn", text=text, rows=rows)
        args.json.write_text(found.model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    main()
