"""The checkpoints that VIPER's authors released, and those that their programs write, as models and rewards of ours.

    <vqgan>/args, <vqgan>/checkpoints/checkpoint_<step>, and <vqgan>/mask_map.pkl where frames are masked
    <videogpt>/args, <videogpt>/checkpoints/checkpoint_<step>, and <videogpt>/class_map.pkl where the model knows tasks

Neither flax nor their code is needed. The pickled files are read as plain records: no program in them is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.core.files import Json, JsonView, atomic_dir, sha256_of
from viper_pipeline.data.importers.safe_pickle import SETTINGS, as_values, read_safely
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import FrameSpec, Rect
from viper_pipeline.rewards.pretrained import CARD, FORMAT, MANIFEST
from viper_pipeline.rewards.released_weights import (
    Parameters,
    latest_checkpoint,
    read_flax,
    videogpt,
    videogpt_config,
    vqgan,
    vqgan_config,
)
from viper_pipeline.rewards.viper import Scale, ScaleConfig, ViperConfig
from viper_pipeline.tokenizers.vqgan import VQGAN
from viper_pipeline.training.artifacts import LINEAGE, ModelArtifact, as_json, save_artifact
from viper_pipeline.video_models.videogpt import VideoGPT

CHECKPOINT_KINDS = ("vqgan", "videogpt", "reward")
"""A tokenizer's folder, a video model's folder, or both and all that `load_reward` needs."""


@dataclass(frozen=True)
class Choices:
    """What the files do not say."""

    vqgan: Path | None = None
    """The VQ-GAN's folder; None: beside the video model's, by the name in its settings."""
    suite: str | None = None
    """Whose tasks these are; None: the first word of the folder's name."""
    mode: str = "joint"
    """See `ViperConfig.mode`; the default is that of the authors' code."""
    action_repeat: int | None = None
    """Simulator steps a frame of the videos it learned from; None: what the suite takes."""


def import_checkpoint(kind: str, source: Path, out: Path, choices: Choices = Choices()) -> str:
    """Convert the folder `source` to the new folder `out`; says in one line what was written.

    Raises BadData for files that are missing, damaged or of another kind, and writes nothing then.
    """
    source, out = Path(source), Path(out)
    if out.exists():
        raise BadData(f"{out}: exists already; name a new folder")
    if not source.is_dir():
        raise BadData(f"{source}: there is no such folder; give one with `args` and `checkpoints`")
    if kind == "vqgan":
        tokenizer = read_vqgan(source)
        save_artifact(out, tokenizer.model.to_artifact(), _lineage(source))
        return f"{out}: a VQ-GAN of {len(tokenizer.model.codebook)} codes, {_grid(tokenizer.model)} a frame"
    about = released_settings(source)
    tokenizer = read_vqgan(choices.vqgan or source.parent / Path(str(about.get("ae_ckpt", ""))).name)
    names, classes = _classes(source, about, tokenizer, choices)
    model = _videogpt(source, about, tokenizer.model, classes)
    if kind == "videogpt":
        save_artifact(out, model.to_artifact(), _lineage(source))
    elif kind == "reward":
        _write_reward(out, source, about, tokenizer, model, names, choices)
    else:
        raise BadParams(f"import-checkpoint: kind '{kind}' is none of {', '.join(CHECKPOINT_KINDS)}")
    return f"{out}: a {kind} of {len(names)} tasks, window {model.window}, stride {about.get('frame_skip', 1)}"


@dataclass(frozen=True)
class ReleasedTokenizer:
    """A VQ-GAN, and what was hidden from it: by the authors' names of tasks."""

    model: VQGAN
    masks: Mapping[str, np.ndarray]


def read_vqgan(folder: Path) -> ReleasedTokenizer:
    """The VQ-GAN in a folder of the authors'."""
    about = released_settings(folder)
    if "ae" not in about:
        raise BadData(f"{folder / 'args'}: these settings are of no VQ-GAN, for they have no block `ae`")
    size = _whole(folder, about, "image_size", 64)
    file = latest_checkpoint(folder)
    found = Parameters(_part(read_flax(file), file, "vqgan_params"), f"{file}: vqgan_params")
    masks = {}
    if (folder / "mask_map.pkl").exists():
        masks = _masks(folder / "mask_map.pkl", size)
    config = _fitting(folder, lambda: vqgan_config(about["ae"]))
    return ReleasedTokenizer(vqgan(config, found, sorted(masks), size), masks)


