"""The figures: reward against time and return (Fig 5), learning curves (Figs 3 and 12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from viper_pipeline.results.inputs import Floors, RunResult
from viper_pipeline.results.paper import paper_curve
from viper_pipeline.results.statistics import interval
from viper_pipeline.results.style import COLOURS, as_png, axes


def draw_reward_figure(
    task: str, scores: Mapping[str, Sequence[np.ndarray]], returns: Mapping[str, np.ndarray]
) -> bytes:
    """Left: nats per step of held-out, random and idle videos. Right: true return against episode mean (Fig 5)."""
    figure, (left, right) = axes(2)
    for kind in ("held_out", "random", "idle"):
        if kind not in scores:
            continue
        length = min(len(v) for v in scores[kind])
        rows = np.stack([v[1:length] for v in scores[kind]])
        steps = np.arange(1, length)
        left.plot(steps, rows.mean(0), color=COLOURS[kind], label=f"{kind.replace('_', ' ')} ({len(rows)} videos)")
        left.fill_between(steps, *np.quantile(rows, [0.1, 0.9], axis=0), color=COLOURS[kind], alpha=0.15, lw=0)
    left.set(xlabel="frame", ylabel="ln p(frame | earlier), nats", title=f"{task}: mean, and 10 to 90 % of videos")
    left.legend(frameon=False)
    for kind, values in returns.items():
        if kind == "train":
            continue
        means = [v[1:].mean() for v in scores[kind]]
        right.scatter(values, means, s=18, color=COLOURS[kind], label=kind.replace("_", " "), alpha=0.8)
    right.set(xlabel="true return of the episode", ylabel="mean nats a frame", title="each dot is a video")
    right.legend(frameon=False)
    return as_png(figure)


def draw_learning_curves(task: str, runs: Sequence[RunResult], floors: Floors) -> bytes:
    """True return of evaluation episodes against agent steps: mean over seeds, every seed thin, and the floors."""
    figure, (left, right) = axes(2)
    for method in dict.fromkeys(run.method for run in runs):
        mine = [run for run in runs if run.method == method]
        colour = COLOURS[method]
        for run in mine:
            left.plot(run.steps, run.returns, color=colour, lw=0.7, alpha=0.5)
        length = min(len(run.steps) for run in mine)
        mean = np.mean([run.returns[:length] for run in mine], 0)
        left.plot(mine[0].steps[:length], mean, color=colour, lw=2.2, label=f"{method} ({len(mine)} seeds)")
        low, high = interval([run.final_returns for run in mine])
        final = float(np.mean([np.mean(run.final_returns) for run in mine]))
        right.errorbar(
            [final],
            [method],
            xerr=[[max(final - low, 0)], [max(high - final, 0)]],
            fmt="o",
            color=colour,
            capsize=4,
        )
        for run in mine:
            right.plot(np.mean(run.final_returns), method, "|", color=colour, ms=14)
    for name, value in (("random", floors.random), ("idle", floors.idle), ("expert", floors.expert)):
        if value is not None:
            left.axhline(value, color=COLOURS[name], ls="--" if name == "expert" else ":", lw=1.2, label=name)
            right.axvline(value, color=COLOURS[name], ls="--" if name == "expert" else ":", lw=1.2)
    left.set(xlabel="agent steps", ylabel="true return", title=f"{task}: evaluation episodes on the way")
    left.legend(frameon=False, fontsize=8)
    episodes = min(len(run.final_returns) for run in runs)
    right.set(xlabel="true return", title=f"the end: 95 % interval, {episodes} fresh episodes a seed")
    right.set_xlim(left=0)
    return as_png(figure)


def draw_paper_curves(suite: str, task: str) -> bytes | None:
    """The paper's own curves of the task; None if it shows none."""
    curves = {m: c for m in ("viper", "oracle", "amp") if (c := paper_curve(suite, task, m)) is not None}
    if not curves:
        return None
    figure, (panel,) = axes(1)
    for method, (steps, returns) in curves.items():
        panel.plot(steps / 1e6, returns, color=COLOURS.get(method, COLOURS["paper"]), label=f"paper: {method}")
    panel.set(xlabel="million environment frames", ylabel="true return", title=f"{task} in the paper (DreamerV3)")
    panel.legend(frameon=False)
    return as_png(figure)
