"""Generated parts of README.md and its figure, from the committed reports.

python docs/site/readme.py            rewrites what stands between `<!-- begin NAME -->` and `<!-- end NAME -->`
python docs/site/readme.py --check    fails if that differs from the reports

`make repro` and `make readme` run the first. The docs site shows the same parts at marks such as `<!-- results -->`.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from viper_pipeline.core.files import atomic_write
from viper_pipeline.envs.dmc import PAPER_NAMES
from viper_pipeline.reporting.claims import NOT_TESTED, claim_rows
from viper_pipeline.reporting.comparisons import score_text
from viper_pipeline.reporting.metrics import suite_of, widest
from viper_pipeline.reporting.paper_data import DATA
from viper_pipeline.reporting.plots import color_of, method_style

ROOT = Path(__file__).parents[2]
SUITE = "dmc"
"""The suite that `make repro` runs."""
PICTURES = "docs/pictures"
PAPER = {"dmc": ("fig12", "Fig 12"), "atari": ("fig11", "Fig 11"), "rlbench": ("fig10", "Fig 10")}
BASELINES = ("random", "idle", "expert")
INK = {"light": "#1f2328", "dark": "#e6edf3"}
DARK = {"#000000": "#ffffff", "#0072B2": "#56B4E9", "#555555": "#b5bac1"}
"""Colors that a dark page hides, and what stands for them there."""


def metrics_of(root: Path, suite: str = SUITE) -> dict[str, Any]:
    """A suite's committed numbers."""
    return json.loads((root / "reports" / suite / "metrics.json").read_text())


def reports_of(root: Path) -> dict[str, dict[str, Any]]:
    """The numbers of every committed report, by its folder."""
    names = sorted(path.name for path in (root / "reports").iterdir() if (path / "cards").is_dir())
    return {name: metrics_of(root, name) for name in names}


def merged_metrics(root: Path) -> dict[str, Any]:
    """Numbers of the committed reports, merged over all suites: of each suite the report with the most agents."""
    found = widest(reports_of(root)).values()
    parts = ("agents", "baselines", "rewards", "methods")
    return {part: {suite: block for m in found for suite, block in m.get(part, {}).items()} for part in parts}


def paper_claims(root: Path) -> list[tuple[str, ...]]:
    """Rows of the claims' table: where, claim, ours, n, effect, interval, verdict."""
    found = root / "reports" / "ablations" / "metrics.json"
    ablations = json.loads(found.read_text()) if found.exists() else None
    return list(claim_rows(widest(reports_of(root)), ablations))


def showcase(root: Path) -> Iterator[str]:
    """What the video of the showcase shows, from the numbers behind it."""
    about = json.loads((root / PICTURES / f"{SUITE}.json").read_text())
    shown = "; ".join(
        f"{task} {', '.join(f'{value:.0f}' for _, value in row['shown'])}" for task, row in about["tasks"].items()
    )
    yield (
        f"*The agents ({about['agent']}, seed {about['seed']}) never saw the true reward that is counted below them. "
        f"Each panel shows every frame of the episode with the median return ({shown}). Made by `viper showcase`.*"
    )


def results(root: Path) -> Iterator[str]:
    """A row per task: true returns of every method, the baselines and the experts."""
    found = metrics_of(root)
    agents = found["agents"].get(SUITE, {})
    if not agents:
        yield "No agent has been trained."
    kinds = sorted({kind for methods in agents.values() for kind in methods})
    for kind in kinds:
        rows = {task: methods[kind] for task, methods in agents.items() if kind in methods}
        names = [name for name in found["methods"][SUITE] if any(name in row for row in rows.values())]
        runs = [row[name] for row in rows.values() for name in names if name in row]
        steps, episodes, seeds = ({run[key] for run in runs} for key in ("steps", "episodes", "seeds"))
        yield (
            f"True return after {_each(steps)} agent steps with {kind}: mean of {_each(episodes)} fresh episodes, "
            f"{_each(seeds)} seed{'' if seeds == {1} else 's'} per method."
            + (" One seed shows what a run can look like, and no difference between methods." if seeds == {1} else "")
            + "\n"
        )
        heads = [f"`{name}`" for name in names] + ["random", "idle", "expert videos"]
        yield f"| task | {' | '.join(heads)} |\n|{'---|' * (1 + len(heads))}"
        for task, row in rows.items():
            values = [row[name]["final_return"] if name in row else None for name in names]
            values += [found["baselines"][SUITE][task].get(f"{who}_return") for who in BASELINES]
            texts = ["" if value is None else score_text(SUITE, value) for value in values]
            yield f"| {task} | {' | '.join(texts)} |"
        yield ""


