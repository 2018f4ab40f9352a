"""`dvc plots show` draws learning curves: a panel per task, a color per method, a line per seed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FACETS = {"learning_curves": ("task", "method"), "ablation_curves": ("axis", "value")}


def drawn(template: str, rows: list[dict[str, str]]) -> dict:
    """What DVC makes of a template and rows."""
    from dvc_render.vega import VegaRenderer

    rows = [{**row, "rev": "workspace", "filename": "curves.csv"} for row in rows]
    renderer = VegaRenderer(
        rows, "curves", template=template, template_dir=str(ROOT / ".dvc/plots"), x="step", y="return_mean"
    )
    return dict(renderer.get_filled_template())


@pytest.mark.parametrize("template", FACETS)
def test_a_template_draws_a_panel_per_task_and_a_line_per_run(template: str) -> None:
    facet, color = FACETS[template]
    rows = [
        {facet: f, color: c, "agent": "drq", "seed": str(seed), "step": str(step), "return_mean": str(step)}
        for f in ("one", "two")
        for c in ("x", "y")
        for seed in (0, 1)
        for step in (10, 20)
    ]
    spec = drawn(template, rows)
    assert "DVC_METRIC" not in json.dumps(spec)
    encoding = spec["spec"]["encoding"]
    assert (spec["facet"]["field"], encoding["color"]["field"]) == (facet, color)
    assert (encoding["x"]["field"], encoding["y"]["field"]) == ("step", "return_mean")
    lines = [facet, color, "rev", *(one["field"] for one in encoding["detail"])]
    steps: dict[tuple[str, ...], list[str]] = {}
    for row in spec["data"]["values"]:
        steps.setdefault(tuple(row.get(name, "") for name in lines), []).append(row["step"])
    assert len(steps) == 2 * 2 * 2  # no line goes through two runs
    assert all(len(set(one)) == len(one) == 2 for one in steps.values())


def test_every_plot_of_the_project_has_a_template_with_its_columns() -> None:
    seen = 0
    for path in ROOT.glob("pipelines/*/dvc.yaml"):
        for plot in yaml.safe_load(path.read_text()).get("plots", []):
            for file, settings in plot.items():
                facet, color = FACETS[settings["template"]]
                with (path.parent / file).open() as rows:
                    columns = csv.DictReader(rows).fieldnames
                assert columns == ["empty"] or {facet, color, settings["x"], settings["y"]} <= set(columns or ())
                seen += 1
    assert seen
