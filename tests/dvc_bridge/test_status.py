"""Stale outputs are found without hashing data, and are those that DVC finds."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.dvc_bridge.toy import Toy
from viper_pipeline.core.files import md5_of
from viper_pipeline.dvc_bridge.lineage import SMALL, locked_stages, stale_outputs


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """raw.mp4 + code.py -> a -> b, as DVC would have locked it; the data themselves are not there."""
    (tmp_path / "params.yaml").write_text("rate: 3\nother: {deep: [1, 2]}\n")
    (tmp_path / "code.py").write_text("x = 1\n")
    with (tmp_path / "raw.mp4").open("wb") as file:
        file.truncate(SMALL + 5)
    stages = {
        "first": {
            "cmd": "python -m viper_pipeline stage one one.first.all",
            "deps": [
                {"path": "code.py", "md5": md5_of(tmp_path / "code.py"), "size": 6},
                {"path": "raw.mp4", "md5": "of a large file", "size": SMALL + 5},
            ],
            "params": {"params.yaml": {"rate": 3}},
            "outs": [{"path": "data/a", "md5": "aaa"}],
        },
        "second": {
            "cmd": "python -m viper_pipeline stage one one.second.all",
            "deps": [{"path": "data/a", "md5": "aaa", "size": 1}],
            "params": {"params.yaml": {"other.deep": [1, 2]}},
            "outs": [{"path": "data/b", "md5": "bbb"}],
        },
    }
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    return tmp_path


def test_what_has_not_changed_is_fresh(project: Path) -> None:
    assert stale_outputs(project) == {}


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("code.py", "x = 2\n", "code.py has changed"),
        ("raw.mp4", "shorter", "raw.mp4 has changed"),
        ("params.yaml", "rate: 4\nother: {deep: [1, 2]}\n", "rate has another value"),
        ("params.yaml", "other: {deep: [1, 2]}\n", "rate has another value"),
    ],
)
def test_what_changes_a_stage_makes_it_and_all_below_stale(project: Path, file: str, text: str, reason: str) -> None:
    (project / file).write_text(text)
    assert stale_outputs(project) == {"data/a": reason, "data/b": "data/a is stale"}


def test_what_lies_above_a_change_stays_fresh(project: Path) -> None:
    (project / "params.yaml").write_text("rate: 3\nother: {deep: [1]}\n")
    assert set(stale_outputs(project)) == {"data/b"}
    (project / "code.py").unlink()
    assert stale_outputs(project)["data/a"] == "code.py is gone"


def test_a_parent_that_was_made_anew_makes_its_children_stale(project: Path) -> None:
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    lock["stages"]["first"]["outs"][0]["md5"] = "new"
    (project / "dvc.lock").write_text(yaml.safe_dump(lock))
    (project / "params.yaml").write_text("rate: 3\nother: {deep: [1, 2]}\n")
    assert stale_outputs(project) == {"data/b": "data/a was made anew"}


def test_dvc_agrees(ready: Toy) -> None:
    """DVC names the stages that would run if their parents stayed as they are; they are stale here, too."""
    assert stale_outputs(ready.root) == {} and not ready.stale()
    ready.set("suites.one.drq.rate", 4)
    stale = stale_outputs(ready.root)
    node = {out["path"]: str(s["cmd"]).split()[-1] for s in locked_stages(ready.root) for out in s.get("outs", [])}
    ours = {node[path].split(".")[1] for path, why in stale.items() if "another value" in why}
    assert ours == {name.partition("@")[0] for name in ready.stale()} and ours
