"""One training by itself: `viper train-tokenizer` and the like, without a Kedro session and DVC."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.pipelines.profiles import read_profile, render
from viper_pipeline.tools import single_run
from viper_pipeline.tools.single_run import overridden, run_single

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "conf", root / "conf")
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "params.yaml").write_text(render(ROOT, "tiny"))
    return root


def test_overrides_are_names_of_params_yaml_or_of_the_suite(project: Path) -> None:
    params = read_profile(project / "params.yaml")
    changed = overridden(params, "dmc", ["drq.pixels=16", "seed=3", "suites.dmc.tokenizer.training.betas=[0.5, 0.9]"])
    assert changed["suites"]["dmc"]["drq"]["pixels"] == 16
    assert changed["seed"] == 3
    assert changed["suites"]["dmc"]["tokenizer"]["training"]["betas"] == [0.5, 0.9]
    assert params["suites"]["dmc"]["drq"]["pixels"] != 16


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drq.pixels", "write key=value"),
        ("drk.pixels=3", r"no block suites\.dmc\.drk \(did you mean 'drq'"),
        ("drq.pixel=3", r"suites\.dmc\.drq\.pixel: unknown key \(did you mean 'pixels'"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(project: Path, text: str, said: str) -> None:
    with pytest.raises(BadParams, match=said):
        run_single(project, "dmc", "train_agent_exploration", "cartpole_balance-drq-0", [text])


def test_an_agent_is_trained_alone_and_equally_each_time(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    command = ["train-agent", "--suite", "dmc", "--task", "cartpole_balance", "--method", "exploration"]
    small = ["runs.steps=40", "runs.random_steps=20", "runs.eval_episodes=1", "runs.final_episodes=1"]
    folders = [project / "one", project / "two"]
    for folder in folders:
        done = CliRunner().invoke(cli, [*command, "--out", str(folder), *small], catch_exceptions=False)
        assert done.output.strip().endswith(str(folder))
    one, two = ((folder / "weights.safetensors").read_bytes() for folder in folders)
    assert one == two
    assert not list(project.glob("*.checkpoints-*"))


def test_what_was_not_made_and_what_is_not_there_are_named(project: Path) -> None:
    with pytest.raises(BadData, match=r"data/.*has not been made yet; `dvc repro`"):
        run_single(project, "dmc", "train_tokenizer", "all")
    with pytest.raises(BadParams, match=r"did you mean 'dmc\.train_tokenizer\.all'"):
        run_single(project, "dmc", "train_tokenizr", "all")
    with pytest.raises(BadParams, match=r"no block suites\.dmcc"):
        run_single(project, "dmcc", "train_tokenizer", "all", ["seed=1"])


def test_the_first_of_a_list(project: Path) -> None:
    assert single_run.first_of(project, "suites.dmc.agents") == "drq"
    with pytest.raises(BadParams, match="names none"):
        single_run.first_of(project, "suites.nothing.agents")
