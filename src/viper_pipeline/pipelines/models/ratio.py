"""The two stages of the likelihood ratio: train_video_model_ratio and evaluate_reward_ratio (docs/likelihood-ratio.md).

The model's class agent is trained on random play. Of each task's random episodes every fourth is kept from it, and
these alone are scored when the reward is evaluated. `files` of a node are named `<prefix>__<task>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.errors import BadParams
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import ConcatEpisodes, ConcatGroup, EpisodeFile, EpisodeGroup
from viper_pipeline.data.sampler import ClipSampler, GroupInMemory, interleaved
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import blacken
from viper_pipeline.pipelines.datasets import by_task
from viper_pipeline.pipelines.models.nodes import evaluate_reward, rollouts
from viper_pipeline.tokenizers import load_tokenizer
from viper_pipeline.tokenizers.base import Tokenizer
from viper_pipeline.training.artifacts import ModelArtifact, history_csv
from viper_pipeline.training.checkpoints import derive, seed_everything
from viper_pipeline.training.config import ComputeConfig
from viper_pipeline.training.loop import train
from viper_pipeline.training.progress import Report
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import check_continuous, for_every_task

KEPT = 4
"""One of so many random episodes of a task is kept for the evaluation."""
MEASURED = 64
"""Clips of each class on which the trained model's loss is measured."""


def train_ratio_model(
    config: ParamsBlock,
    seed: int,
    compute: ParamsBlock,
    tokenizer: ModelArtifact,
    scratch: Path | None,
    held_out_tasks: Sequence[str] | None = None,
    *,
    suite: str,
    model: str,
    tokenizer_kind: str | None = None,
    **files: EpisodeFile,
) -> ModelArtifact:
    """p(frame | earlier frames, class): expert videos are class expert, random play class agent, equally many clips.

    files: codes__, baselines__<task>. held_out_tasks: as in `train_video_model`; nothing is learned from their random
    play either.
    Returns weights, curve.csv, the loss on held-out episodes of each class, the random episodes `kept` from training
    by task, and pictures of open-loop rollouts of the class expert.
    Raises BadParams if a task has too few random episodes, or the tokenizer is continuous.
    """
    place = ComputeConfig.model_validate(compute)
    device = place.begin()
    codes, baselines = by_task("codes", files), by_task("baselines", files)
    frozen = load_tokenizer(tokenizer, tokenizer_kind)
    kind = VIDEO_MODELS.get(model)
    check_continuous(model, kind.continuous, frozen.continuous)
    settings = kind.Config.model_validate(config)
    label = SUITES.get(suite)().task_label if held_out_tasks is not None else str
    classes = {task: label(task) for task in codes}
    learned = [task for task in codes if task not in (held_out_tasks or ())]
    names = tuple(dict.fromkeys(classes[task] for task in learned))
    kept = {task: kept_episodes(baselines[task], suite, task, learns=task in learned) for task in codes}
    frozen.to(device)
    play = {task: list(random_play(frozen, codes[task], baselines[task])) for task in learned}
    frozen.to("cpu")
    shown, unseen = (
        [
            GroupInMemory(
                [v for t in learned if classes[t] == name for i, v in play[t] if (i in kept[t]) is keep],
                f"random play of {name}",
            )
            for name in names
        ]
        for keep in (False, True)
    )
    experts = [ConcatEpisodes([codes[task] for task in learned if classes[task] == name]) for name in names]

    seed = derive(seed, "video_model", suite, model)
    seed_everything(seed)
    network = kind(settings, frozen.codebook, frozen.grid, names)
    of_experts = network.conditions(names)
    conditions = torch.cat([of_experts, network.agent_class(of_experts)]).numpy()
    clips = ClipSampler(
        [*(videos.group("train") for videos in experts), *shown],
        settings.window,
        settings.training.batch_size,
        seed,
    )

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        videos, ids = clips(step)
        return videos, conditions[ids]

    report = Report(f"{model} {suite}")
    history = train(network, batch, settings.training, seed=seed, scratch=scratch, progress=report, compute=place)

    held_out: dict[str, dict[str, dict[str, float]]] = {name: {} for name in names}
    measured: list[EpisodeGroup | ConcatGroup] = [*(videos.group("held_out") for videos in experts), *unseen]
    for i, group in enumerate(measured):
        sample, _ = ClipSampler([group], settings.window, MEASURED, derive(seed, "held_out"))(0)
        condition = torch.as_tensor(conditions[[i] * len(sample)])
        with torch.no_grad():
            _, metrics = network.loss((torch.as_tensor(sample), condition), "model")
        found = {metric: float(value) for metric, value in metrics.items()}
        held_out[names[i % len(names)]]["agent" if i >= len(names) else "expert"] = found
    artifact = network.to_artifact()
    about = {"held_out": held_out, "kept": kept}
    if held_out_tasks is not None:
        artifact = for_every_task(kind, artifact, classes)
        network, about["held_out_tasks"] = kind.from_artifact(artifact), list(held_out_tasks)
    pictures = {
        f"rollouts_{task}.png": rollouts(network, frozen, file.group("held_out"), task) for task, file in codes.items()
    }
    return ModelArtifact(artifact.config | about, artifact.tensors, pictures | {"curve.csv": history_csv(history)})


