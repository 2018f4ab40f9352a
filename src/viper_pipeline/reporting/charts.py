"""The interactive charts of the pages, as Vega-Lite: results, learning curves, AUROCs, ablations.

Every chart has one view as wide as its page, a list that chooses what is shown, and a legend that dims what is not
clicked. The colors of text and axes come from the page (`templates/page.js`), so that charts follow its dark mode. One
file beside the pages, `LIBRARY`, draws them: nothing is loaded from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.reporting.comparisons import BASELINE_KINDS, normalized_by_expert, score_text
from viper_pipeline.reporting.metrics import suite_of
from viper_pipeline.reporting.plots import color_of, method_style
from viper_pipeline.reporting.results import Metrics
from viper_pipeline.reporting.statistics import t_interval

if TYPE_CHECKING:
    import altair

LIBRARY = "charts.js"
"""The file in reports/ that draws the charts of all pages."""
VEGA_LITE = "6.4"
"""The version that `altair` writes."""
LICENSE = """/*! Vega, Vega-Lite and Vega-Embed. Copyright (c) 2015-2023, University of Washington Interactive Data Lab and contributors.
All rights reserved. Redistribution and use in source and binary forms, with or without modification, are permitted provided that the
following conditions are met: 1. Redistributions of source code must retain the above copyright notice, this list of conditions and the
following disclaimer. 2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the
following disclaimer in the documentation and/or other materials provided with the distribution. 3. Neither the name of the copyright
holder nor the names of its contributors may be used to endorse or promote products derived from this software without specific prior
written permission. THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES,
INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO
EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS
INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR
OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE. */
"""  # noqa: E501
EVERYTHING = "everything"
"""The choice that shows all groups."""
MEANS = "means over tasks"
FEW_GROUPS = 4
"""Up to so many tasks, a page shows all of them at first."""
STEP = 17
"""Pixels from one row of a chart to the next."""
LEVEL_COLORS = {"chance": "#888888"}
CURVES_HEIGHT = 300


def chart_library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    bundle = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]  # its stub asks for a snippet
    return f"{LICENSE}(() => {{{bundle}}})();\n"


@dataclass(frozen=True)
class Dots:
    """A chart of rows: in each a mean with its interval, and the single results that it is of."""

    means: Sequence[Json]  # {choice, group, name, value, low, high, and what `tells` names}
    singles: Sequence[Json] = ()  # {choice, group, name, value, of}
    levels: Mapping[str, float] = field(default_factory=dict)  # vertical lines: name -> where
    title: str = ""  # of the axis
    choice: str = "Show"  # in front of the list of choices
    start: str = EVERYTHING  # what is chosen at first
    tells: Mapping[str, str] = field(default_factory=dict)  # field -> title, in the box that appears at a mean
    colors: Mapping[str, str] = field(default_factory=dict)  # name -> color; in this order
    single: str = "seed"  # what a single result is of


def embedded(spec: JsonView) -> str:
    """JSON that can stand in a <script>."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")


def result_dots(metrics: Mapping[str, Metrics]) -> Dots | None:
    """Report -> metrics.json -> every method's final result between random behavior (0) and the expert videos (1).

    Tasks are left out whose expert videos are not better than random behavior, or unknown. None if nothing is left.
    """
    means: list[Json] = []
    singles: list[Json] = []
    several = len(metrics) > 1
    for name, found in metrics.items():
        suite = suite_of(name, found)
        means += _means_over_tasks(suite, found, name if several else "mean")
        for task, agents in found["agents"].get(suite, {}).items():
            levels = found["baselines"].get(suite, {}).get(task, {})
            choice = f"{name}: {task}" if several else task
            for agent, columns in agents.items():
                group = f"{choice}, {agent}"
                rows, seeds = _task_rows(suite, levels, _in_order(suite, found, columns))
                means += [{"choice": choice, "group": group, **row} for row in rows]
                singles += [{"choice": choice, "group": group, **seed} for seed in seeds]
                own = f"{name if several else 'mean'}, {agent}"
                singles += [
                    {"choice": MEANS, "group": own, **seed, "of": f"{task}, seed {seed['of']}"} for seed in seeds
                ]
    if not means:
        return None
    tasks = {row["choice"] for row in means} - {MEANS}
    groups = {row["group"] for row in means}
    singles = [row for row in singles if row["group"] in groups]
    names = {str(row["name"]): str(row["ink"]) for row in sorted(means, key=lambda row: row["name"] == "idle")}
    return Dots(
        means,
        singles,
        {"random": 0.0, "expert": 1.0},
        "0: random behavior, 1: the expert videos",
        start=MEANS if several or len(tasks) > FEW_GROUPS else EVERYTHING,
        tells={"n": "n", "result": "true result", "interval": "95 % interval"},
        colors=names,
    )


