"""Pictures that models carry: what a video model makes of a first frame (Fig 4), and where it is surprised
(Figs 16 to 18)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from viper_pipeline.envs.base import blacken
from viper_pipeline.reporting.paper_data import TASKS, paper_lines, paper_trajectories
from viper_pipeline.reporting.paper_figures.base import Drawn, Part, run_source
from viper_pipeline.reporting.plots import axes, colour, panels_of, plot_against_return, plot_along_video, show_frames
from viper_pipeline.reporting.results import Evidence
from viper_pipeline.rewards.evaluation import unpack
from viper_pipeline.training.artifacts import Directory

Key = tuple[str, str, str]
"""suite, model, task"""


def pictures(models: Mapping[tuple[str, ...], Directory], prefix: str) -> dict[Key, bytes]:
    """Strips called `<prefix>_<task>.png` in the models' folders."""
    return {
        (suite, model, name.removeprefix(f"{prefix}_").removesuffix(".png")): content
        for (suite, model), directory in models.items()
        for name, content in directory.files.items()
        if name.startswith(f"{prefix}_") and name.endswith(".png")
    }


def frames_of(strip: bytes) -> np.ndarray:
    """(H, W, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(strip)).convert("RGB"))


def one_each(found: Mapping[Key, bytes], suites: Sequence[str], prefer: Sequence[str] = ()) -> list[Key]:
    """A task a suite, `prefer`red ones first."""
    ranked = sorted(found, key=lambda k: prefer.index(k[2]) if k[2] in prefer else len(prefer))
    first = {suite: next((k for k in ranked if k[0] == suite), None) for suite in suites}
    return [key for key in first.values() if key is not None]


def rollout_parts(evidence: Evidence) -> list[Part]:
    """One environment a suite."""
    found = one_each(pictures(evidence.video_models, "rollouts"), ("dmc", "atari", evidence.manipulation))
    there = {key[0]: key for key in found}
    made = []
    for suite in ("dmc", "atari", "rlbench"):
        name = evidence.manipulation if suite == "rlbench" else suite
        key = there.get(name)
        note = "no video model" if key is None else "" if name == suite else f"{name} in the place of {suite}"
        made.append(Part(suite, int(key is not None), 1, note, (f"video_model__{key[0]}__{key[1]}",) if key else ()))
    return made


def draw_rollouts(evidence: Evidence) -> Drawn:
    """Fig 4."""
    found = pictures(evidence.video_models, "rollouts")
    return continued(
        evidence, one_each(found, ("dmc", "atari", evidence.manipulation), ("quadruped_walk", "walker_walk", "zaxxon"))
    )


def continued(evidence: Evidence, keys: Sequence[Key], remarks: Mapping[Key, str] = MappingProxyType({})) -> Drawn:
    """Continuations of a first frame, a row a key, with what is to be said of it."""
    found = pictures(evidence.video_models, "rollouts")
    figure, panels = panels_of(len(keys), 1, 8.6, 1.75)
    for panel, (suite, model, task) in zip(panels, keys, strict=True):
        strip = frames_of(found[suite, model, task])
        size = int(evidence.tokenizers[suite,].config.get("size", 64)) if (suite,) in evidence.tokenizers else 64
        remark = f" ({said})" if (said := remarks.get((suite, model, task))) else ""
        title = f"{suite}: {task}{remark}, {model}; above a held-out expert (decoded), below the model"
        show_frames(panel, strip[: 2 * size], title)
    return Drawn(
        figure,
        f"n = 1 video of {len(keys)} environment{'s' if len(keys) > 1 else ''}. The model is shown the first frame and "
        "samples the others; both rows are decoded codes. Consecutive frames, where the paper shows T = 0, 16, 32, 48, "
        "64.",
        vector=False,
    )


def map_parts(evidence: Evidence, suite: str, task: str) -> list[Part]:
    """An expert's strip and a random one's."""
    name = evidence.manipulation if suite == "rlbench" else suite
    keys = one_each(pictures(evidence.rewards, "maps"), (name,), (task,))
    if not keys:
        known = any(key[0] == name for key in evidence.rewards)
        why = "the evaluated reward holds no maps: evaluate it anew" if known else f"no reward of suite {suite}"
        return [Part(f"{task}: reference and random", 0, 1, why)]
    ((found, model, shown),) = keys
    note = "" if shown == task else f"{shown} in the place of {task}"
    return [Part(f"{task}: reference and random", 1, 1, note, (f"reward__{found}__{model}",))]


def draw_maps(evidence: Evidence, suite: str, task: str) -> Drawn:
    """Figs 16, 17 and 18."""
    name = evidence.manipulation if suite == "rlbench" else suite
    maps = pictures(evidence.rewards, "maps")
    ((found, model, shown),) = one_each(maps, (name,), (task,))
    strip = frames_of(maps[found, model, shown])
    figure, (panel,) = panels_of(1, 1, 8.6, 8.6 * strip.shape[0] / strip.shape[1] + 0.3)
    show_frames(panel, strip, f"{found}: {shown}, {model}")
    return Drawn(
        figure,
        "n = 1 held-out expert (above) and 1 random video (below), ten frames each; under the frames, minus the "
        "log-likelihood of every code, enlarged, on one scale. Bright surprises the model; the paper's is likely.",
        vector=False,
    )


WHY = "needs a suite with two arms, and a video model that held a pair of arm and task out"
PAPER = ("Sawyer, saucepan (trained)", "Panda, umbrella (trained)", "Panda, saucepan (held out)")


@dataclass(frozen=True)
class Unseen:
    """A model that held pairs out; two pairs of its training, and the first that was not in it."""

    suite: str
    model: str
    tasks: tuple[str, ...]

    @property
    def held_out(self) -> str:
        """The pair that was not."""
        return self.tasks[-1]


def unseen(evidence: Evidence) -> Unseen | None:
    """The first such model of the suite that plays RLBench's part; the pair of the same arm, or task, goes first."""
    for (suite, model), directory in evidence.video_models.items():
        if suite == evidence.manipulation and (out := directory.config.get("held_out_tasks")):
            trained = [task for task in evidence.settings[suite]["tasks"] if task not in out]
            alike = sorted(trained, key=lambda task: not set(task.split("_")) & set(out[0].split("_")))
            return Unseen(suite, model, (*alike[:2], out[0]))
    return None


