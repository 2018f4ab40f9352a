"""Figures of frames: environments (Figs 2, 13 to 15), continuations (Figs 4, 7), maps of surprise (Figs 16 to 18)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from viper_pipeline.reporting.paper_data import PAPER_TASKS
from viper_pipeline.reporting.paper_figures.base import Drawn, FigurePart
from viper_pipeline.reporting.plots import decode_picture, panels_of, show_frames
from viper_pipeline.reporting.results import Evidence, ModelKey, Row, TaskKey
from viper_pipeline.rewards.methods import RATIO_MODEL
from viper_pipeline.training.artifacts import ModelArtifact

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class StripKey(NamedTuple):
    """A model's strip of frames of one task."""

    suite: str
    model: str
    task: str

    @property
    def model_key(self) -> ModelKey:
        """The model that carries it."""
        return ModelKey(self.suite, self.model)


def strips_of(models: Mapping[ModelKey, ModelArtifact], prefix: str) -> dict[StripKey, bytes]:
    """Strips called `<prefix>_<task>.png` in the models' folders."""
    return {
        StripKey(suite, model, name.removeprefix(f"{prefix}_").removesuffix(".png")): content
        for (suite, model), artifact in models.items()
        for name, content in artifact.files.items()
        if name.startswith(f"{prefix}_") and name.endswith(".png")
    }


def one_per_suite(found: Mapping[StripKey, bytes], suites: Sequence[str], prefer: Sequence[str] = ()) -> list[StripKey]:
    """One task per suite; tasks in `prefer` come first."""
    ranked = sorted(found, key=lambda k: prefer.index(k[2]) if k[2] in prefer else len(prefer))
    first = {suite: next((k for k in ranked if k[0] == suite), None) for suite in suites}
    return [key for key in first.values() if key is not None]


def rollout_parts(evidence: Evidence) -> list[FigurePart]:
    """One environment per suite."""
    found = one_per_suite(strips_of(evidence.video_models, "rollouts"), ("dmc", "atari", evidence.manipulation))
    there = {key[0]: key for key in found}
    made = []
    for suite in ("dmc", "atari", "rlbench"):
        name = evidence.manipulation if suite == "rlbench" else suite
        key = there.get(name)
        note = "no video model" if key is None else "" if name == suite else f"{name} in the place of {suite}"
        made.append(
            FigurePart(suite, int(key is not None), 1, note, (Row("video_models", key.model_key),) if key else ())
        )
    return made


def draw_rollouts(evidence: Evidence) -> Drawn:
    """Fig 4."""
    found = strips_of(evidence.video_models, "rollouts")
    return draw_continuations(
        evidence,
        one_per_suite(found, ("dmc", "atari", evidence.manipulation), ("quadruped_walk", "walker_walk", "zaxxon")),
    )


def draw_continuations(
    evidence: Evidence, keys: Sequence[StripKey], remarks: Mapping[StripKey, str] = MappingProxyType({})
) -> Drawn:
    """Continuations of a first frame: one row per key, with a remark in its title."""
    found = strips_of(evidence.video_models, "rollouts")
    figure, panels = panels_of(len(keys), 1, 8.6, 1.75)
    for panel, (suite, model, task) in zip(panels, keys, strict=True):
        strip = decode_picture(found[StripKey(suite, model, task)])
        size = int(evidence.tokenizers[suite].config.get("size", 64)) if suite in evidence.tokenizers else 64
        remark = f" ({said})" if (said := remarks.get(StripKey(suite, model, task))) else ""
        title = f"{suite}: {task}{remark}, {model}; above a held-out expert (decoded), below the model"
        show_frames(panel, strip[: 2 * size], title)
    return Drawn(
        figure,
        f"n = 1 video of {len(keys)} environment{'s' if len(keys) > 1 else ''}. The model is shown the first frame and "
        "samples the others; both rows are decoded codes. Consecutive frames, where the paper shows T = 0, 16, 32, 48, "
        "64.",
    )


