"""What the cards of the shipped rewards and the page for their users tell people to type, works."""

import json
import shlex
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import viper_pipeline
from tests.reporting.test_export import project  # noqa: F401 (a fixture)
from tests.snippets import ROOT, blocks, run_blocks
from viper_pipeline.commands import cli
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.rewards.pretrained import CARD, PRETRAINED, pretrained
from viper_pipeline.tools.single_run import overridden

PAGE = ROOT / "docs" / "how_to" / "use_a_reward.md"


@pytest.mark.parametrize("name", pretrained())
def test_the_snippets_of_a_shipped_reward_s_card(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, count = run_blocks((PRETRAINED / name / CARD).read_text())
    assert count and names["model"].tasks == viper_pipeline.load_reward(name).tasks
    env = names["rewarded"]
    env.reset(seed=0)
    assert np.isfinite(env.step(env.action_space.sample())[1])


def test_the_snippets_of_an_exported_reward_s_card(project, monkeypatch):  # noqa: F811
    from viper_pipeline.reporting.cards import export_reward

    monkeypatch.chdir(project)
    export_reward(project / "data/rewards/dmc/videogpt", project / "my-reward")
    names, count = run_blocks((project / "my-reward" / CARD).read_text())
    assert count == 1 and isinstance(names["rewarded"], viper_pipeline.ViperWrapper)


def test_the_page_for_a_reward_s_users(project, monkeypatch):  # noqa: F811
    monkeypatch.chdir(project)
    text = PAGE.read_text()
    names, count = run_blocks(text)
    assert count == text.count("\n```") / 2
    assert names["nats"].shape == (21,) and names["surprise"].shape == (21, 8, 8)
    for file in ("scores.csv", "scores.json", "scores.png", "surprise.mp4", "my-reward/README.md"):
        assert (project / file).stat().st_size > 100


@pytest.mark.parametrize("page", ["own_videos", "formats", "sweep"])
def test_the_commands_of_a_page_are_commands_with_these_options(page):
    text = (ROOT / "docs" / "how_to" / f"{page}.md").read_text()
    lines = [line for language, block in blocks(text) if language == "shell" for line in block.splitlines()]
    found = [shlex.split(part) for line in lines for part in line.split("&&") if part.strip().startswith("viper ")]
    assert found
    for _, name, *words in found:
        cli.commands[name].make_context(name, words)  # raises click.UsageError for what it does not know


def test_the_script_of_the_page_on_sweeps(tmp_path, monkeypatch):
    """Optuna is no dependency: a stand-in proposes values, and what the script would start is parsed."""
    started, returns = [], {0: [1.0, 3.0], 1: [4.0]}

    def start(command, check):
        assert command[0] == "viper" and check
        context = cli.commands[command[1]].make_context(command[1], command[2:])
        started.append(context.params["overrides"])
        out = tmp_path / context.params["out"]
        out.mkdir(parents=True)
        (out / "config.json").write_text(json.dumps({"final_returns": returns[len(started) - 1]}))

    class Study:
        best_params = None

        def optimize(self, objective, n_trials):
            numbers = [SimpleNamespace(number=n, suggest_float=lambda name, low, high, log: low) for n in range(2)]
            self.best_value = max(map(objective, numbers))

    study = Study()
    monkeypatch.setitem(sys.modules, "optuna", SimpleNamespace(create_study=lambda **_: study))
    monkeypatch.setattr(subprocess, "run", start)
    monkeypatch.chdir(tmp_path)
    (script,) = (text for language, text in blocks((PAGE.parent / "sweep.md").read_text()) if language == "python")
    exec(compile(script, "sweep.md", "exec"), {})
    assert study.best_value == 4.0 and len(started) == 2
    params = read_profile(ROOT / "profiles/laptop.yaml")
    changed = overridden(params, "dmc", started[0])
    validate(changed)
    assert changed["suites"]["dmc"]["drq"]["learning_rate"] == 3e-4 and params != changed


def test_an_unknown_kind_of_block_is_not_passed_over():
    assert blocks("a\n```python\nx = 1\n```\nb\n```\nviper --help\n```\n") == [
        ("python", "x = 1\n"), ("shell", "viper --help\n"),
    ]  # fmt: skip
    for text in ("```bash\nls\n```\n", "```\nls\n```\n", "```\npip install '.[no-such-extra]'\n```\n"):
        with pytest.raises(AssertionError):
            run_blocks(text)
    with pytest.raises(ZeroDivisionError):
        run_blocks("```python\n1 / 0\n```\n")