def prediction_parts(evidence: Evidence) -> list[Part]:
    """Fig 7: two trained pairs, and the one held out."""
    found = unseen(evidence)
    if found is None:
        return [Part(name, 0, 1, WHY) for name in PAPER]
    source = (f"video_model__{found.suite}__{found.model}",)
    strips = pictures(evidence.video_models, "rollouts")
    return [
        Part(name, int((found.suite, found.model, task) in strips), 1, f"{task} in the place of {name}", source)
        for name, task in zip(PAPER, found.tasks, strict=False)
    ]


def draw_predictions(evidence: Evidence) -> Drawn:
    """Fig 7."""
    found = unseen(evidence)
    assert found
    strips = pictures(evidence.video_models, "rollouts")
    keys = [key for task in found.tasks if (key := (found.suite, found.model, task)) in strips]
    return continued(evidence, keys, {(found.suite, found.model, found.held_out): "never seen in training"})


def reward_parts(evidence: Evidence) -> list[Part]:
    """Fig 8: an agent on the held-out pair, and the likelihood of its videos."""
    names = "success of an agent on the held-out pair", "likelihood of its videos"
    found = unseen(evidence)
    if found is None:
        return [Part(name, 0, 1, WHY) for name in names]
    suite, task = found.suite, found.held_out
    runs = evidence.runs_of(suite, task, "viper")
    where = f"{suite}: {task} in the place of Panda's saucepan"
    key = (suite, found.model)
    sources = tuple(map(run_source, runs))
    return [
        Part(names[0], len(runs), 1, where if runs else f"no agent on {task}: method viper", sources),
        Part(names[1], int(key in evidence.rewards), 1, where, (f"reward__{suite}__{found.model}",)),
    ]