def map_parts(evidence: Evidence, suite: str, task: str) -> list[FigurePart]:
    """An expert's strip and a random one's."""
    name = evidence.manipulation if suite == "rlbench" else suite
    keys = one_per_suite(strips_of(evidence.rewards, "maps"), (name,), (task,))
    if not keys:
        known = any(key[0] == name for key in evidence.rewards)
        why = "the evaluated reward holds no maps: evaluate it again" if known else f"no reward of suite {suite}"
        return [FigurePart(f"{task}: reference and random", 0, 1, why)]
    ((found, model, shown),) = keys
    note = "" if shown == task else f"{shown} in the place of {task}"
    return [FigurePart(f"{task}: reference and random", 1, 1, note, (Row("rewards", ModelKey(found, model)),))]


def draw_maps(evidence: Evidence, suite: str, task: str) -> Drawn:
    """Figs 16, 17 and 18."""
    name = evidence.manipulation if suite == "rlbench" else suite
    maps = strips_of(evidence.rewards, "maps")
    ((found, model, shown),) = one_per_suite(maps, (name,), (task,))
    models = list(dict.fromkeys([model, *(key.model for key in maps if (key.suite, key.task) == (found, shown))]))
    strips = [decode_picture(maps[StripKey(found, name, shown)]) for name in models]
    height = 8.6 * max(strip.shape[0] / strip.shape[1] for strip in strips) + 0.3
    figure, panels = panels_of(len(models), 1, 8.6, height)
    for panel, name, strip in zip(panels, models, strips, strict=True):
        show_frames(panel, strip, f"{found}: {shown}, {name}")
    ratio = f" Of {RATIO_MODEL} it is minus the log ratio: dark codes say expert, bright ones agent."
    return Drawn(
        figure,
        "n = 1 held-out expert (above) and 1 random video (below), ten frames each; under the frames, minus the "
        "log-likelihood of every code, enlarged, on one scale. Bright surprises the model; the paper's is likely."
        + (ratio if RATIO_MODEL in models else ""),
    )


NOT_HELD_OUT = "needs a suite with two arms, and a video model that held a pair of arm and task out"
PAPER_PAIRS = ("Sawyer, saucepan (trained)", "Panda, umbrella (trained)", "Panda, saucepan (held out)")


@dataclass(frozen=True)
class HeldOutPair:
    """A model that held pairs of arm and task out: two pairs of its training, and the first that was not in it."""

    suite: str
    model: str
    tasks: tuple[str, ...]

    @property
    def held_out(self) -> str:
        """The pair that was not in training."""
        return self.tasks[-1]


def held_out_pair(evidence: Evidence) -> HeldOutPair | None:
    """Of the first such model of the suite shown for RLBench; trained pairs with the same arm or task go first."""
    for (suite, model), artifact in evidence.video_models.items():
        if suite == evidence.manipulation and (out := artifact.config.get("held_out_tasks")):
            trained = [task for task in evidence.settings[suite]["tasks"] if task not in out]
            alike = sorted(trained, key=lambda task: not set(task.split("_")) & set(out[0].split("_")))
            return HeldOutPair(suite, model, (*alike[:2], out[0]))
    return None


def prediction_parts(evidence: Evidence) -> list[FigurePart]:
    """Fig 7: two trained pairs, and the one held out."""
    found = held_out_pair(evidence)
    if found is None:
        return [FigurePart(name, 0, 1, NOT_HELD_OUT) for name in PAPER_PAIRS]
    source = (Row("video_models", ModelKey(found.suite, found.model)),)
    strips = strips_of(evidence.video_models, "rollouts")
    return [
        FigurePart(
            name, int(StripKey(found.suite, found.model, task) in strips), 1, f"{task} in the place of {name}", source
        )
        for name, task in zip(PAPER_PAIRS, found.tasks, strict=False)
    ]


def draw_predictions(evidence: Evidence) -> Drawn:
    """Fig 7."""
    found = held_out_pair(evidence)
    assert found
    strips = strips_of(evidence.video_models, "rollouts")
    keys = [key for task in found.tasks if (key := StripKey(found.suite, found.model, task)) in strips]
    return draw_continuations(
        evidence, keys, {StripKey(found.suite, found.model, found.held_out): "never seen in training"}
    )


