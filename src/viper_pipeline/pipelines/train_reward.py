"""`viper_pipeline.train_reward`: two folders of videos -> a reward, without a project, a suite or a simulator.

It runs the stages of the pipeline one by one, for one task. In a project the lineage of a reward begins with the
expert; here it begins with the folders of videos.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from viper_pipeline.core.config import ParamsBlock, component
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.core.files import Json, check_writable, md5_of
from viper_pipeline.data.curation import CurationConfig, choose_episodes
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import EpisodeFile, write_groups
from viper_pipeline.data.importers import kind_of, read_videos
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.pipelines.models.nodes import (
    encode_experts,
    evaluate_reward,
    train_tokenizer,
    train_video_model,
)
from viper_pipeline.pipelines.params_fit import LARGEST_SEED
from viper_pipeline.reporting.cards import export_reward
from viper_pipeline.rewards.pretrained import RewardModel, load_reward
from viper_pipeline.tokenizers import trainable_tokenizer
from viper_pipeline.training.artifacts import save_artifact
from viper_pipeline.training.config import ONE_CPU
from viper_pipeline.video_models import VIDEO_MODELS

SUITE = "own"
COMPUTE = ONE_CPU.model_dump()
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


def train_reward(
    experts: Path | str,
    others: Path | str,
    out: Path | str,
    *,
    task: str = "task",
    size: int = 64,
    held_out: int = 2,
    tokenizer: ParamsBlock = TOKENIZER,
    video_model: ParamsBlock = VIDEO_MODEL,
    seed: int = 0,
) -> RewardModel:
    """Train a tokenizer and a video model on the videos in `experts`, and write a folder that `load_reward` reads.

    experts, others: files or folders of .mp4, .gif or .npz. others: videos of behavior that is not an expert's, such as
    random actions; they decide what a reward of 0 is, and measure how well the reward separates the two (see the
    card, README.md). out: a folder that does not exist yet. task: the name of the task in the result, a plain word.
    size: of the square frames that the models see; videos are resized. held_out: number of expert videos that are only
    used for evaluation. tokenizer, video_model: blocks as in params.yaml. Raises, before anything is trained, BadData
    for unreadable, too short or too few videos and for an `out` that cannot be written, and BadParams for settings.
    """
    check_writable(Path(out), folder=True)
    _check(task, size, held_out, tokenizer, video_model, seed)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        least = int(video_model.get("window", 2))
        files, steps = _videos(Path(experts), Path(others), root, task, size, held_out, least)
        scratch = root / "scratch"
        for name in ("tokenizer", "model"):
            (scratch / name).mkdir(parents=True)
        sources: Json = {f"experts__{task}": files["experts"], f"baselines__{task}": files["baselines"]}

        frozen = train_tokenizer(tokenizer, seed, COMPUTE, scratch / "tokenizer", suite=SUITE, **sources)
        at = f"data/tokenizers/{SUITE}"
        save_artifact(root / at, frozen)
        read = {path: md5_of(root / name) for path, name in _stored(task).items()}
        steps[at] = _step("train_tokenizer", "all", {f"suites.{SUITE}.tokenizer": dict(tokenizer), "seed": seed}, read)

        coded = encode_experts(COMPUTE, frozen, files["experts"], suite=SUITE, task=task)
        write_groups(root / "codes.h5", coded.groups, suite=SUITE, task=task, spec=coded.spec, payload="codes")
        codes: Json = {f"codes__{task}": EpisodeFile(root / "codes.h5")}

        settings = dict(video_model)
        model = train_video_model(
            settings, seed, COMPUTE, frozen, scratch / "model", suite=SUITE, model="videogpt", **codes
        )
        behind = f"data/video_models/{SUITE}/videogpt"
        save_artifact(root / behind, model)
        learned = {f"suites.{SUITE}.videogpt": settings, "seed": seed}
        experts_file = f"data/experts/{SUITE}/{task}.h5"
        parents = {at: md5_of(root / at), experts_file: read[experts_file]}
        steps[behind] = _step("train_video_model", "videogpt", learned, parents)

        reward = evaluate_reward(
            {}, {}, seed, COMPUTE, frozen, model, suite=SUITE, model="videogpt", **sources, **codes
        )
        end = f"data/rewards/{SUITE}/videogpt"
        hashes = {place: md5_of(root / place) for place in (at, behind)} | read
        steps[end] = _step("evaluate_reward", "videogpt", {"seed": seed}, hashes)
        save_artifact(root / end, reward, {"steps": steps})
        for file in (*files.values(), *codes.values()):
            file.close()
        export_reward(root / end, Path(out))
    return load_reward(Path(out))


def _check(task: str, size: int, held_out: int, tokenizer: ParamsBlock, video_model: ParamsBlock, seed: int) -> None:
    """Raise BadParams for what would end the training after minutes."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*(_[A-Za-z0-9.-]+)*", task):
        raise BadParams(f"task: {task!r} is not a plain word of letters, digits, '-', '.' and single '_'")
    if held_out < 1:
        raise BadParams(f"held_out: {held_out}; at least 1 video must be held out, to see what a reward of 1 is")
    if not 0 <= seed <= LARGEST_SEED:
        raise BadParams(f"seed: {seed} is not from 0 to 2^32 - 1")
    kind = tokenizer.get("kind", "vqgan")
    try:
        checked = component(trainable_tokenizer(kind).Config, "tokenizer", dict(tokenizer))
        component(VIDEO_MODELS.get("videogpt").Config, "video_model", dict(video_model))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise BadParams("train_reward: " + "\n".join(lines)) from error
    factor = getattr(checked, "factor", 1)
    if size < 1 or size % factor:
        raise BadParams(f"size: frames of {size} pixels do not divide into codes of {factor} pixels; take a multiple")


