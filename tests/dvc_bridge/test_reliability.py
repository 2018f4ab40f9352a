"""The programs of benchmarks/reliability that need a project, on the toy one: kills, two at once, one change."""

from __future__ import annotations

import importlib
import json
import random
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from tests.dvc_bridge.toy import Toy
from viper_pipeline.dvc_bridge.repo import Repository, drop_broken_rwlock

FOLDER = Path(__file__).parents[2] / "benchmarks" / "reliability"
ONE = "pipelines/one/dvc.yaml"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def project(program, root: Path):
    """The toy as the programs take projects."""

    class ToyProject(program("tiny_project").Project):
        def env(self) -> dict[str, str]:
            return Toy(self.root).env({})

    return ToyProject(root)


def test_a_killed_stage_and_a_killed_run_go_on_with_equal_bytes(program, ready: Toy, tmp_path: Path) -> None:
    killed: ModuleType = program("killed")
    whole = project(program, ready.root)
    other = killed.copied(whole, tmp_path / "disturbed")
    killed.forget(other.root, ONE, ["train_model"])
    assert not (other.root / "data/models/one/gpt").exists()
    killer = killed.Killer(other, ONE, Counter({killed.BEFORE: 1, "train_model": 1}), random.Random(0))
    killer.took["train_model"] = 0.2  # this is sooner than it can end
    while killer.left.total():  # a run may have ended before its kill
        killed.forget(other.root, ONE, ["train_model"])
        assert killer() == ""
    assert {kind: sum(hit.values()) for kind, hit in killer.hit.items()} == {killed.BEFORE: 1, "train_model": 1}
    assert killed.outputs(other.root, ONE, "train_model") == killed.outputs(whole.root, ONE, "train_model") != {}
    assert killed.stages_in(other.root, ONE) == killed.stages_in(whole.root, ONE)


def test_two_commands_at_once_do_the_work_once_and_well(program, ready: Toy, tmp_path: Path) -> None:
    two = program("two_at_once")
    whole = project(program, ready.root)
    other = two.copied(whole, tmp_path / "both")
    (said,) = two.once(other, whole, ONE, "train_model", ("viper run", "viper run"), 0.1)
    assert said == "the later one gave up in 1 line" or said == "the earlier one gave up in 1 line"


def test_one_change_makes_stale_what_is_predicted_and_the_difference_is_told(program, toy: Toy) -> None:
    one = program("one_change")
    toy.run("viper", "dvc", "sync")
    stand_ins = one.StandIns(toy.root, f"src/{toy.package}")
    assert stand_ins.stale() == set() and {"one.clean", "report.collect"} & stand_ins.stages == {"one.clean"}
    for change, apply in (
        (one.Change("suites.one.drq.rate", ("one.train_agent",), 4), stand_ins.parameter),
        (one.Change("data/models/one/gpt", ("one.train_model", "one.train_agent")), stand_ins.input),
        (one.Change("cleaning.py:clean", ("one.cl*",)), stand_ins.expression),
    ):
        found = apply(change)
        assert one.difference(found, change.stale, stand_ins.stages) == ""
        assert "though not predicted" in one.difference(found, (), stand_ins.stages)
        assert "predicted and fresh: one.train_oracle" in one.difference(
            found, (*change.stale, "one.train_oracle"), stand_ins.stages
        )
    assert "no stage: two.*" in one.difference(set(), ("two.*",), stand_ins.stages)


def test_parameters_that_a_check_calls_sound_run_to_the_end_or_are_refused(program, ready: Toy, tmp_path: Path) -> None:
    runs = program("mutated_runs")
    other = runs.copied(project(program, ready.root), tmp_path / "other")
    text = (other.root / "params.yaml").read_text()
    for changed, expected in (
        (text.replace("rate: 3", "rate: 4"), runs.ENDED),
        (text.replace("rate: 3", "rate: many"), "traceback"),
        (text.replace("rate: 3", "rate: [3"), runs.REFUSED),
    ):
        assert changed != text
        found, printed = runs.became(other, changed, (ONE,))
        assert found == expected, printed


def test_dvcs_own_files_are_whole_or_mended(ready: Toy) -> None:
    """DVC empties its lock files before it writes them; a kill then leaves half of one, which no command can read."""
    folder = ready.root / ".dvc" / "tmp"
    (folder / "rwlock").write_text('{"read": {"a"')
    drop_broken_rwlock(folder)
    assert not (folder / "rwlock").exists()
    (folder / "rwlock").write_text(json.dumps({"read": {}, "write": {}}))
    drop_broken_rwlock(folder)
    assert (folder / "rwlock").exists()

    fs = Repository(ready.root).repo.fs
    lock = ready.root / ONE.replace("dvc.yaml", "dvc.lock")
    before = lock.read_text()
    with pytest.raises(KeyboardInterrupt), fs.open(lock, "w+", encoding="utf-8") as file:
        file.write("half")
        file.flush()
        assert lock.read_text() == before
        raise KeyboardInterrupt
    assert lock.read_text() == before and not list(lock.parent.glob(".*tmp"))
    with fs.open(str(lock), "w", encoding="utf-8") as file:
        file.write("whole")
    assert fs.open(lock).read() == "whole"


def test_half_a_lock_file_has_a_remedy_that_costs_no_work(ready: Toy) -> None:
    lock = ready.root / ONE.replace("dvc.yaml", "dvc.lock")
    text = lock.read_text()
    lock.write_text(text[: text.rindex("md5: ") + 2])
    done = ready.run("viper", "run", check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    for part in ("unable to read: 'pipelines/one/dvc.lock'", "half written", "delete it"):
        assert part in done.stderr
    lock.unlink()
    assert "0 ran, " in ready.run("viper", "run", "-j", "1").stdout and ready.ran() == []
