"""The reward along videos (Fig 5), and on a pair of arm and task that no model was trained on (Fig 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from viper_pipeline.envs.base import blacken
from viper_pipeline.reporting.paper_data import paper_lines, paper_trajectories
from viper_pipeline.reporting.paper_figures.base import Drawn, FigurePart, run_rows
from viper_pipeline.reporting.paper_figures.frames import NOT_HELD_OUT, StripKey, held_out_pair
from viper_pipeline.reporting.plots import (
    color_of,
    legend_below,
    panels_of,
    plot_against_return,
    plot_along_video,
    show_frames,
)
from viper_pipeline.reporting.results import Evidence, ModelKey, Row, TaskKey
from viper_pipeline.rewards.scores import unpack

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER_VIDEOS = 40  # of each kind, in the paper
MOMENTS = (0, 50, 100, 200)  # frames
DRAWN_TASKS = 2  # the report shows the others one by one


def scored_tasks(evidence: Evidence) -> list[StripKey]:
    """The paper's quadruped first, then in order; the suite's reward model before others."""
    keys = [StripKey(s, m, task) for (s, m), artifact in evidence.rewards.items() for task in artifact.config["scales"]]
    reward_models = {suite: block.get("reward", {}).get("model") for suite, block in evidence.settings.items()}
    return sorted(keys, key=lambda k: (k[0] != "dmc", "quadruped" not in k[2], k[1] != reward_models.get(k[0], k[1])))[
        :DRAWN_TASKS
    ]


def reward_video_parts(evidence: Evidence) -> list[FigurePart]:
    """Reference and random videos, and their returns."""
    made = []
    for suite, model, task in scored_tasks(evidence)[:1]:
        scores, _ = unpack(task, evidence.rewards[ModelKey(suite, model)].tensors)
        note = "" if "quadruped" in task else f"{task} in the place of quadruped"
        source = Row("rewards", ModelKey(suite, model))
        for kind, name in (("held_out", "reference"), ("random", "random")):
            made.append(FigurePart(f"{name} videos", len(scores[kind]), PAPER_VIDEOS, note, (source,), "videos"))
    return made or [
        FigurePart(f"{kind} videos", 0, PAPER_VIDEOS, "no reward has been evaluated")
        for kind in ("reference", "random")
    ]


def draw_reward_along_videos(evidence: Evidence) -> Drawn:
    """One row per task of ours, and the paper's below."""
    keys = scored_tasks(evidence)
    figure, panels = panels_of(3 * len(keys) + 2, 3, 3.6, 2.6)
    counts = []
    for row, (suite, model, task) in enumerate(keys):
        scores, returns = unpack(task, evidence.rewards[ModelKey(suite, model)].tensors)
        along, against, frames = panels[3 * row : 3 * row + 3]
        plot_along_video(along, task, scores)
        plot_against_return(against, scores, returns)
        show_moments(frames, evidence, TaskKey(suite, task))
        counts.append(f"{task}: {len(scores['held_out'])} held-out and {len(scores['random'])} random videos")
    paper_along(panels[-2])
    paper_against(panels[-1])
    return Drawn(
        figure,
        f"n = {'; '.join(counts)}, against the paper's {PAPER_VIDEOS} of each. Nats depend on the number of codes per "
        "frame and on the tokenizer: compare shapes with the paper's row, not heights.",
    )


def show_moments(panel: Axes, evidence: Evidence, key: TaskKey) -> None:
    """Two rows of frames at the paper's moments: an expert, and random behavior."""
    if key not in evidence.experts:
        panel.set_visible(False)
        return
    experts, everything = evidence.experts[key], evidence.baseline_episodes[key].group("episodes")
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
    show_frames(panel, np.concatenate(rows), f"T = {', '.join(map(str, MOMENTS))}: expert, random")


def paper_along(panel: Axes) -> None:
    """The paper's left panel."""
    for kind, lines in paper_lines("fig5").items():
        panel.plot(lines.step, lines["mean"], color=color_of(kind), ls="--", lw=1, label=kind)
    panel.set(xlabel="frame", ylabel="VIPER reward, nats", title="the paper: quadruped")
    legend_below(panel)


def paper_against(panel: Axes) -> None:
    """The paper's right panel."""
    for kind, (true, viper) in paper_trajectories().items():
        panel.scatter(true, viper, s=12, color=color_of(kind), alpha=0.8, marker="x", label=kind)
    panel.set(xlabel="true return of the episode", ylabel="sum of VIPER rewards", title="the paper: quadruped")
    legend_below(panel)


def held_out_reward_parts(evidence: Evidence) -> list[FigurePart]:
    """Fig 8: an agent on the held-out pair, and the likelihood of its videos."""
    names = "success of an agent on the held-out pair", "likelihood of its videos"
    found = held_out_pair(evidence)
    if found is None:
        return [FigurePart(name, 0, 1, NOT_HELD_OUT) for name in names]
    suite, task = found.suite, found.held_out
    runs = evidence.runs_of(suite, task, "viper")
    where = f"{suite}: {task} in the place of Panda's saucepan"
    key = ModelKey(suite, found.model)
    return [
        FigurePart(names[0], len(runs), 1, where if runs else f"no agent on {task}: method viper", run_rows(runs)),
        FigurePart(names[1], int(key in evidence.rewards), 1, where, (Row("rewards", key),)),
    ]


def draw_held_out_reward(evidence: Evidence) -> Drawn:
    """Fig 8: the agents' curves if there are any, and nats along videos of a trained pair and the held-out one."""
    found = held_out_pair(evidence)
    assert found
    runs = evidence.runs_of(found.suite, found.held_out, "viper")
    artifact = evidence.rewards.get(ModelKey(found.suite, found.model))
    shown = (found.tasks[0], found.held_out) if artifact else ()
    figure, panels = panels_of(len(shown) + bool(runs), width=4.8, height=2.8)
    for panel, task in zip(panels, shown, strict=False):
        assert artifact
        plot_along_video(
            panel,
            f"{task}, {'never seen' if task == found.held_out else 'trained'}",
            unpack(task, artifact.tensors)[0],
        )
    for run in runs:
        panels[-1].plot(run.steps, run.returns, color=color_of("viper"), lw=1)
        panels[-1].set(xlabel="agent steps", ylabel="true return", title=f"viper on {found.held_out}")
    return Drawn(
        figure,
        f"Nats of held-out experts and of random behavior along the video, n = the report's evaluation episodes; "
        f"agents on {found.held_out}: n = {len(runs)}.",
    )