def draw_reward(evidence: Evidence) -> Drawn:
    """Fig 8: the agents' curves where there are any, and nats along videos: a trained pair beside the unseen one."""
    found = unseen(evidence)
    assert found
    runs = evidence.runs_of(found.suite, found.held_out, "viper")
    directory = evidence.rewards.get((found.suite, found.model))
    shown = (found.tasks[0], found.held_out) if directory else ()
    figure, panels = axes(len(shown) + bool(runs), 4.8, 2.8)
    for panel, task in zip(panels, shown, strict=False):
        assert directory
        plot_along_video(
            panel,
            f"{task}, {'never seen' if task == found.held_out else 'trained'}",
            unpack(task, directory.tensors)[0],
        )
    for run in runs:
        panels[-1].plot(run.steps, run.returns, color=colour("viper"), lw=1)
        panels[-1].set(xlabel="agent steps", ylabel="true return", title=f"viper on {found.held_out}")
    return Drawn(
        figure,
        f"Nats of held-out experts and of random behaviour along the video, n = the report's evaluation episodes; "
        f"agents on {found.held_out}: n = {len(runs)}.",
    )


VIDEOS = 40  # of a kind, in the paper
MOMENTS = (0, 50, 100, 200)
ROWS = 2  # tasks that are drawn; the report shows the others one by one


def chosen(evidence: Evidence) -> list[tuple[str, str, str]]:
    """(suite, model, task): the paper's quadruped first, then as they come; the model that pays before others."""
    keys = [(s, m, task) for (s, m), directory in evidence.rewards.items() for task in directory.config["scales"]]
    paying = {suite: block.get("reward", {}).get("model") for suite, block in evidence.settings.items()}
    return sorted(keys, key=lambda k: (k[0] != "dmc", "quadruped" not in k[2], k[1] != paying.get(k[0], k[1])))[:ROWS]


def parts(evidence: Evidence) -> list[Part]:
    """Reference and random videos, and their returns."""
    made = []
    for suite, model, task in chosen(evidence)[:1]:
        scores, _ = unpack(task, evidence.rewards[suite, model].tensors)
        note = "" if "quadruped" in task else f"{task} in the place of quadruped"
        for kind, name in (("held_out", "reference"), ("random", "random")):
            made.append(
                Part(f"{name} videos", len(scores[kind]), VIDEOS, note, (f"reward__{suite}__{model}",), "videos")
            )
    return made or [
        Part(f"{kind} videos", 0, VIDEOS, "no reward has been evaluated") for kind in ("reference", "random")
    ]


def draw(evidence: Evidence) -> Drawn:
    """A row a task of ours, and the paper's below."""
    keys = chosen(evidence)
    figure, panels = panels_of(3 * len(keys) + 2, 3, 3.6, 2.6)
    counts = []
    for row, (suite, model, task) in enumerate(keys):
        scores, returns = unpack(task, evidence.rewards[suite, model].tensors)
        along, against, frames = panels[3 * row : 3 * row + 3]
        plot_along_video(along, task, scores)
        plot_against_return(against, scores, returns)
        film(frames, evidence, suite, task)
        counts.append(f"{task}: {len(scores['held_out'])} held-out and {len(scores['random'])} random videos")
    paper_along(panels[-2])
    paper_against(panels[-1])
    return Drawn(
        figure,
        f"n = {'; '.join(counts)}, against the paper's {VIDEOS} of each. Nats depend on the number of codes a frame "
        "and on the tokenizer: compare shapes with the paper's row, not heights.",
    )


def film(panel: Any, evidence: Evidence, suite: str, task: str) -> None:
    """Two rows of frames at the paper's moments: an expert, and random behaviour."""
    if (suite, task) not in evidence.experts:
        panel.set_visible(False)
        return
    experts, everything = evidence.experts[suite, task], evidence.baselines[suite, task].group("episodes")
    groups = [
        (experts.group("held_out"), 0, 1),
        (everything, list(everything.kinds).index("random"), experts.spec.stride),
    ]
    rows = []
    for group, number, stride in groups:
        begin, length = int(group.starts[number]), int(group.lengths[number])
        at = [min(t * stride, length - 1) for t in MOMENTS]
        frames = np.concatenate([group.read(begin + t, begin + t + 1) for t in at])
        rows.append(np.concatenate(list(blacken(frames, experts.spec.mask)), 1))
    show_frames(panel, np.concatenate(rows), f"T = {', '.join(map(str, MOMENTS))}: expert above, random below")


def paper_along(panel: Any) -> None:
    """The paper's left panel."""
    for kind, lines in paper_lines("fig5").items():
        panel.plot(lines.step, lines["mean"], color=colour(kind), ls="--", lw=1, label=kind)
    panel.set(xlabel="frame", ylabel="VIPER reward, nats", title="the paper: quadruped")
    panel.legend(frameon=False, fontsize=8)