def _each(values: set[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def reward(root: Path) -> Iterator[str]:
    """How well the reward tells experts from the play that is hardest to tell from them."""
    kinds = {"contrast": "the expert under noise", "idle": "idling", "random": "random actions"}
    for model, about in metrics_of(root)["rewards"].get(SUITE, {}).items():
        for task, row in about["tasks"].items():
            auroc = row["auroc_frame" if about["mode"] == "conditional" else "auroc_window"]
            experts, low, high = row["kinds"][row["experts"]]["videos"], auroc["ci95_low"], auroc["ci95_high"]
            between = "" if low is None else f" ({low:.2f} to {high:.2f})"
            yield (
                f"- {task}: {auroc['value']:.2f}{between} for {model}, "
                f"{experts} expert videos against {kinds.get(auroc['against'], auroc['against'])}."
            )


def cost(root: Path) -> Iterator[str]:
    """How long the stages took."""
    costs = metrics_of(root)["costs"]
    minutes = sum(row["seconds"] for row in costs.values()) / 60
    machines = sorted({row["machine"] for row in costs.values()})
    if not costs:
        yield "Nothing was measured: all results came out of the cache."
        return
    most, where = max(row["peak_rss_mb"] for row in costs.values()) / 1000, ", ".join(machines)
    yield (
        f"The {len(costs)} stages behind the results below took {minutes:.0f} minutes added up ({where}). "
        f"`make repro` runs as many at a time as there are cores. None used more than {most:.1f} GB of memory."
    )


def tasks_run(root: Path) -> dict[str, tuple[int, int, int]]:
    """Suite of the paper -> its number of tasks there; tasks with VIPER above random and idle behavior; with VIPER."""
    found, scores, counts = merged_metrics(root), pd.read_csv(DATA / "paper_scores.csv"), {}
    for suite, (figure, _) in PAPER.items():
        theirs = set(scores[(scores.figure == figure) & (scores.method == "viper")].task) - {"aggregate"}
        means = {
            task: [methods["viper"]["final_return"] for methods in agents.values() if "viper" in methods]
            for task, agents in found["agents"].get(suite, {}).items()
        }
        above = [
            min(values) > max(found["baselines"][suite][task][f"{who}_return"] for who in BASELINES[:2])
            for task, values in means.items()
            if values
        ]
        counts[suite] = (len(theirs), sum(above), len(above))
    return counts


def coverage(root: Path) -> Iterator[str]:
    """How much of the paper's main figures has been run."""
    found = merged_metrics(root)
    titles = ("suite", "tasks in the paper", "agents trained here on", "VIPER's mean above random and idle behavior")
    yield f"| {' | '.join(titles)} | only the reward trained here on |"
    yield "|---|---|---|---|---|"
    for suite, (count, above, tried) in tasks_run(root).items():
        ours = {PAPER_NAMES.get(task, task) for task in found["agents"].get(suite, {})}
        reports = [m for name, m in reports_of(root).items() if suite_of(name, m) == suite]
        models = [model for m in reports for model in m["rewards"].get(suite, {}).values()]
        rewards = {PAPER_NAMES.get(task, task) for model in models for task in model["tasks"]}
        both = [", ".join(sorted(names)) or "none" for names in (ours, rewards - ours)]
        share = f"{above} of {tried}" if tried else ""
        yield f"| {suite} | {count} ({PAPER[suite][1]}) | {both[0]} | {share} | {both[1]} |"


def reproduced(root: Path) -> Iterator[str]:
    """How much has been run, in a sentence; the paper's claims that were tested, and how many were not."""
    texts = []
    for suite, (task_count, above, tried) in tasks_run(root).items():
        learned = f", with VIPER above random and idle behavior on {above}" if tried else ""
        texts.append(f"{tried} of the paper's {task_count} tasks of {suite}{learned}")
    yield f"Agents have been trained on {'; '.join(texts)}.\n"
    rows = paper_claims(root)
    tested = [row for row in rows if not row[6].startswith(NOT_TESTED)]
    yield "| paper | claim | here | verdict |\n|---|---|---|---|"
    where = ""
    for row in rows:
        where = row[0] or where
        if row in tested:
            yield f"| {where} | {row[1]} | {row[2]}: {row[4]} | {row[6]} |"
    reasons = Counter(row[6].removeprefix(NOT_TESTED).lstrip(": ") for row in rows if row not in tested)
    why = ", ".join(f"{count} for {reason}" for reason, count in reasons.most_common(1) if reason)
    others = f"{len(rows) - len(tested)} of {len(rows)}"
    yield f"\nThe other {others} claims have not been tested{f' ({why})' if why else ''}."


PARTS: Mapping[str, Callable[[Path], Iterator[str]]] = {
    part.__name__: part for part in (showcase, results, reward, cost, coverage, reproduced)
}


def with_parts(text: str, root: Path) -> str:
    """The text, with what stands between the marks of each part made anew."""
    for name, make in PARTS.items():
        mark = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if mark.search(text):
            made = "\n".join(make(root)).strip()
            text = mark.sub(lambda found, made=made: f"{found[1]}{made}\n{found[2]}", text)
    return text


def figures(root: Path) -> dict[str, bytes]:
    """Learning curves of every task, for light and for dark pages: name -> SVG."""
    return {f"returns-{theme}.svg": draw_curves(root, theme) for theme in INK}


def draw_curves(root: Path, theme: str) -> bytes:
    """True return against agent steps; one line per seed, and the baselines and experts as levels -> SVG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found, curves = metrics_of(root), pd.read_csv(root / "reports" / SUITE / "curves.csv")
    ink, content = INK[theme], io.BytesIO()
    look: dict[str, Any] = {
        name: ink for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    }
    look |= {"font.size": 9, "axes.titlesize": 10, "axes.spines.right": False, "axes.spines.top": False}
    look |= {"svg.hashsalt": "viper", "svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]}
    tasks = list(found["agents"].get(SUITE, found["baselines"][SUITE]))
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever else this process has drawn
        matplotlib.rcParams.update(look)
        figure, panels = plt.subplots(
            1, len(tasks), figsize=(4.6 * len(tasks), 2.9), squeeze=False, layout="constrained"
        )
        for task, panel in zip(tasks, panels[0], strict=True):
            for who, style in zip(BASELINES, (":", "--", "-."), strict=True):
                level = found["baselines"][SUITE][task].get(f"{who}_return")
                if level is not None:
                    panel.axhline(level, color=_seen(color_of(who), theme), ls=style, lw=1, label=who)
            for (method, agent), rows in curves[curves.task == task].groupby(["method", "agent"], sort=False):
                name = f"{method_style(method).label} ({agent})"
                for number, (_, run) in enumerate(rows.groupby("seed")):
                    color = _seen(color_of(method), theme)
                    panel.plot(run.step, run.return_mean, color=color, lw=2, label=None if number else name)
            panel.set(title=task, xlabel="agent steps")
            panel.set_ylim(bottom=0)
            panel.locator_params(axis="x", nbins=5)
            panel.grid(alpha=0.25)
            panel.patch.set_alpha(0)
        panels[0][0].set_ylabel("true return of evaluations")
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8, labelcolor=ink)
        figure.patch.set_alpha(0)
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return content.getvalue()


def _seen(color: str, theme: str) -> str:
    return DARK.get(color, color) if theme == "dark" else color


def main(root: Path, check: bool, out: io.TextIOBase | Any = sys.stdout) -> int:
    """Write, or compare, README.md and the figures; returns the exit status."""
    new = {root / "README.md": with_parts((root / "README.md").read_text(), root).encode()}
    new |= {root / PICTURES / name: content for name, content in figures(root).items()}
    stale = [path for path, content in new.items() if not path.exists() or path.read_bytes() != content]
    for path in stale:
        print(
            f"{path.relative_to(root)} {'is not what the reports say; run `make readme`' if check else 'written'}",
            file=out,
        )
        if not check:
            atomic_write(path, new[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(ROOT, "--check" in sys.argv[1:]))
