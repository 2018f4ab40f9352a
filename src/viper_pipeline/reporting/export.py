"""`viper export-reward`: a project's reward as one folder that stands alone, with a card. Equal data, equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import atomic_dir
from viper_pipeline.reporting.metrics import reward_metrics
from viper_pipeline.rewards.evaluation import unpack
from viper_pipeline.rewards.pretrained import CARD, FORMAT, MANIFEST, PARTS, open_package, sha256
from viper_pipeline.training.artifacts import CONFIG, LINEAGE, WEIGHTS, as_json, load_directory

TEMPLATE = Path(__file__).parent / "templates" / "reward_card.md.jinja"


def export_reward(source: Path, out: Path, commit: str | None = None) -> str:
    """Write the reward at `source` (data/rewards/SUITE/MODEL of a project) to a new folder; says so in one line.

    commit: the one that recorded this reward, for the card. Raises BadData if parts are missing or do not belong
    together, or if `out` exists. Scores of the evaluation are summed up in the card and left out.
    """
    out = Path(out)
    if out.exists():
        raise BadData(f"{out}: exists already; name a new folder")
    package = open_package(source)
    lineage = as_json(package.lineage)
    with atomic_dir(out) as folder:
        for part in PARTS:
            (folder / part).mkdir()
            for name in (CONFIG, WEIGHTS) if part != "reward" else (CONFIG,):
                (folder / part / name).write_bytes((package.folders[part] / name).read_bytes())
        (folder / LINEAGE).write_text(lineage)
        steps = package.lineage["steps"]
        facts = {"name": out.name, "commit": commit, "steps": steps, "simulated": _simulated(steps)}
        facts |= _measured(package.folders)
        (folder / CARD).write_text(card(facts, _bytes(folder)))
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        manifest = {"format": FORMAT, "suite": package.suite, "commit": commit}
        hashes = {name: sha256(folder / name) for name in files if name != CARD}
        (folder / MANIFEST).write_text(as_json(manifest | {"files": hashes}))
        size = _bytes(folder)
    return f"{out}: the reward of {', '.join(facts['tasks'])}, {size / 1e6:.1f} MB"


def card(facts: Mapping[str, Any], size: int) -> str:
    """The card of an exported reward, Markdown; size: bytes of the other files."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(TEMPLATE.read_text()).render(**facts, size=size / 1e6)


def _measured(folders: Mapping[str, Path]) -> dict[str, Any]:
    reward, tokenizer, model = (load_directory(folders[p]) for p in ("reward", "tokenizer", "video_model"))
    tasks = {}
    for task, spec in reward.config["specs"].items():
        scores, returns = unpack(task, reward.tensors)
        if not scores:
            raise BadData(f"{folders['reward'] / WEIGHTS}: no scores of {task}; export from a project's data/rewards")
        tasks[task] = {
            "spec": spec,
            "metrics": reward_metrics(scores, returns),
            "psnr": tokenizer.config["metrics"][task]["held_out"]["psnr"],
        }
    counts = {p: sum(t.numel() for t in d.tensors.values()) for p, d in (("tokenizer", tokenizer), ("model", model))}
    kind = reward.config["reward"]["scale"]["kind"]
    return {"tasks": tasks, "scale": kind, "counts": counts, "model": model.config, "tokenizer": tokenizer.config}


def _simulated(steps: Mapping[str, Any]) -> bool:
    """Whether every expert video was recorded by the pipeline itself."""
    chosen = [value for step in steps.values() for name, value in step["params"].items() if ".datasets." in name]
    return all(dataset["kind"] in ("expert", "oracle") for dataset in chosen)


def _bytes(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
