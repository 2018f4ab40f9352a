"""Another profile's report lies beside the project's own: copied whole, shown under its name, judged by its agents."""

import json
import re

import pytest

from tests.reporting.test_page import BASELINES, METHODS, run
from viper_pipeline.core.errors import BadData
from viper_pipeline.pipelines.report.commands import committed_card
from viper_pipeline.pipelines.report.pipeline import pages_of
from viper_pipeline.reporting.metrics import build_metrics, widest
from viper_pipeline.reporting.other_reports import HASHES, export_report
from viper_pipeline.reporting.overview import render_overview
from viper_pipeline.reporting.page import environment


def metrics_of(seeds):
    return build_metrics([run("viper", 900, s) for s in range(seeds)], [BASELINES], {}, {}, METHODS)


@pytest.fixture
def project(tmp_path):
    """A project with a report of dmc and the lock file of what made it."""
    report = tmp_path / "long" / "reports" / "dmc"
    for name in ("figures", "cards"):
        (report / name).mkdir(parents=True)
    (report / "figures" / "fig02.svg").write_text("<svg/>")
    (report / "cards" / "experts-dmc-a.md").write_text("# data/experts/dmc/a.h5\nlong")
    (report / "headline.json").write_text("{}")
    (report / "metrics.json").write_text(json.dumps(metrics_of(5)))
    page = environment().get_template("base.html.jinja").render(root="../", here="dmc", pages=["atari", "dmc"])
    (report / "index.html").write_text(page)
    lock = tmp_path / "long" / "pipelines" / "dmc" / "dvc.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("stages:\n  train:\n    outs:\n    - {path: data/dmc, md5: '12'}\n  check: {}\n")
    (tmp_path / "long" / "dvc.lock").write_text("stages:\n  a:\n    outs:\n    - {path: data/atari, md5: '34'}\n")
    return tmp_path / "long"


def test_it_is_copied_whole_and_knows_its_profile_and_what_made_it(project, tmp_path):
    out = tmp_path / "other" / "reports" / "desk"
    for _ in range(2):  # a second time: in place of the first
        assert "by profile desk" in export_report(project, "dmc", "desk", {}, out)
    assert {p.name for p in out.iterdir()} == {"figures", "cards", "metrics.json", "index.html", HASHES}
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics.pop("profile"), metrics.pop("suite")) == ("desk", "dmc")
    assert metrics == json.loads((project / "reports/dmc/metrics.json").read_text())
    assert json.loads((out / HASHES).read_text()) == {"data/dmc": "12"}
    links = re.findall(r'href="([^"#]*)"( aria-current="page")?', (out / "index.html").read_text())
    assert links == [("../index.html", ""), ("../desk/index.html", ' aria-current="page"')]


def test_numbers_can_do_without_pictures(project, tmp_path):
    (project / "reports/dmc/curves.csv").write_text("step\n")
    out = tmp_path / "desk"
    assert "numbers of" in export_report(project, "dmc", "desk", {}, out, only_numbers=True)
    assert {p.name for p in out.iterdir()} == {"metrics.json", "curves.csv", HASHES}


def test_only_a_whole_report_of_today_is_copied_and_nothing_else_is_replaced(project, tmp_path):
    out = tmp_path / "desk"
    with pytest.raises(BadData, match=r"reports/dmc/metrics\.json: not up to date \(params\); `viper run"):
        export_report(project, "dmc", "desk", {"reports/dmc/metrics.json": "params"}, out)
    with pytest.raises(BadData, match=r"reports/atari/metrics\.json: missing"):
        export_report(project, "atari", "desk", {}, out)
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(BadData, match="no report of `viper export-report`"):
        export_report(project, "dmc", "desk", {}, out)
    assert [p.name for p in out.iterdir()] == ["mine"]


def test_the_overview_shows_both_and_judges_by_the_one_with_more_agents():
    own, other = metrics_of(1), {"profile": "desk", "suite": "dmc"} | metrics_of(5)
    assert widest({"dmc": own, "desk": other}) == {"dmc": other} == widest({"desk": other, "dmc": own})
    page = render_overview({"dmc": own, "desk": other}, pages_of({"suites": {"dmc": {}}, "other_reports": ["desk"]}))
    assert 'href="desk/index.html"' in page and "DeepMind Control, profile desk" in page
    titles = re.findall(r'<h3><a href="(\w+)/index.html">([^<]*)', page)
    assert titles == [("desk", "DeepMind Control, profile desk"), ("dmc", "DeepMind Control")]


def test_an_artifact_of_the_project_has_the_card_of_its_own_report(project):
    export_report(project, "dmc", "desk", {}, project / "reports" / "a_desk")
    own = project / "reports" / "dmc" / "cards" / "experts-dmc-a.md"
    assert committed_card(project / "data/experts/dmc/a.h5", project) == own
    own.unlink()
    assert "a_desk" in str(committed_card(project / "data/experts/dmc/a.h5", project))
