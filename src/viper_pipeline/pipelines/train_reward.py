"""`viper_pipeline.train_reward`, and `viper train-reward`: two folders of videos -> a reward.

No project, no suite and no simulator is needed. The stages of the pipeline run one by one, for one task. In a project
the lineage of a reward begins with the expert; here it begins with the hashes of the videos.

Until the result is whole, everything that has been made lies in a folder beside it, `<out>.unfinished`: each stage's
result, and the checkpoints of the training that is under way. The same call goes on from there after a kill.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from pydantic import ValidationError

from viper_pipeline import __version__
from viper_pipeline.core.config import ParamsBlock, component
from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.files import check_writable, free_bytes, nearest_existing
from viper_pipeline.data.importers.film_sizes import FilmSize
from viper_pipeline.pipelines.params_fit import LARGEST_SEED
from viper_pipeline.pipelines.reward_stages import MODEL, Sources, Stages, held
from viper_pipeline.reporting.cards import export_reward
from viper_pipeline.rewards.pretrained import RewardModel, load_reward
from viper_pipeline.tokenizers import trainable_tokenizer
from viper_pipeline.training.config import ComputeConfig, Device, device_of
from viper_pipeline.video_models import VIDEO_MODELS

TOKENIZER = {
    "kind": "vqgan", "architecture": "light", "channels": 16, "multipliers": [1, 2, 4], "blocks": 1,
    "foreground_weight": 20.0, "baseline_share": 0.125, "discriminator": {"weight": 0.0},
    "quantizer": {"size": 256, "dim": 16, "kind": "ema", "decay": 0.97, "restart_below": 0.5},
    "training": {
        "steps": 1000, "batch_size": 64, "learning_rate": 0.002, "schedule": "onecycle", "warmup": 0.05,
        "betas": [0.9, 0.99],
    },
}  # fmt: skip
"""The laptop profile's tokenizer."""
VIDEO_MODEL = {
    "window": 4, "width": 64, "feedforward": 256, "heads": 2, "layers": 3,
    "training": {
        "steps": 1600, "batch_size": 16, "learning_rate": 0.002, "schedule": "onecycle", "warmup": 0.05,
        "optimizer": "adamw", "weight_decay": 0.05,
    },
}  # fmt: skip
"""The laptop profile's VideoGPT."""
MODELS_ROOM = 2**27
"""Bytes of disk for models and their checkpoints, roughly, at the sizes above."""


def train_reward(
    experts: Path | str,
    baselines: Path | str,
    out: Path | str,
    *,
    task: str = "task",
    size: int = 64,
    held_out: int = 2,
    steps: int | None = None,
    tokenizer: ParamsBlock = TOKENIZER,
    video_model: ParamsBlock = VIDEO_MODEL,
    seed: int = 0,
    device: Device = "auto",
    threads: int = 1,
    camera: str | None = None,
    instruction: str | None = None,
) -> RewardModel:
    """Train a tokenizer and a video model on the videos in `experts`, and write a folder that `load_reward` reads.

    experts, baselines: files or folders of videos (.mp4, .gif, .npz and others), or datasets of LeRobot or Minari.
    baselines: behavior that is not an expert's, such as random actions; it decides what a reward of 0 is, and measures
    how well the reward separates the two (see the card, README.md). out: a folder that does not exist yet. Killed and
    called again with the same arguments, the training goes on from its last checkpoint; on the CPU the result is the
    same, bit for bit.

    task: the name of the task in the result, a plain word. size: of the square frames that the models see; videos are
    resized. held_out: number of expert videos that are only used for evaluation. steps: of both trainings together, in
    the proportion of the blocks; None: what they say. tokenizer, video_model: blocks as in params.yaml. device: auto is
    cuda where torch finds a GPU. threads: of the CPU; more than one helps on idle cores alone. camera, instruction:
    which of several in a dataset of LeRobot or Minari.

    Raises, before anything is trained, BadData for unreadable, too short or too few videos, for videos of different
    shapes and for an `out` that cannot be written or is being made from something else; BadParams for settings;
    BadEnvironment for a device that is not there and a disk that is too full.
    """
    out, sources = Path(out), Sources(Path(experts), Path(baselines), {"camera": camera, "instruction": instruction})
    tokenizer, video_model = _with_steps(tokenizer, video_model, steps)
    _check(task, size, held_out, tokenizer, video_model, seed, threads)
    compute = ComputeConfig(threads=threads, accelerator=device_of(device))
    unfinished = out.with_name(f"{out.name}.unfinished")
    if not unfinished.exists():
        check_writable(out, folder=True)
    films = sources.check(size, held_out, int(video_model.get("window", 2)))
    recipe = {
        "version": __version__, "task": task, "size": size, "held_out": held_out, "tokenizer": dict(tokenizer),
        "video_model": dict(video_model), "seed": seed, "camera": camera, "instruction": instruction,
        **{name: sources.hashes(name) for name in sources.paths},
    }  # fmt: skip
    _check_room(out, films, size)
    before = torch.get_num_threads()
    with held(unfinished, recipe):
        try:
            if not out.exists():  # else killed after the last step
                made = Stages(unfinished, task, size, seed, compute, out.name).make(sources, recipe)
                export_reward(made, out)
        finally:
            torch.set_num_threads(before)
        shutil.rmtree(unfinished)
    return load_reward(out)


