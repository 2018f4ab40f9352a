"""Kedro's own ways: parameters that come in by them (`kedro run --params`, notebooks) are checked like those of
params.yaml, and `kedro package` finds the configuration.
"""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import click
import pytest

from viper_pipeline.core.errors import BadParams
from viper_pipeline.dvc_bridge.project import bootstrap, read_params

ROOT = Path(__file__).parents[2]


def catalog_with(**params):
    """The catalog as a notebook or a session with runtime parameters gets it."""
    from kedro.framework.session import KedroSession

    bootstrap(ROOT)
    with KedroSession.create(ROOT, runtime_params=params) as session:
        return session.load_context().catalog


@pytest.fixture(autouse=True)
def in_project(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("KEDRO_DISABLE_TELEMETRY", "1")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"suites": {"dmc": {"record": {"expert": -3}}}}, ["suites.dmc.record.expert", "greater than 0"]),
        ({"suites": {"dmc": {"record": {"exprt": 3}}}}, ["suites.dmc.record.exprt", "did you mean 'expert'"]),
        ({"suites": {"dmc": {"runs": {"capacity": 8}}}}, ["suites.dmc.runs.capacity"]),
        ({"seeds": [0, 1]}, ["--params", "graph", "params.yaml"]),
        ({"suites": {"dmc": {"methods": ["viper"]}}}, ["--params", "graph"]),
        ({"sed": 1}, ["sed", "did you mean 'seed'"]),
    ],
)
def test_wrong_parameters_are_refused_before_any_node(params, said):
    with pytest.raises(BadParams) as caught:
        catalog_with(**params)
    assert isinstance(caught.value, click.ClickException)  # which Kedro's command shows without a traceback
    assert all(word in caught.value.message for word in said)


def test_right_parameters_take_effect_in_inputs_and_sources():
    datasets = {"cartpole_balance": {"kind": "npz", "path": "some/videos"}}
    catalog = catalog_with(seed=7, suites={"dmc": {"datasets": datasets}})
    assert catalog.load("params:seed") == 7
    assert catalog.get("dmc/cartpole_balance/source").path == ROOT / "some/videos"
    kept = read_params(ROOT / "params.yaml")["suites"]["dmc"]["datasets"]["ball_in_cup_catch"]["path"]
    assert catalog.get("dmc/ball_in_cup_catch/source").path == ROOT / kept


def test_kedro_run_says_it_in_a_line():
    command = [sys.executable, "-m", "kedro", "run", "--pipeline", "dmc", "--params", "suites.dmc.record.expert=-3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout
    assert "suites.dmc.record.expert" in done.stderr


def test_kedro_package_finds_the_configuration(tmp_path, monkeypatch):
    """The wheel is left out, which takes long; what is packed beside it depends on where settings say that it lies."""
    from kedro.framework.cli import project
    from kedro.framework.startup import bootstrap_project

    call, made = project.call, []
    monkeypatch.setattr(project, "call", lambda words, **how: made.append(words) if "build" in words else call(words))
    (tmp_path / "dist").mkdir()
    monkeypatch.chdir(tmp_path)
    project.package.callback.__wrapped__(bootstrap_project(ROOT))
    with tarfile.open(tmp_path / "dist/conf-viper_pipeline.tar.gz") as packed:
        assert {"conf/base/catalog.yml", "conf/logging.yml"} <= set(packed.getnames())
    assert len(made) == 1
