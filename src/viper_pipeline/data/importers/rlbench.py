"""Demonstrations as RLBench's dataset generator writes them; neither RLBench nor a simulator is needed (paper 4.1).

    <task>/variation<i>/variation_descriptions.pkl
    <task>/variation<i>/episodes/episode<j>/<camera>_rgb/<t>.png, and low_dim_obs.pkl

One camera's pictures become the video. Only demonstrations that succeed are saved, so the last frame has reward 1.
Joint angles, poses and actions stay behind: a reward from videos has no use for them, and no file of ours a place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode, resized
from viper_pipeline.data.importers import checked_frames
from viper_pipeline.data.importers.safe_pickle import Demo, Observation, read_safely

NUMBER = "(0|[1-9][0-9]*)"
"""RLBench counts from 0 and pads nothing: 10 comes after 9, though not in the order of names."""


def read_rlbench(
    path: Path, size: int, *, camera: int | str = "front", task: str = "", **_: object
) -> Iterator[Episode]:
    """Every demonstration of a task, by variation, then by episode.

    path: the task's folder, or the one that holds it under the task's name, with or without its first word, the arm.
    camera: as RLBench calls it: front, wrist, overhead, left_shoulder or right_shoulder.
    """
    root = path.resolve()
    for variation in _numbered(_task_folder(path, task), "variation", root):
        _read_descriptions(variation / "variation_descriptions.pkl", root)
        for episode in _numbered(_inside(variation / "episodes", root), "episode", root):
            frames = _frames(episode, str(camera), root)
            _check_count(episode / "low_dim_obs.pkl", len(frames), root)
            rewards = np.zeros(len(frames), np.float32)
            rewards[-1] = 1
            yield Episode(resized(checked_frames(frames, episode), size), rewards)


def _task_folder(path: Path, task: str) -> Path:
    for folder in (path, path / task, path / task.partition("_")[2]):
        if any(folder.glob("variation*")):
            return folder
    found = sorted(p.name for p in path.iterdir() if any(p.glob("variation*"))) if path.is_dir() else []
    raise BadData(
        f"{path}: holds no folder variation0 of RLBench demonstrations, nor a task's folder called "
        f"{task.partition('_')[2] or 'as the task'} (tasks found: {', '.join(found) or 'none'})"
    )


def _numbered(folder: Path, word: str, root: Path, ending: str = "") -> list[Path]:
    """What is called <word><number><ending> in a folder, in the order of numbers. Other names are refused."""
    named = {}
    for entry in _inside(folder, root).iterdir():
        if entry.name.startswith("."):
            continue
        if not (found := re.fullmatch(word + NUMBER + re.escape(ending), entry.name)):
            raise BadData(f"{entry}: only {word}0{ending}, {word}1{ending}, ... may stand in this folder")
        named[int(found[1])] = _inside(entry, root)
    if not named:
        raise BadData(f"{folder}: is empty; {word}0{ending} is missing")
    return [named[i] for i in sorted(named)]


def _frames(episode: Path, camera: str, root: Path) -> np.ndarray:
    """One camera's pictures (T, H, W, 3), which must be numbered without a gap and of one size."""
    folder = episode / f"{camera}_rgb"
    if not folder.is_dir():
        seen = sorted(p.name.removesuffix("_rgb") for p in episode.glob("*_rgb"))
        raise BadData(f"{folder}: there is no camera '{camera}'; frames.camera can be {', '.join(seen) or 'none'}")
    files = _numbered(folder, "", root, ".png")
    if missing := sorted(set(range(len(files))) - {int(f.stem) for f in files}):
        raise BadData(f"{folder}: {missing[0]}.png is missing, but pictures go on up to {files[-1].name}")
    frames = [_picture(file) for file in files]
    for file, frame in zip(files, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise BadData(f"{file}: is {frame.shape[1]} x {frame.shape[0]} pixels, unlike {files[0].name}")
    return np.stack(frames)


def _picture(file: Path) -> np.ndarray:
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            if picture.mode != "RGB":
                raise BadData(f"{file}: a picture of mode {picture.mode}, not RGB")
            return np.asarray(picture)
    except BadData:
        raise
    except Exception as error:  # decoders have many exceptions of their own
        raise BadData(f"{file}: not a readable PNG ({error})") from error


def _check_count(file: Path, count: int, root: Path) -> None:
    """The demonstration must hold as many moments as there are pictures."""
    demo = read_safely(_inside(file, root), expected=(Demo,))
    moments = demo.state.get("_observations") if isinstance(demo, Demo) and isinstance(demo.state, dict) else None
    if not isinstance(moments, list) or not all(isinstance(moment, Observation) for moment in moments):
        raise BadData(f"{file}: is not a demonstration of RLBench")
    if len(moments) != count:
        raise BadData(f"{file}: holds {len(moments)} moments, but there are {count} pictures")


def _read_descriptions(file: Path, root: Path) -> None:
    """What the variation is in words: checked, since a demonstration without them is none of RLBench's, and left."""
    words = read_safely(_inside(file, root), what="list of sentences", expected=(list,))
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BadData(f"{file}: is not a list of sentences")


def _inside(entry: Path, root: Path) -> Path:
    """The entry, if it is there and, links followed, within the folder that was named."""
    try:
        real = entry.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise BadData(f"{entry}: is missing, or a link that leads nowhere") from error
    if not real.is_relative_to(root):
        raise BadData(f"{entry}: is a link to {real}, outside of {root}; copy the file into the folder")
    if not (real.is_file() or real.is_dir()):
        raise BadData(f"{entry}: is neither a file nor a folder")
    return entry
