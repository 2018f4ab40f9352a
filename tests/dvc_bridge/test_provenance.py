"""The private folder of a stage: one for every provenance, held by one process, kept until the stage has ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from viper_pipeline.core.errors import BadData, ViperError
from viper_pipeline.dvc_bridge.provenance import Provenance, make_provenance

HOLD = """
import sys, time
from pathlib import Path
from viper_pipeline.dvc_bridge.provenance import make_provenance
root = Path(sys.argv[1])
lock = make_provenance("a.b.c", {"x": 1}, [root / "in"], [root / "out"], "c0de", root).lock()
print("held", flush=True)
time.sleep(100)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "in").write_text("1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("1")
    return tmp_path


def provenance(root: Path, **changes: Any) -> Provenance:
    wanted: dict[str, Any] = {
        "node": "a.b.c", "params": {"x": 1}, "parents": [root / "in"], "outs": [root / "out"], "code": "c0de",
    }  # fmt: skip
    return make_provenance(**(wanted | changes), root=root)


def test_artifacts_of_equal_provenance_have_equal_keys(root: Path) -> None:
    params = {"params": {"x": 1, "y": {"b": 2, "a": 1}}}
    other_order = {"params": {"y": {"a": 1, "b": 2}, "x": 1}}
    assert provenance(root, **params).key == provenance(root, **other_order).key
    assert (
        provenance(root, parents=[root / "in", root / "folder"]).key
        == provenance(root, parents=[root / "folder", root / "in"]).key
    )


def test_whatever_decides_the_result_changes_the_key(root: Path) -> None:
    keys = [provenance(root).key, provenance(root, params={"x": 2}).key, provenance(root, node="a.b.d").key]
    keys.append(provenance(root, parents=[root / "in", root / "folder"]).key)
    (root / "folder/file").write_text("2")
    keys.append(provenance(root, parents=[root / "in", root / "folder"]).key)
    keys.append(provenance(root, code="c0d3").key)
    (root / "in").write_text("2")
    keys.append(provenance(root).key)
    assert len(set(keys)) == len(keys)


def test_a_missing_input_is_named(root: Path) -> None:
    with pytest.raises(BadData, match=r"a\.b\.c reads gone"):
        provenance(root, parents=[root / "gone"])


def test_a_living_process_keeps_others_out_and_a_dead_one_does_not(root: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    (provenance(root).scratch / "checkpoint").write_text("half way")
    with pytest.raises(ViperError, match=r"a\.b\.c: another process"):
        provenance(root).lock()
    provenance(root, params={"x": 2}).lock().release()  # another provenance is nobody's business
    holder.kill()
    holder.wait()
    ours = provenance(root)
    lock = ours.lock()
    assert (ours.scratch / "checkpoint").read_text() == "half way"
    ours.remove_scratch(lock)
    assert not list((root / ".viper/scratch").glob(f"{ours.key}*"))


def test_lineage_holds_the_parents_own(root: Path) -> None:
    (root / "folder/lineage.json").write_text(
        '{"steps": {"folder": {"stage": "s", "params": {}, "parents": {"r": "1"}}}}'
    )
    steps = provenance(root, parents=[root / "folder"]).lineage["steps"]
    assert set(steps) == {"folder", "out"}
    assert set(steps["out"]["parents"]) == {"folder"}
    assert steps["folder"]["parents"] == {"r": "1"}
