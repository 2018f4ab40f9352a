"""Profiles: overlays on a base, written out to params.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadParams
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import differing_params, names, read_profile, render, write_params

ROOT = Path(__file__).parents[2]

BASE = """\
profile: base
seed: 0
suites:
  toy:
    # Which tasks there are.
    tasks:
    - a
    - b
    datasets:
      "*":
        kind: expert
        path: data/{task}.h5
    model:
      width: 8
      layers: 2
"""
SMALL = """\
extends: base
profile: small
suites:
  toy:
    tasks:
    - b
    - c
    datasets:
      c:
        kind: npz
        path: mine
    model:
      width: 4
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/base.yaml").write_text(BASE)
    (tmp_path / "profiles/small.yaml").write_text(SMALL)
    (tmp_path / "profiles/big.yaml").write_text("extends: base\nprofile: big\nseed: 1\n")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "params.yaml").write_text(render(tmp_path, "small"))
    return tmp_path


def test_an_overlay_says_only_what_differs(project: Path) -> None:
    toy = read_profile(project / "profiles/small.yaml")["suites"]["toy"]
    assert toy["model"] == {"width": 4, "layers": 2}
    assert toy["tasks"] == ["b", "c"]


def test_a_star_stands_for_every_task_without_an_entry(project: Path) -> None:
    table = read_profile(project / "profiles/small.yaml")["suites"]["toy"]["datasets"]
    assert table == {"b": {"kind": "expert", "path": "data/b.h5"}, "c": {"kind": "npz", "path": "mine"}}
    assert list(table) == ["b", "c"]


def test_null_takes_an_entry_out_of_a_table(project: Path) -> None:
    (project / "profiles/less.yaml").write_text(
        "extends: base\nprofile: less\nsuites: {toy: {datasets: {b: null, c: {kind: npz}}}}\n"
    )
    assert "b" not in (read_profile(project / "profiles/less.yaml")["suites"]["toy"]["datasets"] or {})


def test_what_is_written_holds_the_same_values_and_the_comments(project: Path) -> None:
    text = render(project, "small")
    assert yaml.safe_load(text) == read_profile(project / "profiles/small.yaml")
    assert "# Which tasks there are." in text
    assert "extends" not in text


def test_writing_another_profile_says_what_changed(project: Path) -> None:
    changed = write_params(project, "big")
    assert "seed: 0 -> 1" in changed
    assert "suites.toy.model.width: 4 -> 8" in changed
    assert write_params(project, "big") == []


def test_edits_are_not_overwritten_unless_told_to(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("width: 4", "width: 5"))
    with pytest.raises(BadParams, match=r"suites\.toy\.model\.width: 4 -> 5"):
        write_params(project, "big")
    assert "width: 5" in path.read_text()
    assert "suites.toy.model.width: 5 -> 8" in write_params(project, "big", force=True)


def test_unknown_names_are_answered_with_the_nearest(project: Path) -> None:
    with pytest.raises(BadParams, match="did you mean 'small'"):
        render(project, "smal")
    (project / "profiles/odd.yaml").write_text("extends: bas\nprofile: odd\n")
    with pytest.raises(BadParams, match=r"odd\.yaml: extends: there is no profile 'bas'"):
        read_profile(project / "profiles/odd.yaml")


def test_the_command(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    listed = CliRunner().invoke(cli, ["profile"])
    assert listed.output.split() == ["big", "small", "*"]
    done = CliRunner().invoke(cli, ["profile", "big"])
    assert "seed: 0 -> 1" in done.output and yaml.safe_load((project / "params.yaml").read_text())["profile"] == "big"


@pytest.mark.parametrize("name", names(ROOT))
def test_every_shipped_profile_is_sound_and_written_out_equally(name: str) -> None:
    values = read_profile(ROOT / f"profiles/{name}.yaml")
    validate(values, name)
    assert not list(differing_params(values, yaml.safe_load(render(ROOT, name))))


def test_params_yaml_is_the_laptop_profile() -> None:
    assert read_profile(ROOT / "params.yaml") == read_profile(ROOT / "profiles/laptop.yaml")