def _videogpt(folder: Path, about: JsonView, tokenizer: VQGAN, classes: Mapping[str, int | None]) -> VideoGPT:
    file = latest_checkpoint(folder)
    tree = read_flax(file)
    part = "ema_params" if tree.get("ema_params") else "params"  # as the authors' own reward does
    found = Parameters(_part(tree, file, part), f"{file}: {part}")
    config = _fitting(folder, lambda: videogpt_config(about, _training(about)))
    known = _whole(folder, about, "n_classes", None) if about.get("class_cond") else 0
    return videogpt(config, found, tokenizer.codebook, tokenizer.grid, classes, known)


def _fitting(folder: Path, make: Any) -> Any:
    """What `make` returns, its errors with the file's name."""
    try:
        return make()
    except BadData as error:
        raise BadData(f"{folder / 'args'}: {str(error).removeprefix('args: ')}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise BadData(f"{folder / 'args'}: these settings are of no such model ({error!r})") from error


def _whole(folder: Path, about: JsonView, name: str, default: int | None) -> int:
    """A whole number of the settings, from 1 on. Raises BadData for anything else."""
    value = about.get(name, default)
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise BadData(f"{folder / 'args'}: {name} is {value!r}, not a whole number from 1 on")
    return int(value)


def _part(tree: JsonView, file: Path, name: str) -> JsonView:
    part = tree.get(name)
    if not isinstance(part, dict):
        raise BadData(
            f"{file}: holds no {name} (but {', '.join(sorted(tree)) or 'nothing'}); is this the right folder?"
        )
    return part


def released_settings(folder: Path) -> Json:
    """The settings that the authors' programs pickle as `args`, an argparse.Namespace."""
    about = _pickled(folder / "args", "model's settings")
    if not isinstance(about, dict) or not all(isinstance(name, str) for name in about):
        raise BadData(f"{folder / 'args'}: holds a {type(about).__name__}, not the settings of a training")
    return about


def _pickled(file: Path, what: str) -> Any:
    if not file.is_file():
        raise BadData(f"{file}: missing; give a folder that the authors' training wrote")
    found = read_safely(file, SETTINGS, what)
    try:
        return as_values(found)
    except Exception as error:  # records of a hostile pickle can be put together in any way
        raise BadData(f"{file}: refused, and nothing in it was run: {error or type(error).__name__}") from error


def _masks(file: Path, size: int) -> dict[str, np.ndarray]:
    """Task -> bool (size, size), true where frames are black."""
    found = _pickled(file, "mask of frames")
    if not isinstance(found, dict) or not all(isinstance(mask, np.ndarray) for mask in found.values()):
        raise BadData(f"{file}: holds no arrays by task")
    masks = {}
    for task, mask in found.items():
        seen = mask.astype(np.uint8)
        try:
            seen = np.broadcast_to(seen, (1, size, size, 3))[0]
        except ValueError:
            raise BadData(f"{file}: the mask of {task} has shape {mask.shape}, not ({size}, {size}, 3)") from None
        if seen.max() > 1 or (seen != seen[..., :1]).any():
            raise BadData(
                f"{file}: the mask of {task} does more than hide pixels: it must be 0 or 1, alike in all colors"
            )
        masks[str(task)] = seen[..., 0] == 0
    return masks


def rectangles(hidden: np.ndarray) -> tuple[Rect, ...]:
    """bool (H, W) -> rectangles that cover just the pixels that are true, each once."""
    open_runs: dict[tuple[int, int], int] = {}
    found = []
    for y, row in enumerate([*hidden, np.zeros(hidden.shape[1], bool)]):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
        runs = {(int(a), int(b)) for a, b in edges.reshape(-1, 2)}
        for left, right in sorted(set(open_runs) - runs):
            found.append(Rect(top=open_runs.pop((left, right)), left=left, bottom=y, right=right))
        for run in runs - set(open_runs):
            open_runs[run] = y
    return tuple(sorted(found, key=lambda r: (r.top, r.left)))


def _classes(
    folder: Path, about: JsonView, tokenizer: ReleasedTokenizer, choices: Choices
) -> tuple[dict[str, str], dict[str, int | None]]:
    """Our task -> the authors' name of it; our task -> its class. In the order of classes."""
    suite = SUITES.get(_suite(folder, choices))()
    if about.get("class_cond"):
        found = _pickled(folder / "class_map.pkl", "classes of tasks")
        if not isinstance(found, dict) or not all(isinstance(row, int | np.integer) for row in found.values()):
            raise BadData(f"{folder / 'class_map.pkl'}: holds no numbers by task")
        rows: dict[str, int | None] = {str(k): int(v) for k, v in sorted(found.items(), key=lambda item: item[1])}
    else:
        rows = dict.fromkeys(tokenizer.masks) or dict.fromkeys(suite.tasks())
    try:
        names = {suite.canonical(name): name for name in rows}
    except BadParams as error:
        raise BadData(f"{folder}: {error}; say with --suite whose tasks these are") from error
    return names, {task: rows[name] for task, name in names.items()}


def _suite(folder: Path, choices: Choices) -> str:
    name = choices.suite or folder.resolve().name.partition("_")[0]
    if name not in SUITES.names():
        raise BadData(f"{folder}: no suite is called '{name}'; say --suite, one of {', '.join(SUITES.names())}")
    return name


def _write_reward(
    out: Path,
    source: Path,
    about: JsonView,
    tokenizer: ReleasedTokenizer,
    model: VideoGPT,
    names: Mapping[str, str],
    choices: Choices,
) -> None:
    """A package as `viper export-reward` writes it; rewards are nats as they are."""
    name = _suite(source, choices)
    suite = SUITES.get(name)()
    # of the machine that drew their videos nothing is known
    said: Json = {"gl_backend": "unknown", "library": "unknown", "stride": _whole(source, about, "frame_skip", 1)}
    if choices.action_repeat is not None:
        said["action_repeat"] = choices.action_repeat
    specs: dict[str, FrameSpec] = {}
    for task, theirs in names.items():
        hidden = tokenizer.masks.get(theirs)
        if tokenizer.masks and hidden is None:
            continue  # their code cannot score such a task either
        mask = () if hidden is None else rectangles(hidden)
        spec = suite.frame_spec(task, {}, {"size": tokenizer.model.size})
        specs[task] = spec.model_copy(update=said | {"mask": mask})
    if not specs:
        raise BadData(f"{source}: no task has both a class and a mask; give with --vqgan the one it was trained with")
    config = ViperConfig.model_validate({"mode": choices.mode, "scale": ScaleConfig(kind="none")})
    scale = Scale(zero=0.0, unit=1.0, low=None, high=None)
    kept = {
        "model": "videogpt",
        "reward": config.model_dump(mode="json"),
        "specs": {task: spec.model_dump(mode="json") for task, spec in specs.items()},
        "scales": {task: scale.model_dump(mode="json") for task in specs},
    }
    with atomic_dir(out) as folder:
        save_artifact(folder / "tokenizer", tokenizer.model.to_artifact())
        save_artifact(folder / "video_model", model.to_artifact())
        save_artifact(folder / "reward", ModelArtifact(kept))
        (folder / LINEAGE).write_text(as_json(_lineage(source)))
        (folder / CARD).write_text(_card(out.name, source.name, list(specs)))
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        hashes = {file: sha256_of(folder / file) for file in files if file != CARD}
        (folder / MANIFEST).write_text(as_json({"format": FORMAT, "suite": name, "commit": None, "files": hashes}))


def _card(name: str, source: str, tasks: list[str]) -> str:
    return (
        f"# {name}\n\nA reward made by `viper import-checkpoint` from the checkpoint `{source}` of VIPER's authors: "
        f"log-likelihoods in nats, on no scale.\n\nTasks: {', '.join(tasks)}.\n"
    )


def _lineage(source: Path) -> Json:
    return {"steps": {}, "imported": {"kind": "checkpoint", "path": source.resolve().name}}


def _training(about: JsonView) -> Json:
    """Their schedule, as far as it is known: kept for the record, and for going on."""
    return {
        "steps": about.get("total_steps", 1),
        "batch_size": about.get("batch_size", 1),
        "learning_rate": about.get("lr", 1e-4),
    }


def _grid(model: VQGAN) -> str:
    return "x".join(map(str, model.grid))
