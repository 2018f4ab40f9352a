"""The private folder of a stage: one for every recipe, held by one process, kept until the stage has ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from viper_pipeline.core.errors import BadData, ViperError
from viper_pipeline.graph.recipe import Recipe, make_recipe

HOLD = """
import sys, time
from pathlib import Path
from viper_pipeline.graph.recipe import make_recipe
root = Path(sys.argv[1])
lock = make_recipe("a.b.c", {"x": 1}, [root / "in"], [root / "out"], {"code.py"}, root).lock()
print("held", flush=True)
time.sleep(100)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "in").write_text("1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("1")
    (tmp_path / "code.py").write_text("1")
    return tmp_path


def recipe(root: Path, **changes: Any) -> Recipe:
    wanted: dict[str, Any] = {
        "node": "a.b.c", "params": {"x": 1}, "parents": [root / "in"], "outs": [root / "out"], "code": {"code.py"},
    }  # fmt: skip
    return make_recipe(**(wanted | changes), root=root)


def test_equal_recipes_have_equal_keys(root: Path) -> None:
    params = {"params": {"x": 1, "y": {"b": 2, "a": 1}}}
    other_order = {"params": {"y": {"a": 1, "b": 2}, "x": 1}}
    assert recipe(root, **params).key == recipe(root, **other_order).key
    assert (
        recipe(root, parents=[root / "in", root / "folder"]).key
        == recipe(root, parents=[root / "folder", root / "in"]).key
    )


def test_whatever_decides_the_result_changes_the_key(root: Path) -> None:
    keys = [recipe(root).key, recipe(root, params={"x": 2}).key, recipe(root, node="a.b.d").key]
    keys.append(recipe(root, parents=[root / "in", root / "folder"]).key)
    (root / "folder/file").write_text("2")
    keys.append(recipe(root, parents=[root / "in", root / "folder"]).key)
    (root / "code.py").write_text("2")
    keys.append(recipe(root).key)
    (root / "in").write_text("2")
    keys.append(recipe(root).key)
    assert len(set(keys)) == len(keys)


def test_a_missing_input_is_named(root: Path) -> None:
    with pytest.raises(BadData, match=r"a\.b\.c reads gone"):
        recipe(root, parents=[root / "gone"])


def test_a_living_process_keeps_others_out_and_a_dead_one_does_not(root: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    (recipe(root).scratch / "checkpoint").write_text("half way")
    with pytest.raises(ViperError, match=r"a\.b\.c: another process"):
        recipe(root).lock()
    recipe(root, params={"x": 2}).lock().release()  # another recipe is nobody's business
    holder.kill()
    holder.wait()
    ours = recipe(root)
    lock = ours.lock()
    assert (ours.scratch / "checkpoint").read_text() == "half way"
    ours.forget(lock)
    assert not list((root / ".viper/scratch").glob(f"{ours.key}*"))


def test_lineage_holds_the_parents_own(root: Path) -> None:
    (root / "folder/lineage.json").write_text(
        '{"steps": {"folder": {"stage": "s", "params": {}, "parents": {"r": "1"}}}}'
    )
    steps = recipe(root, parents=[root / "folder"]).lineage["steps"]
    assert set(steps) == {"folder", "out"}
    assert set(steps["out"]["parents"]) == {"folder"}
    assert steps["folder"]["parents"] == {"r": "1"}