def _with_steps(tokenizer: ParamsBlock, video_model: ParamsBlock, steps: int | None) -> tuple[ParamsBlock, ParamsBlock]:
    """The blocks, trained for `steps` steps together."""
    if steps is None:
        return tokenizer, video_model
    if steps < 2:
        raise BadParams(f"steps: {steps}; two models are trained, each for at least a step")
    said = [block.get("training", {}).get("steps", 1) for block in (tokenizer, video_model)]
    first = min(max(round(steps * said[0] / sum(said)), 1), steps - 1)
    blocks = zip((tokenizer, video_model), (first, steps - first), strict=True)
    one, other = (dict(block) | {"training": dict(block["training"]) | {"steps": n}} for block, n in blocks)
    return one, other


def _check(
    task: str,
    size: int,
    held_out: int,
    tokenizer: ParamsBlock,
    video_model: ParamsBlock,
    seed: int,
    threads: int,
) -> None:
    """Raise BadParams for what would end the training after minutes."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*(_[A-Za-z0-9.-]+)*", task):
        raise BadParams(f"task: {task!r} is not a plain word of letters, digits, '-', '.' and single '_'")
    if held_out < 1:
        raise BadParams(f"held_out: {held_out}; at least 1 video must be held out, to see what a reward of 1 is")
    if not 0 <= seed <= LARGEST_SEED:
        raise BadParams(f"seed: {seed} is not from 0 to 2^32 - 1")
    if threads < 1:
        raise BadParams(f"threads: {threads}; at least 1 is needed")
    kind = tokenizer.get("kind", "vqgan")
    try:
        checked = component(trainable_tokenizer(kind).Config, "tokenizer", dict(tokenizer))
        component(VIDEO_MODELS.get(MODEL).Config, "video_model", dict(video_model))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise BadParams("train_reward: " + "\n".join(lines)) from error
    factor = getattr(checked, "factor", 1)
    if size < 1 or size % factor:
        raise BadParams(f"size: frames of {size} pixels do not divide into codes of {factor} pixels; take a multiple")


def _check_room(out: Path, films: Mapping[str, Iterable[FilmSize]], size: int) -> None:
    """Raise BadEnvironment if the disk cannot take what the training writes. Films of unknown length do not count."""
    frames = sum(film.frames for name in films for film in films[name])
    need = (
        2 * frames * size * size * 3 + MODELS_ROOM
    )  # experts before and after the split; baselines and their idle twins
    above = nearest_existing(out.absolute().parent)
    if (free := free_bytes(above)) < need:
        raise BadEnvironment(
            f"{above}: {free / 1e6:,.0f} MB free, and {frames:,} frames of {size}x{size} pixels with their models may "
            f"take {need / 1e6:,.0f} MB; free some room, or name a place on another disk"
        )