def _in_order(suite: str, metrics: Metrics, columns: Metrics) -> list[tuple[str, Metrics]]:
    """The columns, those of the suite's `methods` first, in their order."""
    order = metrics.get("methods", {}).get(suite, [])
    return sorted(columns.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def _means_over_tasks(suite: str, metrics: Metrics, name: str) -> Iterator[Json]:
    for agent, block in metrics.get("aggregates", {}).get(suite, {}).items():
        columns = block.get("expert_normalized", {})
        levels = [
            metrics["baselines"][suite][task]
            for task, agents in metrics["agents"][suite].items()
            if agent in agents and _scale(metrics["baselines"].get(suite, {}).get(task, {}))
        ]
        most = max((numbers.get("tasks", len(levels)) for numbers in columns.values()), default=0)
        for column, numbers in _in_order(suite, metrics, columns):
            mean, tasks = numbers["mean"], numbers.get("tasks", most)
            yield {
                "choice": MEANS,
                "group": f"{name}, {agent}",
                "name": method_style(column).label,
                "ink": color_of(column),
                "value": _round(mean["value"]),
                "low": _round(mean["ci95_low"]),
                "high": _round(mean["ci95_high"]),
                "n": f"{numbers['seeds']} per task, {tasks} task{'' if tasks == 1 else 's'}",
                "result": "",
                "interval": _span(mean["ci95_low"], mean["ci95_high"]),
            }
        idle = [place for level in levels if (place := _place(level, level.get("idle_return"))) is not None]
        if idle and columns:
            yield {
                "choice": MEANS, "group": f"{name}, {agent}", "name": "idle", "ink": color_of("idle"),
                "value": _round(fmean(idle)), "low": None, "high": None, "n": f"{len(idle)} tasks",
                "result": "", "interval": "",
            }  # fmt: skip


def _task_rows(suite: str, levels: Metrics, columns: Sequence[tuple[str, Metrics]]) -> tuple[list[Json], list[Json]]:
    """Means of every column and of idle behavior, and the seeds; nothing without a scale."""
    rows: list[Json] = []
    seeds: list[Json] = []
    for column, numbers in columns:
        value = _place(levels, numbers["final_return"])
        if value is None:
            continue
        low, high = numbers.get("ci95_low"), numbers.get("ci95_high")
        name, ink = method_style(column).label, color_of(column)
        bounds = "" if low is None or high is None else f"{score_text(suite, low)} to {score_text(suite, high)}"
        many = f"{numbers['seeds']} seed{'' if numbers['seeds'] == 1 else 's'}"
        rows.append(
            {
                "name": name,
                "ink": ink,
                "value": _round(value),
                "low": _round(_place(levels, low)),
                "high": _round(_place(levels, high)),
                "n": many,
                "result": score_text(suite, numbers["final_return"]),
                "interval": bounds,
            }
        )
        for number, one in enumerate(numbers.get("per_seed", [])):
            seeds.append({"name": name, "value": _round(_place(levels, one)), "of": str(number)})
    idle = levels.get("idle_return")
    if rows and (value := _place(levels, idle)) is not None:
        count = levels.get("idle_episodes")
        rows.append(
            {"name": "idle", "ink": color_of("idle"), "value": _round(value), "low": None, "high": None,
             "n": f"{count} episodes" if count else "", "result": score_text(suite, idle or 0.0), "interval": ""}
        )  # fmt: skip
    return rows, seeds


def _scale(levels: Metrics) -> bool:
    """Whether the expert videos are known to be better than random behavior."""
    random, expert = levels.get("random_return"), levels.get("expert_return")
    return random is not None and expert is not None and expert > random


def _place(levels: Metrics, value: float | None) -> float | None:
    if value is None or not _scale(levels):
        return None
    return normalized_by_expert(value, levels["random_return"], levels["expert_return"])


def _round(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _span(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.2f} to {high:.2f}"


def reward_dots(model: Metrics, kinds: Mapping[str, str]) -> Dots | None:
    """One reward of metrics.json -> its AUROCs against every kind of video; kinds: name -> as it is called."""
    name = "auroc_window" if model.get("mode") == "joint" else "auroc_frame"
    means = []
    for task, numbers in model["tasks"].items():
        for kind, values in numbers["kinds"].items():
            found = values.get(name)
            if found and kind not in (numbers["experts"], "train", "held_out", "test"):
                low, high = found["ci95_low"], found["ci95_high"]
                called = kinds.get(kind, kind.replace("_", " "))
                means.append(
                    {"choice": task, "group": called, "name": task, "value": _round(found["value"]),
                     "low": _round(low), "high": _round(high), "n": values["videos"], "interval": _span(low, high)}
                )  # fmt: skip
    tasks = list(dict.fromkeys(row["choice"] for row in means))
    if not means:
        return None
    what = "windows" if name == "auroc_window" else "single frames"
    return Dots(
        means,
        levels={"chance": 0.5},
        title=f"AUROC of experts' {what} against these videos",
        start=EVERYTHING if len(tasks) <= FEW_GROUPS else tasks[0],
        tells={"n": "videos", "interval": "95 % interval"},
        colors={task: SERIES[number % len(SERIES)] for number, task in enumerate(tasks)},
    )


SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#000000")
"""Colors of tasks, after Okabe and Ito."""


def ablation_dots(metrics: Metrics) -> Dots:
    """reports/ablations/metrics.json -> the true return with each value of each axis."""
    means, singles = [], []
    for axis, values in metrics["axes"].items():
        for value, row in values.items():
            place = {"choice": axis, "group": f"{axis}: {value}", "name": "own setting" if row["own"] else "changed"}
            low, high = row["ci95_low"], row["ci95_high"]
            interval = "" if low is None or high is None else f"{low:.0f} to {high:.0f}"
            seeds = row.get("per_seed", [])
            if row["seeds"] < 3:  # an interval of episodes is none of seeds
                low, high, interval = None, None, ""
            means.append(
                {**place, "value": _round(row["final_return"]), "low": _round(low), "high": _round(high),
                 "n": row["seeds"], "interval": interval}
            )  # fmt: skip
            singles += [{**place, "value": _round(one), "of": str(number)} for number, one in enumerate(seeds)]
    return Dots(
        means,
        singles,
        {name: float(value) for name, value in metrics["baselines"].items()},
        "true return at the end of training",
        tells={"n": "seeds", "interval": "95 % interval"},
        colors={"own setting": color_of("viper"), "changed": SERIES[0]},
    )


def draw_dots(dots: Dots, name: str) -> Json:
    """The chart as Vega-Lite; name: of its views, which must differ on a page."""
    import altair as alt

    choices = list(dict.fromkeys(str(row["choice"]) for row in dots.means))
    several = len(choices) > 1
    options = [*([EVERYTHING] if MEANS not in choices or len(choices) <= FEW_GROUPS + 1 else []), *choices]
    chosen, picked = _choice(options, dots.choice, dots.start), _picked(name)
    keep = f"shown === '{EVERYTHING}' || datum.choice === shown"
    color = alt.Color("name:N", title=None, scale=_scale_of(dots.colors))
    ink = alt.condition(picked, alt.value(1), alt.value(0.15))

    def of(rows: Sequence[Json], part: str) -> altair.Chart:
        chart = alt.Chart(alt.Data(values=list(rows)), name=f"{name}_{part}")
        return chart.transform_filter(keep) if several else chart

    groups = list(dict.fromkeys(str(row["group"]) for row in dots.means))
    axis = alt.Axis(ticks=False, domain=False, labelPadding=8)
    y = alt.Y("group:N", sort=groups, title=None, axis=axis)
    offset = alt.YOffset("name:N", sort=list(dots.colors))
    x = alt.X("value:Q", title=dots.title, scale=alt.Scale(zero=False, nice=True))
    tells = [alt.Tooltip("group:N", title=" "), alt.Tooltip("name:N", title="  "), alt.Tooltip("value:Q", format=".3f")]
    tells += [alt.Tooltip(f"{key}:N", title=title) for key, title in dots.tells.items()]
    layers = list(_levels(dots.levels, name))
    layers.append(
        of(dots.means, "spans")
        .transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=3)
        .encode(y=y, yOffset=offset, x=alt.X("low:Q", title=dots.title), x2="high:Q", color=color, opacity=ink)
    )
    if dots.singles:
        single = [alt.Tooltip("name:N", title="  "), alt.Tooltip("of:N", title=dots.single), "value:Q"]
        layers.append(
            of(dots.singles, "singles")
            .mark_tick(thickness=1.6, size=10)
            .encode(y=y, yOffset=offset, x=x, color=color, opacity=ink, tooltip=single)
        )
    layers.append(
        of(dots.means, "means")
        .mark_point(filled=True, size=95, opacity=1)
        .encode(y=y, yOffset=offset, x=x, color=color, opacity=ink, tooltip=tells)
        .add_params(picked)
    )
    whole = alt.layer(*layers, name=name).properties(width="container", height=alt.Step(step=STEP, **{"for": "offset"}))
    return (whole.add_params(chosen) if several else whole).to_dict()


def _choice(options: Sequence[str], text: str, start: str) -> altair.Parameter:
    import altair as alt

    listed = list(options)
    return alt.param(
        name="shown",
        value=start if start in listed else listed[0],
        bind=alt.binding_select(options=listed, name=f"{text} "),
    )


def _picked(name: str) -> altair.Parameter:
    """What was clicked in the legend; a click beside it picks everything."""
    import altair as alt

    return alt.selection_point(name=f"{name}_picked", fields=["name"], bind="legend", toggle="true")


def _scale_of(colors: Mapping[str, str]) -> altair.Scale:
    import altair as alt

    return alt.Scale(domain=list(colors), range=list(colors.values()))


def _levels(levels: Mapping[str, float], name: str) -> Iterator[altair.Chart]:
    """Vertical lines with their names above."""
    import altair as alt

    rows = [
        {"level": level, "at": _round(at), "ink": LEVEL_COLORS.get(level) or color_of(level)}
        for level, at in levels.items()
    ]
    if rows:
        base = alt.Chart(alt.Data(values=rows), name=f"{name}_levels").encode(x="at:Q")
        color = alt.Color("ink:N", scale=None)
        yield base.mark_rule(strokeDash=[5, 4], strokeWidth=1.3).encode(color=color)
        named = base.mark_text(align="center", dy=-7, baseline="bottom").properties(name=f"{name}_names")
        yield named.encode(text="level:N", y=alt.value(0), color=color)


def draw_curves(
    points: Iterable[Mapping[str, Any]], baselines: Metrics, unit: str, name: str = "curves"
) -> Json | None:
    """curves.csv and the baselines of a suite's tasks -> true results against agent steps, task by task.

    Thick: the mean over seeds where all have an evaluation; its 95 % t-interval from 3 seeds on; thin: each seed.
    """
    import altair as alt

    runs: dict[tuple[str, str, str], dict[int, list[tuple[int, float]]]] = {}
    for row in points:
        cell = runs.setdefault((row["task"], row["agent"], row["method"]), {})
        cell.setdefault(int(row["seed"]), []).append((int(row["step"]), float(row["return_mean"])))
    if not runs:
        return None
    means, seeds = [], []
    tasks, agents = (list(dict.fromkeys(key[i] for key in runs)) for i in (0, 1))
    colors: dict[str, str] = {}
    for (task, agent, method), of_seed in runs.items():
        label = method_style(method).label
        colors[label] = color_of(method)
        place = {"task": task, "agent": agent, "name": label}
        for seed, line in of_seed.items():
            seeds += [{**place, "seed": seed, "step": step, "value": _round(value)} for step, value in line]
        means += [{**place, **row, "n": len(of_seed)} for row in _mean_curve(list(of_seed.values()))]
    lines = [
        {"task": task, "name": kind, "value": _round(value)}
        for task in tasks
        for kind in (*BASELINE_KINDS, "expert")
        if (value := baselines.get(task, {}).get(f"{kind}_return")) is not None
    ]
    colors |= {str(line["name"]): color_of(str(line["name"])) for line in lines}
    chosen, picked = _choice(tasks, "Task", tasks[0]), _picked(name)
    several = len(tasks) > 1

    def of(rows: Sequence[Json], part: str) -> altair.Chart:
        chart = alt.Chart(alt.Data(values=list(rows)), name=f"{name}_{part}")
        return chart.transform_filter("datum.task === shown") if several else chart

    x = alt.X("step:Q", title="agent steps", axis=alt.Axis(format="~s", grid=False))
    y = alt.Y("value:Q", title=f"true {unit}", scale=alt.Scale(zero=False, nice=True))
    color = alt.Color("name:N", title=None, scale=_scale_of(colors))
    shade, thin, ink = (
        alt.condition(picked, alt.value(a), alt.value(b)) for a, b in ((0.18, 0.02), (0.4, 0.05), (1, 0.12))
    )
    dashes = {"strokeDash": alt.StrokeDash("agent:N", title=None)} if len(agents) > 1 else {}
    tells = [
        alt.Tooltip("name:N", title=" "), alt.Tooltip("agent:N"),
        alt.Tooltip("step:Q", format=",", title="agent steps"),
        alt.Tooltip("value:Q", format=".4~g", title=unit), alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("n:Q", title="seeds"),
    ]  # fmt: skip
    layers = []
    if lines:
        rule = of(lines, "baselines").mark_rule(strokeDash=[5, 4], strokeWidth=1.4)
        level = [alt.Tooltip("name:N", title=" "), alt.Tooltip("value:Q", format=".4~g")]
        layers.append(rule.encode(y=y, color=color, opacity=ink, tooltip=level))
    if any(row["low"] is not None for row in means):
        area = of(means, "bands").transform_filter("isValid(datum.low)").mark_area()
        layers.append(area.encode(x=x, y=alt.Y("low:Q", title=f"true {unit}"), y2="high:Q", color=color, opacity=shade,
                                  detail=["agent:N"]))  # fmt: skip
    if len(seeds) > len(means):
        line = of(seeds, "seeds").mark_line(strokeWidth=1)
        layers.append(line.encode(x=x, y=y, color=color, opacity=thin, detail=["seed:N", "agent:N"], **dashes))
    mean = of(means, "means")
    layers.append(
        mean.mark_line(strokeWidth=2.4).encode(x=x, y=y, color=color, opacity=ink, detail=["agent:N"], **dashes)
    )
    dots = of(means, "points").mark_point(filled=True, size=38)
    layers.append(dots.encode(x=x, y=y, color=color, opacity=ink, tooltip=tells).add_params(picked))
    whole = alt.layer(*layers, name=name).properties(width="container", height=CURVES_HEIGHT)
    return (whole.add_params(chosen) if several else whole).to_dict()


def _mean_curve(lines: Sequence[Sequence[tuple[int, float]]]) -> Iterator[Json]:
    """The curves of seeds, (step, value) -> their mean and its interval, at every step where all have a value."""
    curves = [np.array(sorted(line), np.float64) for line in lines]
    first, last = max(c[0, 0] for c in curves), min(c[-1, 0] for c in curves)
    for step in np.unique(np.concatenate([c[:, 0] for c in curves])):
        if first <= step <= last:
            values = [float(np.interp(step, c[:, 0], c[:, 1])) for c in curves]
            low, high = t_interval(values) or (None, None)
            interval = "" if low is None or high is None else f"{low:.4g} to {high:.4g}"
            yield {
                "step": int(step), "value": _round(fmean(values)), "low": _round(low), "high": _round(high),
                "interval": interval,
            }  # fmt: skip