OVERVIEW_TASKS = {
    "dmc": ("quadruped_walk", "walker_walk"),
    "atari": ("pong", "freeway"),
    "rlbench": PAPER_TASKS["rlbench"][3:5],
}
"""Two tasks per suite for Fig 2; others stand in where these have no videos."""


def overview_tasks(evidence: Evidence, suite: str) -> list[TaskKey]:
    """At most two tasks of the suite that have expert videos."""
    there = [key for key in evidence.experts if key[0] == suite]
    wanted = OVERVIEW_TASKS.get(suite, ())
    return sorted(there, key=lambda key: wanted.index(key[1]) if key[1] in wanted else len(wanted))[:2]


def overview_parts(evidence: Evidence) -> list[FigurePart]:
    """Two pictures per suite."""
    return [
        FigurePart(
            f"{suite} {number + 1}",
            int(len(chosen) > number),
            note="" if len(chosen) > number else "no expert set",
            sources=tuple(Row("experts", key) for key in chosen[number : number + 1]),
        )
        for suite in ("dmc", "atari", evidence.manipulation)
        for chosen in [overview_tasks(evidence, suite)]
        for number in range(2)
    ]


def draw_overview(evidence: Evidence) -> Drawn:
    """Fig 2."""
    chosen = [key for suite in ("dmc", "atari", evidence.manipulation) for key in overview_tasks(evidence, suite)]
    return Drawn(draw_tiles(evidence, chosen, 6), tiles_caption(evidence, chosen))


def tiles_of_suite(evidence: Evidence, suite: str, count: int) -> tuple[str, list[TaskKey]]:
    """The suite that is shown, and its tasks that have an expert set; at most `count` of them."""
    name = evidence.manipulation if suite == "rlbench" else suite
    return name, [key for key in evidence.experts if key[0] == name][:count]


def tile_parts(evidence: Evidence, suite: str, count: int) -> list[FigurePart]:
    """One picture per task; the paper's tasks without an expert set count as missing."""
    name, chosen = tiles_of_suite(evidence, suite, count)
    note = "" if name == suite else f"{name} in the place of {suite}"
    parts = [FigurePart(key[1], 1, note=note, sources=(Row("experts", key),)) for key in chosen]
    there = {key[1] for key in chosen}
    absent = [task for task in PAPER_TASKS[suite] if task not in there][: max(count - len(parts), 0)]
    return parts + [FigurePart(task, 0, note="no expert set") for task in absent]


def draw_suite_tiles(evidence: Evidence, suite: str, count: int) -> Drawn:
    """Figs 13, 14 and 15."""
    _, chosen = tiles_of_suite(evidence, suite, count)
    return Drawn(draw_tiles(evidence, chosen, 5), tiles_caption(evidence, chosen))


def draw_tiles(evidence: Evidence, chosen: Sequence[TaskKey], columns: int) -> Figure:
    """One frame per task, from the middle of a held-out expert video."""
    columns = min(columns, max(len(chosen), 2))
    figure, panels = panels_of(len(chosen), columns, 1.5, 1.7)
    for panel, key in zip(panels, chosen, strict=True):
        show_frames(panel, middle_frame(evidence, key), f"{key[0]}: {key[1]}".replace("_", " ", 3))
    return figure


def middle_frame(evidence: Evidence, key: TaskKey) -> np.ndarray:
    """(H, W, 3) of the first held-out expert, or of the first training video."""
    file = evidence.experts[key]
    group = file.group("held_out") if len(file.group("held_out")) else file.group("train")
    at = int(group.lengths[0]) // 2
    return group.read(at, at + 1)[0]


def tiles_caption(evidence: Evidence, chosen: Sequence[TaskKey]) -> str:
    """How many videos stand behind the pictures."""
    videos = sum(len(evidence.experts[key].group(g)) for key in chosen for g in ("train", "held_out"))
    return (
        f"One frame of a held-out expert video per task, at the resolution that models see; "
        f"n = {len(chosen)} task{'s' if len(chosen) != 1 else ''}, {videos} expert videos in all."
    )