def paper_against(panel: Any) -> None:
    """The paper's right panel."""
    for kind, (true, viper) in paper_trajectories().items():
        panel.scatter(true, viper, s=12, color=colour(kind), alpha=0.8, marker="x", label=kind)
    panel.set(xlabel="true return of the episode", ylabel="sum of VIPER rewards", title="the paper: quadruped")
    panel.legend(frameon=False, fontsize=8)


SHOWN = {"dmc": ("quadruped_walk", "walker_walk"), "atari": ("pong", "freeway"), "rlbench": TASKS["rlbench"][3:5]}
"""Two tasks a suite for Fig 2; others stand in where these have no videos."""


def two_of(evidence: Evidence, suite: str) -> list[tuple[str, ...]]:
    """At most two tasks of the suite that have expert videos."""
    there = [key for key in evidence.experts if key[0] == suite]
    wanted = SHOWN.get(suite, ())
    return sorted(there, key=lambda key: wanted.index(key[1]) if key[1] in wanted else len(wanted))[:2]


def overview_parts(evidence: Evidence) -> list[Part]:
    """Two pictures a suite."""
    return [
        Part(
            f"{suite} {number + 1}",
            int(len(chosen) > number),
            note="" if len(chosen) > number else "no expert set",
            sources=tuple("__".join(("experts", *key)) for key in chosen[number : number + 1]),
        )
        for suite in ("dmc", "atari", evidence.manipulation)
        for chosen in [two_of(evidence, suite)]
        for number in range(2)
    ]


def draw_overview(evidence: Evidence) -> Drawn:
    """Fig 2."""
    chosen = [key for suite in ("dmc", "atari", evidence.manipulation) for key in two_of(evidence, suite)]
    return Drawn(tiles(evidence, chosen, 6), f"{said(evidence, chosen)}", vector=False)


def of_suite(evidence: Evidence, suite: str, count: int) -> tuple[str, list[tuple[str, ...]]]:
    """The suite's name here, and the tasks that its video model has been shown; at most `count` of them."""
    name = evidence.manipulation if suite == "rlbench" else suite
    return name, [key for key in evidence.experts if key[0] == name][:count]


def suite_parts(evidence: Evidence, suite: str, count: int) -> list[Part]:
    """One picture a task; of the paper's tasks by name where it names them."""
    name, chosen = of_suite(evidence, suite, count)
    note = "" if name == suite else f"{name} in the place of {suite}"
    parts = [Part(key[1], 1, note=note, sources=("__".join(("experts", *key)),)) for key in chosen]
    there = {key[1] for key in chosen}
    absent = [task for task in TASKS[suite] if task not in there][: max(count - len(parts), 0)]
    return parts + [Part(task, 0, note="no expert set") for task in absent]


def draw_suite(evidence: Evidence, suite: str, count: int) -> Drawn:
    """Figs 13, 14 and 15."""
    _, chosen = of_suite(evidence, suite, count)
    return Drawn(tiles(evidence, chosen, 5), said(evidence, chosen), vector=False)


def tiles(evidence: Evidence, chosen: Sequence[tuple[str, ...]], columns: int) -> object:
    """A frame from the middle of a held-out expert video of each."""
    columns = min(columns, max(len(chosen), 2))
    figure, panels = panels_of(len(chosen), columns, 1.5, 1.7)
    for panel, key in zip(panels, chosen, strict=True):
        show_frames(panel, middle_frame(evidence, key), f"{key[0]}: {key[1]}".replace("_", " ", 3))
    return figure


def middle_frame(evidence: Evidence, key: tuple[str, ...]) -> np.ndarray:
    """(H, W, 3) of the first held-out expert, or of the first training video."""
    file = evidence.experts[key]
    group = file.group("held_out") if len(file.group("held_out")) else file.group("train")
    at = int(group.lengths[0]) // 2
    return group.read(at, at + 1)[0]


def said(evidence: Evidence, chosen: Sequence[tuple[str, ...]]) -> str:
    """How many videos stand behind the pictures."""
    videos = sum(len(evidence.experts[key].group(g)) for key in chosen for g in ("train", "held_out"))
    return (
        f"One frame of a held-out expert video a task, at the resolution that models see; "
        f"n = {len(chosen)} task{'s' if len(chosen) != 1 else ''}, {videos} expert videos in all."
    )
