"""Cards: what an artifact is, how it was made, how good it is, where it comes from, and what it is not for.

They are made from what artifacts carry inside; their words are no input of any stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.reporting.paper_figures.tables import flat, words
from viper_pipeline.training.artifacts import Directory

SAMPLES = 8
"""Frames of a dataset's sample picture."""
LONG = 12
"""Numbers from which on a list is told by its mean."""

WHAT = {
    "train_expert": "An expert: plays well on true state, and makes the expert episodes.",
    "record_episodes": "Every rollout of the expert, and of the expert under noise, with true rewards.",
    "record_baselines": "Random and idle episodes: what the task returns to one who has learned nothing.",
    "curate_experts": "An expert set: the videos that the models read, some of them held out.",
    "train_tokenizer": "A tokenizer: a frame becomes a grid of discrete codes, and back.",
    "encode_experts": "An expert set as codes.",
    "train_video_model": "A video model: p(frame given earlier frames), over codes.",
    "evaluate_reward": "A reward: the scale of a video model's log-likelihoods, and its scores of many kinds of video.",
    "train_agent": "An agent: weights of the end of training, its learning curve, and a film.",
}
LIMITS = {
    "record_episodes": "Made by one expert, with its habits; noisy episodes only test rewards.",
    "curate_experts": "Few tasks, one camera, one behaviour a task; too few videos to learn the task's whole variety.",
    "train_tokenizer": "Knows frames of its own suite, size, camera and shadows; shows strange ones as familiar.",
    "train_video_model": "Scores videos of its own frame specification only; likelihood is not progress: a still "
    "picture of an expert can look better than an expert.",
    "evaluate_reward": "Refuses frames of another specification. A high value says `looks expert`, nothing more.",
    "train_agent": "Trained on one task and one seed; say nothing of the method by it alone.",
}
LICENCES = {
    "dmc": "Frames drawn by dm_control and MuJoCo (Apache 2.0); this file: the project's licence (MIT).",
    "atari": "Frames show commercial games, whose owners keep their rights; use for research only.",
}
PICTURE = "frames of one episode"
"""What a dataset's sample picture shows."""
OWN = "Made by this project; its licence (MIT)."
IMPORTED = "Imported videos: the licence is that of their owner, and is to be filled in by whoever passes this on."


@dataclass(frozen=True)
class Card:
    """One artifact's."""

    name: str  # its path, or what is known of it
    what: str
    facts: Sequence[tuple[str, str]]
    stage: str = ""
    parents: Sequence[str] = ()
    licence: str = OWN
    limits: str = ""
    picture: np.ndarray | None = None  # (H, W, 3) uint8
    settings: Sequence[tuple[str, str]] = field(default_factory=tuple)


def stage_name(step: Mapping[str, Any]) -> str:
    """`dmc.train_agent_viper.cartpole...` -> `train_agent_viper`."""
    parts = str(step.get("stage", "")).split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def said_of(table: Mapping[str, str], stage: str) -> str:
    """The words for a stage; for those of one kind, of the kind."""
    return table.get(stage) or next((text for name, text in table.items() if stage.startswith(name)), "")


def dataset_card(path: str, file: EpisodeFile, steps: Mapping[str, Mapping[str, Any]]) -> Card:
    """steps: lineage, path -> {stage, params, parents}."""
    step = steps.get(path, {})
    stage = stage_name(step)
    return Card(
        path,
        said_of(WHAT, stage) or "Episodes of one task.",
        list(dataset_facts(file)),
        stage=str(step.get("stage", "")),
        parents=list(step.get("parents", {})),
        licence=licence_of(file.suite, path, steps),
        limits=said_of(LIMITS, stage),
        picture=sample(file) if file.payload == "frames" else None,
        settings=settings_of(step),
    )


def dataset_facts(file: EpisodeFile) -> Iterator[tuple[str, str]]:
    """Sizes, returns, and how frames were made."""
    yield "task", f"{file.suite}, {file.task}"
    for name in file.groups:
        group = file.group(name)
        if not len(group):
            continue
        returns = group.returns[~np.isnan(group.returns)]
        span = (
            f", true return {returns.mean():.1f} ({returns.min():.1f} to {returns.max():.1f})" if len(returns) else ""
        )
        kinds = ", ".join(sorted(set(group.kinds)))
        yield name.replace("_", " "), f"{len(group)} episodes ({kinds}), {int(group.lengths.sum()):,} frames{span}"
    first = file.group(file.groups[0]) if file.groups else None
    if first is not None:
        yield file.payload, f"{' x '.join(map(str, first.shape))}, {first.dtype}"
    yield "frame specification", ", ".join(f"{k} {words(v)}" for k, v in flat(file.spec.model_dump(mode="json")) if v)