def kept_episodes(baselines: EpisodeFile, suite: str, task: str, *, learns: bool = True) -> list[int]:
    """Numbers of the random episodes of a file that the model is not trained on: all of a task that it never learns."""
    rows = [i for i, kind in enumerate(baselines.group("episodes").kinds) if kind == "random"]
    if not learns:
        return rows
    if len(rows) < 2:
        raise BadParams(
            f"suites.{suite}.baselines.random: {task} has {len(rows)} random episode; the likelihood ratio needs one "
            "to learn from and another to be judged by: record more, at best dozens"
        )
    return rows[KEPT - 1 :: KEPT] or rows[-1:]


def random_play(tokenizer: Tokenizer, codes: EpisodeFile, baselines: EpisodeFile) -> Iterator[tuple[int, np.ndarray]]:
    """Number of each random episode, and codes int16 (T, h, w) of its videos at the expert set's stride and mask."""
    episodes, spec = baselines.group("episodes"), codes.spec
    for i, kind in enumerate(episodes.kinds):
        if kind == "random":
            frames = torch.as_tensor(blacken(episodes[i].frames, spec.mask))
            with torch.no_grad():
                found = tokenizer.encode(frames).cpu().numpy().astype(np.int16)
            yield from ((i, video) for video in interleaved(found, spec.stride))


class _Chosen:
    """Some episodes of a group; it stands for both the file and its group."""

    def __init__(self, group: EpisodeGroup, rows: Sequence[int]) -> None:
        self._group, self._rows = group, list(rows)
        self.kinds = tuple(group.kinds[i] for i in rows)

    def group(self, name: str) -> _Chosen:
        return self

    def __getitem__(self, i: int) -> Episode:
        return self._group[self._rows[i]]


def evaluate_ratio(
    reward: ParamsBlock,
    evaluation: ParamsBlock,
    seed: int,
    compute: ParamsBlock,
    tokenizer: ModelArtifact,
    video_model: ModelArtifact,
    *,
    suite: str,
    model: str,
    tokenizer_kind: str | None = None,
    **files: EpisodeFile,
) -> ModelArtifact:
    """As `evaluate_reward`, without the random episodes that the class agent was trained on."""
    kept = video_model.config["kept"]
    chosen: dict[str, EpisodeFile | _Chosen] = dict(files)
    for task, file in by_task("baselines", files).items():
        episodes = file.group("episodes")
        rows = [i for i, kind in enumerate(episodes.kinds) if kind != "random" or i in kept[task]]
        chosen[f"baselines__{task}"] = _Chosen(episodes, rows)
    return evaluate_reward(
        reward,
        evaluation,
        seed,
        compute,
        tokenizer,
        video_model,
        suite=suite,
        model=model,
        tokenizer_kind=tokenizer_kind,
        **chosen,  # type: ignore[arg-type]
    )
