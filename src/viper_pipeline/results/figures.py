"""The figures: reward against time and return (Fig 5), learning curves (Figs 3 and 12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from viper_pipeline.results.inputs import Floors, RunResult
from viper_pipeline.results.statistics import interval
from viper_pipeline.results.style import as_png, axes, colour


def draw_reward_figure(
    task: str,
    scores: Mapping[str, Sequence[np.ndarray]],
    returns: Mapping[str, np.ndarray],
    mode: str = "conditional",
) -> bytes:
    """Left: nats per step of held-out, random and idle videos. Right: true return against episode mean (Fig 5).

    mode: `reward.mode`, of what the nats are: a frame, or a whole window.
    """
    figure, (left, right) = axes(2)
    plot_along_video(left, task, scores)
    plot_against_return(right, scores, returns)
    if mode == "joint":
        left.set_ylabel("ln p(window), nats")
        right.set_ylabel("mean nats a window")
    return as_png(figure)


def plot_along_video(panel: Any, task: str, scores: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Nats of each frame: mean over videos, and the span of most of them."""
    for kind in ("held_out", "random", "idle"):
        if kind not in scores:
            continue
        length = min(len(v) for v in scores[kind])
        rows = np.stack([v[1:length] for v in scores[kind]])
        steps = np.arange(1, length)
        panel.plot(steps, rows.mean(0), color=colour(kind), label=f"{kind.replace('_', ' ')} ({len(rows)} videos)")
        panel.fill_between(steps, *np.quantile(rows, [0.1, 0.9], axis=0), color=colour(kind), alpha=0.15, lw=0)
    panel.set(xlabel="frame", ylabel="ln p(frame | earlier), nats", title=f"{task}: mean, and 10 to 90 % of videos")
    panel.legend(frameon=False, fontsize=8)


def plot_against_return(
    panel: Any, scores: Mapping[str, Sequence[np.ndarray]], returns: Mapping[str, np.ndarray]
) -> None:
    """A dot a video: true return, mean nats."""
    for kind, values in returns.items():
        if kind == "train":
            continue
        means = [v[1:].mean() for v in scores[kind]]
        panel.scatter(values, means, s=18, color=colour(kind), label=kind.replace("_", " "), alpha=0.8)
    panel.set(xlabel="true return of the episode", ylabel="mean nats a frame", title="each dot is a video")
    panel.legend(frameon=False, fontsize=8)


def on_common_steps(runs: Sequence[RunResult]) -> tuple[np.ndarray, np.ndarray]:
    """(steps (S,), returns (seeds, S)): every seed's curve on the union of their steps, where all seeds have one.

    Between its own evaluations a curve is interpolated linearly; nothing is carried past a seed's last evaluation.
    """
    first = max(float(run.steps[0]) for run in runs)
    last = min(float(run.steps[-1]) for run in runs)
    steps = np.unique(np.concatenate([run.steps for run in runs]))
    steps = steps[(steps >= first) & (steps <= last)]
    return steps, np.stack([np.interp(steps, run.steps, run.returns) for run in runs])


def draw_learning_curves(task: str, runs: Sequence[RunResult], floors: Floors) -> bytes:
    """True return of evaluation episodes against agent steps: mean and 95 % interval over seeds, each seed, floors."""
    figure, (left, right) = axes(2)
    several = len({run.agent for run in runs}) > 1
    for number, (agent, method) in enumerate(dict.fromkeys((run.agent, run.method) for run in runs)):
        mine = [run for run in runs if (run.agent, run.method) == (agent, method)]
        name = f"{method}, {agent}" if several else method
        ink, dashes = colour(method), "-" if agent == runs[0].agent else "-."
        for run in mine:
            left.plot(run.steps, run.returns, color=ink, lw=0.7, alpha=0.5, ls=dashes)
        steps, returns = on_common_steps(mine)
        seeds = "1 seed, no band" if len(mine) == 1 else f"{len(mine)} seeds"
        left.plot(steps, returns.mean(0), color=ink, lw=2.2, ls=dashes, label=f"{name} ({seeds})")
        if len(mine) > 1 and len(steps):
            band = np.array([interval([[x] for x in column]) for column in returns.T])
            left.fill_between(steps, band[:, 0], band[:, 1], color=ink, alpha=0.15, lw=0)
        low, high = interval([run.final_returns for run in mine])
        final = float(np.mean([np.mean(run.final_returns) for run in mine]))
        errors = [[max(final - low, 0)], [max(high - final, 0)]]
        right.errorbar([final], [number], xerr=errors, fmt="o", color=ink, capsize=4)
        right.plot([np.mean(run.final_returns) for run in mine], [number] * len(mine), "|", color=ink, ms=14)
        right.text(final, number + 0.16, f"{name}: {final:.0f}", color=ink, ha="center", va="bottom", fontsize=9)
    for name, value in (("random", floors.random), ("idle", floors.idle), ("expert", floors.expert)):
        if value is not None and not np.isnan(value):
            line = "--" if name == "expert" else ":"
            left.axhline(value, color=colour(name), ls=line, lw=1.2, label=name)
            right.axvline(value, color=colour(name), ls=line, lw=1.2)
    left.set(xlabel="agent steps", ylabel="true return", title=f"{task}: evaluation episodes on the way")
    left.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8, handlelength=3)
    episodes = min(run.judged for run in runs)
    right.set(xlabel="true return", title=f"the end: 95 % interval, {episodes} fresh episodes a seed")
    right.set(yticks=[], ylim=(-0.6, len({(run.agent, run.method) for run in runs}) - 0.2))
    right.set_xlim(left=min(0.0, right.get_xlim()[0]) if right.dataLim.x0 < 0 else 0.0)
    return as_png(figure)