def _stored(task: str) -> dict[str, str]:
    """The names that lineage has for the stored videos -> the files that hold them here."""
    return {f"data/{name}/{SUITE}/{task}.h5": f"{name}.h5" for name in ("experts", "baselines")}


def _videos(
    experts: Path, others: Path, root: Path, task: str, size: int, held_out: int, least: int
) -> tuple[dict[str, EpisodeFile], Json]:
    """The stored expert set and baselines, and the first steps of their lineage. least: frames a video must have."""
    spec = FrameSpec(size=size)
    good = list(read_videos(kind_of(experts), experts, size))
    for episode in good:
        if len(episode) < least:
            raise BadData(
                f"{experts}: a video of {len(episode)} frames is shorter than the video model's window of {least}; "
                "give longer videos, or a smaller video_model window"
            )
    config = CurationConfig(top_k=len(good), held_out=held_out)
    split = choose_episodes([e.ret for e in good], config, str(experts))
    groups: dict[str, Json] = {
        "experts": {"train": [good[i] for i in split.train], "held_out": [good[i] for i in split.held_out]},
        "baselines": {"episodes": _baselines(others, size)},
    }
    files, steps = {}, {}
    for name, source in (("experts", experts), ("baselines", others)):
        write_groups(root / f"{name}.h5", groups[name], suite=SUITE, task=task, spec=spec)
        files[name] = EpisodeFile(root / f"{name}.h5")
        chosen = {f"suites.{SUITE}.datasets.{task}": {"kind": kind_of(source), "path": source.name}}
        came = {source.as_posix(): md5_of(source)}
        steps[f"data/{name}/{SUITE}/{task}.h5"] = _step(f"import_{name}", task, chosen, came)
    return files, steps


def _baselines(others: Path, size: int) -> Iterator[Episode]:
    """The other videos as random behavior; their first frames, repeated, as idle behavior."""
    for episode in read_videos(kind_of(others), others, size):
        yield Episode(episode.frames, episode.rewards, kind="random")
        yield Episode(np.repeat(episode.frames[:1], len(episode), 0), episode.rewards, kind="idle")


def _step(stage: str, item: str, params: ParamsBlock, parents: Mapping[str, str] | None = None) -> Json:
    return {"stage": f"{SUITE}.{stage}.{item}", "params": dict(params), "parents": dict(parents or {})}
