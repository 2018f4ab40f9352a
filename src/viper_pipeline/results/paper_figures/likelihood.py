"""Fig 5: what the reward says along a video, and of whole episodes, beside their true return."""

from __future__ import annotations

from typing import Any

import numpy as np

from viper_pipeline.results.evidence import Evidence
from viper_pipeline.results.figures import plot_against_return, plot_along_video
from viper_pipeline.results.paper import paper_lines, paper_trajectories
from viper_pipeline.results.paper_figures.entry import Drawn, Part
from viper_pipeline.results.style import colour, panels_of, show_frames
from viper_pipeline.rewards.evaluate import unpack
from viper_pipeline.suites.frames import blacken

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
