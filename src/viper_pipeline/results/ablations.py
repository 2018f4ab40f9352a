"""One part of VIPER changed at a time: curves and a table, beside the paper's own (paper 4.4, Fig 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from viper_pipeline.results.figures import on_common_steps
from viper_pipeline.results.inputs import Floors, RunResult
from viper_pipeline.results.page import embed
from viper_pipeline.results.paper import DATA
from viper_pipeline.results.statistics import interval
from viper_pipeline.results.style import as_png, axes, colour

AXES = {
    "beta": "weight of the exploration bonus, as a share of the suite's own",
    "model": "video model that pays",
    "context": "context frames k of the video model",
    "way": "how banded, a video model that can be streamed, is scored; the paper has no such comparison",
}
PAGE = Path(__file__).parent / "ablations.html.jinja"
INKS = ("#009E73", "#0072B2", "#E69F00", "#CC79A7", "#56B4E9")
REWARD = ("auroc_step", "auroc_episode", "spearman_return")
PAPER = {"beta": ("1.0", "0.5", "0.0"), "model": ("videogpt", "maskgit", "byol"), "context": ("16", "8", "2")}


@dataclass(frozen=True)
class Variant:
    """One value of an axis."""

    value: str
    runs: Sequence[RunResult]  # a seed each
    reward: Mapping[str, Any]  # how well the reward tells experts from others
    own: bool = False  # the suite's own, with which the others are compared


Variants = Mapping[str, Sequence[Variant]]
"""axis -> its values, the suite's own first"""


def ablation_metrics(task: str, variants: Variants, floors: Floors) -> dict[str, Any]:
    """{axes: {axis: {value: final return, interval, seeds, AUROC}}, floors, task}."""
    table: dict[str, Any] = {}
    for axis, several in variants.items():
        for variant in several:
            returns = [run.final_returns for run in variant.runs]
            low, high = interval(returns)
            table.setdefault(axis, {})[variant.value] = {
                "own": variant.own,
                "final_return": float(np.mean([np.mean(r) for r in returns])),
                "ci95_low": low,
                "ci95_high": high,
                "seeds": len(returns),
                "episodes": sum(len(r) for r in returns),
                "steps": variant.runs[0].budget,
                **{name: variant.reward[name] for name in REWARD},
            }
    values = {"random": floors.random, "idle": floors.idle, "expert": floors.expert}
    known = {name: value for name, value in values.items() if value is not None and not np.isnan(value)}
    return {"task": task, "axes": table, "floors": known}


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What `dvc metrics` shows: {axis: {value: final return}}."""
    return {
        axis: {value: round(row["final_return"], 1) for value, row in values.items()}
        for axis, values in metrics["axes"].items()
    }


def curve_rows(variants: Variants) -> list[dict[str, Any]]:
    """A row a point of every curve."""
    return [
        {"axis": axis, "value": v.value, "seed": r.seed, "step": int(step), "return_mean": round(float(value), 3)}
        for axis, several in variants.items()
        for v in several
        for r in v.runs
        for step, value in zip(r.steps, r.returns, strict=True)
    ]


def draw_ablations(task: str, variants: Variants, floors: Floors) -> bytes:
    """A panel an axis: true return of evaluation episodes against agent steps, mean over seeds and each seed."""
    figure, panels = axes(len(variants), 4.4)
    for panel, (axis, several) in zip(panels, variants.items(), strict=True):
        for ink, variant in zip(_inks(len(several)), several, strict=True):
            final = np.mean([np.mean(run.final_returns) for run in variant.runs])
            steps, returns = on_common_steps(variant.runs)
            for run in variant.runs:
                panel.plot(run.steps / 1000, run.returns, color=ink, lw=0.7, alpha=0.5)
            own = ", the suite's own" if variant.own else ""
            label = f"{variant.value}: {final:.0f} at the end{own}"
            panel.plot(steps / 1000, returns.mean(0), color=ink, lw=2.2 if variant.own else 1.6, label=label)
        for name in ("random", "idle"):
            panel.axhline(getattr(floors, name), color=colour(name), ls=":", lw=1.2, label=name)
        panel.set(xlabel="thousand agent steps", ylabel="true return", title=f"{task}: {axis}", ylim=(0, None))
        panel.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8)
    return as_png(figure)


def draw_paper() -> bytes:
    """The paper's Fig 9: means of three seeds over tasks that it does not name."""
    table = pd.read_csv(DATA / "paper_curves.csv")
    table = table[table.figure == "fig9"]
    figure, panels = axes(len(PAPER), 4.4)
    for panel, axis in zip(panels, PAPER, strict=True):
        for ink, value in zip(_inks(len(PAPER[axis])), PAPER[axis], strict=True):
            rows = table[table.method == f"{axis}={value}"]
            panel.plot(rows.step / 1e6, rows["mean"], color=ink, label=f"{value}: {rows['mean'].iloc[-2:].mean():.0f}")
            panel.fill_between(rows.step / 1e6, rows.low, rows.high, color=ink, alpha=0.12, lw=0)
        panel.set(xlabel="million environment frames", ylabel="true return", title=f"the paper: {axis}", ylim=(0, 1000))
        panel.legend(frameon=False, fontsize=8)
    return as_png(figure)


def render(profile: str, metrics: Mapping[str, Any], figures: Mapping[str, bytes]) -> str:
    """The page as HTML text with its pictures inside."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["embed"] = embed
    page = environment.from_string(PAGE.read_text())
    return page.render(profile=profile, metrics=metrics, figures=figures, axes=AXES)


def _inks(count: int) -> list[str]:
    """The suite's own is green everywhere."""
    return [INKS[i % len(INKS)] for i in range(count)]