def model_card(path: str, directory: Directory, steps: Mapping[str, Mapping[str, Any]]) -> Card:
    """Of a tokenizer, video model, reward, expert or agent."""
    step = steps.get(path, {})
    stage = stage_name(step)
    suite = str(directory.config.get("suite") or str(step.get("stage", "")).partition(".")[0])
    return Card(
        path,
        said_of(WHAT, stage) or "A model.",
        list(model_facts(directory)),
        stage=str(step.get("stage", "")),
        parents=list(step.get("parents", {})),
        licence=licence_of(suite, path, steps),
        limits=said_of(LIMITS, stage),
        settings=settings_of(step),
    )


def model_facts(directory: Directory) -> Iterator[tuple[str, str]]:
    """Sizes, and every number that the stage measured, in the order of config.json; its settings stand apart."""
    if directory.tensors:
        yield "weights", f"{sum(t.numel() for t in directory.tensors.values()):,} numbers"
    for key, value in sorted(directory.config.items()):
        if key in ("model", "agent", "run", "reward", "specs"):
            continue
        for name, text in flat_facts(value, key):
            yield name.replace("_", " "), text


def flat_facts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Nested values by dotted names; long lists of numbers by their mean."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat_facts(inner, f"{name}.{key}")
    elif isinstance(value, list) and len(value) > LONG and all(isinstance(v, int | float) for v in value):
        yield name, f"mean {np.mean(value):.4g} of {len(value)} ({min(value):.4g} to {max(value):.4g})"
    elif isinstance(value, float):
        yield name, f"{value:.4g}"
    elif value is not None:
        yield name, words(value)


def settings_of(step: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parameters that the stage read."""
    return [row for name, value in step.get("params", {}).items() for row in flat(value, name)]


def licence_of(suite: str, path: str, steps: Mapping[str, Mapping[str, Any]]) -> str:
    """Of simulated frames the simulator's; of imported videos, anywhere up the lineage, their owner's."""
    todo = [path]
    seen: set[str] = set()
    while todo:
        step = steps.get(todo.pop(), {})
        for name, value in step.get("params", {}).items():
            if (
                ".datasets." in name
                and isinstance(value, Mapping)
                and value.get("kind", "expert") not in ("expert", "oracle")
            ):
                return IMPORTED
        new = [p for p in step.get("parents", {}) if p not in seen]
        seen |= set(new)
        todo += new
    return LICENCES.get(suite, OWN)


def sample(file: EpisodeFile) -> np.ndarray | None:
    """Frames of one episode, side by side: (H, SAMPLES W, 3)."""
    names = [n for n in ("held_out", "train", *file.groups) if n in file.groups and len(file.group(n))]
    if not names:
        return None
    group = file.group(names[0])
    length = int(group.lengths[0])
    frames = [group.read(t, t + 1)[0] for t in np.linspace(0, length - 1, SAMPLES).astype(int)]
    return np.concatenate(frames, 1)


def as_markdown(card: Card, pictures: Mapping[str, str] | None = None) -> str:
    """For a README.md beside the artifact, or to be read. pictures: file that lies beside it -> what it shows."""
    lines = [f"# {card.name}", "", card.what, "", "| fact | value |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in card.facts]
    lines += ["", "## Where it comes from", "", f"Made by stage `{card.stage or 'unknown'}`"]
    lines[-1] += " from:" if card.parents else "."
    lines += [f"- `{parent}`" for parent in card.parents]
    if card.settings:
        lines += ["", "| setting | value |", "|---|---|", *(f"| {name} | {text} |" for name, text in card.settings)]
    lines += ["", "## Licence", "", card.licence]
    if card.limits:
        lines += ["", "## Limits", "", card.limits]
    lines += [line for name, shows in (pictures or {}).items() for line in ("", f"![{shows}]({name})")]
    return "\n".join(lines) + "\n"
