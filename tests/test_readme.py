"""README.md says what the committed reports say, shows the agents that they are about, and its snippet runs."""

import importlib.util
import io
import json
import re
import shutil
import sys

import pytest

from tests.snippets import ROOT, blocks

README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def readme():
    """docs/site/readme.py; the docs are no package."""
    spec = importlib.util.spec_from_file_location("readme", ROOT / "docs/site/readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("readme", None)


@pytest.fixture
def copied(tmp_path):
    """README, figures and reports of the project, to change."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs/pictures", tmp_path / "docs/pictures")
    shutil.copytree(ROOT / "reports", tmp_path / "reports", ignore=shutil.ignore_patterns("*.html", "*.svg", "*.webp"))
    return tmp_path


def test_readme_and_its_figure_are_those_of_the_reports(readme):
    said = io.StringIO()
    assert readme.main(ROOT, check=True, out=said) == 0, said.getvalue()
    assert all(f"<!-- begin {name} -->\n<!-- end" not in README for name in readme.PARTS), "a part is empty"


def test_it_is_a_screen_and_a_half():
    shown = [line for line in README.splitlines() if not line.startswith("<!--")]
    assert len(shown) <= 90, "move what is not needed on the first day to docs/"


def test_other_reports_are_noticed_and_written(readme, copied):
    path = copied / "reports/dmc/metrics.json"
    metrics = json.loads(path.read_text())
    task = next(iter(metrics["agents"]["dmc"]))
    metrics["agents"]["dmc"][task]["drq"]["viper"]["final_return"] = 123.4
    path.write_text(json.dumps(metrics))
    curves = copied / "reports/dmc/curves.csv"
    curves.write_text(curves.read_text() + f"dmc,{task},viper,drq,1,20000,500.0\n")
    said = io.StringIO()
    assert readme.main(copied, check=True, out=said) == 1
    assert said.getvalue().count("make readme") == 3, "README.md and both figures"
    assert (copied / "README.md").read_text() == README, "a check writes nothing"
    readme.main(copied, check=False, out=said)
    assert f"| {task} | 123 |" in (copied / "README.md").read_text()
    assert readme.main(copied, check=True, out=said) == 0


def test_the_showcase_is_of_the_agents_of_the_reports():
    about = json.loads((ROOT / "docs/pictures/dmc.json").read_text())
    agents = json.loads((ROOT / "reports/dmc/metrics.json").read_text())["agents"][about["suite"]]
    assert set(about["tasks"]) == set(agents)
    for task, shown in about["tasks"].items():
        returns = shown["final_returns"]
        run = agents[task][about["agent"]][about["method"]]
        assert round(sum(returns) / len(returns), 3) in [round(value, 3) for value in run["per_seed"]], (
            f"{task}: make docs/pictures/dmc.webp anew with `viper showcase --out docs/pictures/dmc.webp`"
        )
        middle = sorted(returns)[(len(returns) - 1) // 2]
        assert shown["shown"][1][1] == pytest.approx(middle, abs=0.1), "the agent did not play its episode again"


def test_the_snippet_for_users_of_a_reward():
    (snippet,) = [text for language, text in blocks(README) if language == "python"]
    names = {}
    exec(compile(snippet, "README.md", "exec"), names)
    assert names["nats"].shape == (2,) and isinstance(names["reward"], float)


def test_every_link_of_the_front_pages_leads_somewhere():
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md"):
        for target in re.findall(r"\]\(([^)#]+)|(?:src|srcset)=\"([^\"]+)\"", (ROOT / page).read_text()):
            path = target[0] or target[1]
            if not path.startswith(("http", "../../", "mailto:")):
                assert (ROOT / path).exists(), f"{page}: {path}"


def test_messages_that_the_faq_quotes_exist():
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", code) + (ROOT / "Makefile").read_text()
    symptoms = [line.split("|")[1] for line in (ROOT / "docs/faq.md").read_text().splitlines() if line[:2] == "| "]
    quoted = [text for symptom in symptoms for text in re.findall(r'"([^"]+)"', symptom)]
    assert len(quoted) > 5
    assert [text for text in quoted if text not in code] == []
