"""`viper run` and `dvc repro`: the same results, and nothing lost when they are stopped."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from tests.dvc_bridge.toy import STAGES, Toy

EVERY_STAGE = {stage for group in STAGES.values() for stage in group}


def wait_until(what: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def locks(toy: Toy) -> dict[str, object]:
    """What the lock files say; they must always be readable."""
    return {path.name: yaml.safe_load(path.read_text()) for path in sorted(toy.root.rglob("dvc.lock"))}


def outputs(hashes: dict[str, str]) -> dict[str, str]:
    return {name: md5 for name, md5 in hashes.items() if not name.startswith("data/raw")}


def test_everything_ran_once_and_nothing_runs_again(built: Toy, ready: Toy) -> None:
    assert len((built.root / "ran.txt").read_text().split()) == len(EVERY_STAGE)
    assert "9 up to date" in ready.run("viper", "run").stdout
    again = ready.run("dvc", "repro").stdout
    assert [line for line in again.splitlines() if line.startswith("Running stage")] == ["Running stage 'code':"]
    assert ready.ran() == []


def test_the_same_bytes_as_dvc_repro(built: Toy, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Toy.make(tmp_path_factory.mktemp("repro") / "elsewhere", "toy")
    other.run("viper", "dvc", "sync")
    other.run("dvc", "repro")
    assert other.hashes() == built.hashes()
    assert locks(other) == locks(built)


def test_a_second_look_costs_no_question_and_misses_nothing(ready: Toy) -> None:
    quick = "no file has changed"
    assert quick not in ready.run("viper", "run").stdout
    assert "9 up to date: no file has changed" in ready.run("viper", "run").stdout
    one = "pipelines/one/dvc.yaml:clean@red"
    assert quick not in ready.run("viper", "run", one).stdout
    assert quick in ready.run("viper", "run", one).stdout
    made, code = ready.root / "data/clean/one/red.h5", ready.root / "src/toy/acting.py"
    for touch in (
        lambda: made.unlink(),
        lambda: (made.unlink(), made.write_text("by hand")),
        lambda: code.write_text(code.read_text().replace("0,{score}", "1,{score}")),
        lambda: ready.set("suites.one.clean.keep", 9),
        lambda: (ready.root / "pipelines/two").mkdir(),
        lambda: shutil.rmtree(ready.root / ".dvc/cache/files"),
    ):
        ready.run("viper", "run")
        ready.run("viper", "run")
        assert quick in ready.run("viper", "run").stdout
        touch()
        assert quick not in ready.run("viper", "run").stdout
        assert ready.stale() == set()


def test_what_was_touched_during_a_run_is_looked_at_again(ready: Toy) -> None:
    ready.set("suites.one.drq.sleep", 3)
    run = ready.start("viper", "run", "-j", "2")
    wait_until(lambda: list((ready.root / ".viper/scratch").glob("*.lock")))
    raw = ready.root / "data/raw/blue.txt"
    raw.write_text(raw.read_text() + "b4\n")  # read by a stage that is done by now
    run.communicate(timeout=60)
    assert "no file has changed" not in ready.run("viper", "run").stdout
    assert ready.stale() == set()


def test_changed_values_give_changed_outputs_and_old_values_give_the_old_ones_back(ready: Toy) -> None:
    """The one way in which DVC can record a wrong result without an error: new inputs, old outputs."""
    before, said = ready.hashes(), (ready.root / "pipelines/one/dvc.yaml").read_text()
    ready.set("suites.one.datasets.red.path", "data/raw/red_other.txt")
    ready.run("viper", "run", "-j", "2")
    ran = ready.ran()
    assert sorted(ran) == [
        "one.clean.red",
        "one.train_agent.blue-drq-0",
        "one.train_agent.red-drq-0",
        "one.train_model.gpt",
        "report.collect.all",
    ]
    assert ran.index("one.clean.red") < ran.index("one.train_model.gpt") < ran.index("report.collect.all")
    after = ready.hashes()
    unchanged = {name for name in outputs(before) if before[name] == after[name]}
    assert {name.split("/")[1] for name in unchanged} == {"clean", "oracles"}
    assert "data/clean/one/blue.h5" in unchanged and "data/clean/one/red.h5" not in unchanged
    assert ready.stale() == set()
    # and back
    ready.set("suites.one.datasets.red.path", "data/raw/red.txt")
    done = ready.run("viper", "run")
    assert "1 ran, 4 restored, 4 up to date" in done.stdout
    assert ready.ran() == ["report.collect.all"]  # what is committed to Git is not in the cache of runs
    assert ready.hashes() == before
    assert ready.stale() == set()
    assert (ready.root / "pipelines/one/dvc.yaml").read_text() == said


def test_a_crash_holds_back_only_what_needs_it_and_the_next_run_resumes(ready: Toy) -> None:
    ready.set("suites.one.gpt.width", 3)
    ready.set("suites.one.oracles.red.skill", 7)
    done = ready.run("viper", "run", "-j", "1", check=False, TOY_CRASH="1")
    assert done.returncode == 1
    assert "FAILED pipelines/one/dvc.yaml:train_model@gpt (exit 9" in done.stdout
    assert "3 held back" in done.stdout
    assert ready.ran() == ["one.train_oracle.red"]
    (step,) = (ready.root / ".viper/scratch").glob("*/step")
    assert step.read_text() == "2"
    # it goes on after the step at which it would crash again
    ready.run("viper", "run", "pipelines/one/dvc.yaml:train_model@gpt", TOY_CRASH="1")
    assert ready.ran() == ["one.train_model.gpt"]
    assert list((ready.root / ".viper/scratch").iterdir()) == []
    assert ready.stale() >= STAGES["train_agent"]


def test_a_target_with_a_star_is_all_stages_of_this_pattern_and_one_that_matches_none_is_refused(ready: Toy) -> None:
    ready.set("suites.one.drq.rate", 5)
    ready.run("viper", "run", "pipelines/one/dvc.yaml:train_agent@red-*", PATH="/usr/bin:/bin")  # nothing is activated
    assert [node for node in ready.ran() if "train_agent" in node] == ["one.train_agent.red-drq-0"]
    done = ready.run("viper", "run", "pipelines/one/dvc.yaml:train_agent@green-*", check=False)
    assert done.returncode == 1 and "train_agent@green-*: no stage is called like this" in done.stderr


def test_what_a_stage_raises_is_shown_with_its_name(ready: Toy) -> None:
    ready.set("suites.one.drq.rate", -1)
    done = ready.run("viper", "run", "pipelines/one/dvc.yaml:train_agent@red-drq-0", check=False)
    assert done.returncode == 1
    assert "train_agent@red-drq-0 | ValueError: a negative rate" in done.stdout
    assert "a negative rate" in (ready.root / ".viper/logs/one.train_agent.red-drq-0.log").read_text()


@pytest.mark.parametrize("order", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_at_any_time_it_leaves_no_process_and_a_consistent_lock(ready: Toy, order: signal.Signals) -> None:
    before = locks(ready)
    ready.set("suites.one.drq.sleep", 100)
    run = ready.start("viper", "run", "-j", "2")
    costs = ready.root / ".viper/scratch"
    wait_until(lambda: len(list(costs.glob("*.lock"))) == 2)
    children = psutil.Process(run.pid).children(recursive=True)
    assert len(children) >= 2
    if order is signal.SIGKILL:
        second = ready.run("viper", "run", check=False)
        assert second.returncode == 1 and "another `viper run`" in second.stderr
    os.kill(run.pid, order)
    text, _ = run.communicate(timeout=30)
    assert run.returncode == (-order if order is signal.SIGKILL else 130)
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert not alive and gone
    assert locks(ready) == before
    assert ready.ran() == []
    assert STAGES["train_agent"] <= ready.stale() <= STAGES["train_agent"] | STAGES["collect"]
    if order is not signal.SIGKILL:
        assert "the same command goes on from here" in text
        return
    ready.set("suites.one.drq.sleep", 0)
    ready.run("viper", "run", "-j", "2")
    assert len(ready.ran()) == 2 + 1
    assert ready.stale() == set()


@pytest.mark.parametrize("command", [("viper", "run"), ("dvc", "repro")])
def test_a_committed_report_stays_until_its_successor_is_whole(ready: Toy, command: tuple[str, ...]) -> None:
    report = ready.root / "reports/scores.json"
    before = report.read_bytes()
    ready.set("report", {"digits": 3, "sleep": 100})
    run = ready.start(*command)
    wait_until(lambda: list((ready.root / ".viper/scratch").glob("*.lock")))
    assert report.read_bytes() == before
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate(timeout=30)
    assert report.read_bytes() == before
    assert ready.stale() == {"collect"}


def test_a_run_says_first_what_it_will_do_and_a_dry_one_does_no_more(ready: Toy) -> None:
    ready.set("suites.one.gpt.width", 3)
    said = ready.run("viper", "run", "--dry", "-j", "2").stdout.splitlines()
    assert said[0].startswith("4 of 9 stages to run, 2 at a time; about ") and "as long as they took here" in said[0]
    assert [line.split()[:2] for line in said[1:]] == [
        ["1", "one.train_model"],
        ["2", "one.train_agent"],
        ["1", "report.collect"],
    ]
    assert ready.ran() == []
    ready.set("suites.one.gpt.width", 2)
    assert ready.run("viper", "run", "--dry").stdout == "nothing to run: 9 stages are up to date\n"
    ready.set("suites.one.gpt.width", 3)
    for noted in (ready.root / ".viper/costs").iterdir():
        noted.unlink()
    assert ready.run("viper", "run", "--dry").stdout.splitlines()[0].endswith("never timed yet:")  # with these settings
    ready.set("suites.one.gpt.width", 2)
    ready.set("suites.one.oracles.red.skill", 5)
    shutil.rmtree(ready.root / "data/models")
    (first, *_) = ready.run("viper", "run", "--dry").stdout.splitlines()
    assert "about 1.7 h" in first and "committed results, on an abacus" in first


def test_a_run_without_targets_does_what_the_project_puts_first(ready: Toy) -> None:
    ready.set("suites.one.drq.rate", 4)
    ready.set("first", ["pipelines/one/dvc.yaml:train_agent@red-drq-0"])
    done = ready.run("viper", "run")
    assert ready.ran() == ["one.train_agent.red-drq-0"] and done.stdout.endswith("and then\n")
    done = ready.run("viper", "run", "--all")
    assert ready.ran() == ["one.train_agent.blue-drq-0", "report.collect.all"] and "and then" not in done.stdout
    assert "give one of them" in ready.run("viper", "run", "--all", "code", check=False).stderr


def test_code_that_changes_while_its_stage_runs_is_not_taken_for_what_ran(ready: Toy) -> None:
    ready.set("suites.one.drq.sleep", 5)
    run = ready.start("viper", "run", "-j", "1", "pipelines/one/dvc.yaml:train_agent@red-drq-0")
    wait_until(lambda: list((ready.root / ".viper/scratch").glob("*.lock")))
    ready.edit("acting.py", "AGENTS.get(agent)", "2 * AGENTS.get(agent)")
    text, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "changed while it ran" in text and "code.yaml: one.train_agent.drq" in text
    assert STAGES["train_agent"] <= ready.stale()


def test_a_mistake_ends_in_one_line(ready: Toy) -> None:
    for command, said in (
        (("viper", "stage", "one", "one.train_model.gqt"), "no node one.train_model.gqt"),
        (("viper", "run", "no_such_stage"), "no_such_stage"),
        (("kedro", "run", "--pipelines", "one", "--runner", "ParallelRunner"), "viper run -j N"),
    ):
        done = ready.run(*command, check=False)
        assert done.returncode == 1
        assert said in done.stderr
        if command[0] == "viper":
            assert done.stderr.count("\n") == 1


def test_a_copy_of_this_project_runs_its_own_code(tmp_path: Path) -> None:
    """What `dvc exp run --temp` does: the installed package lies elsewhere."""
    import viper_pipeline

    (tmp_path / "pyproject.toml").write_text('[tool.kedro]\npackage_name = "viper_pipeline"\nsource_dir = "src"\n')
    (tmp_path / "params.yaml").write_text("seeds: []\n")
    copy = tmp_path / "src/viper_pipeline"
    for name in ("", "core", "dvc_bridge"):
        (copy / name).mkdir(parents=True)
        for path in (Path(viper_pipeline.__file__).parent / name).glob("*.py"):
            shutil.copy(path, copy / name)
    (copy / "pipeline_registry.py").write_text(
        "from viper_pipeline.core.errors import BadParams\n"
        "from viper_pipeline.dvc_bridge.project import Project\n\n\n"
        "def check(params):\n    raise BadParams('the copy speaks')\n\n\n"
        "PROJECT = Project(build=dict, symbolic=lambda params, symbol: params, axes={}, check=check)\n"
    )
    done = Toy(tmp_path).run("viper", "stage", "a", "a.b.c", check=False)
    assert (done.returncode, done.stderr) == (1, "the copy speaks\n")


def test_kedro_run_gives_the_same_bytes(ready: Toy) -> None:
    before = ready.hashes()
    for path in (ready.root / "data/clean/one").glob("*.h5"):
        path.unlink()
    ready.run("kedro", "run", "--pipelines", "one", "--nodes", "one.clean.red,one.clean.blue,one.train_model.gpt")
    assert sorted(ready.ran()) == ["one.clean.blue", "one.clean.red", "one.train_model.gpt"]
    assert ready.hashes() == before


def test_costs_are_noted(built: Toy) -> None:
    names = {path.stem for path in (built.root / ".viper/costs").glob("*.json")}
    assert len(names) == len(EVERY_STAGE)
    assert "one.train_agent.blue-drq-0" in names
