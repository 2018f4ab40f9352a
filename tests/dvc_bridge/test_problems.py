"""What DVC, the disk or another process refuses: one line, the other stages go on, and nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.dvc_bridge.toy import Toy
from viper_pipeline.__main__ import _message
from viper_pipeline.core.errors import BadData, BadEnvironment, naming, os_message
from viper_pipeline.dvc_bridge.executors import Local
from viper_pipeline.dvc_bridge.repo import Repository
from viper_pipeline.dvc_bridge.room import MARGIN, _size, shortage, to_be_written
from viper_pipeline.dvc_bridge.scheduler import Run, Screen

CLEAN = "pipelines/one/dvc.yaml:clean@red"


def test_a_source_that_is_not_there_is_named_before_anything_runs(ready: Toy) -> None:
    ready.set("suites.one.datasets.red.path", "data/raw/nowhere.txt")
    ready.set("suites.one.oracles.red.skill", 7)
    done = ready.run("viper", "run", check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert CLEAN in done.stderr and "data/raw/nowhere.txt, which is not there" in done.stderr
    assert ready.ran() == []
    ready.run("viper", "run", "pipelines/one/dvc.yaml:train_oracle@red")  # which does not read it
    assert ready.ran() == ["one.train_oracle.red"]


def test_a_cache_that_cannot_be_written_fails_the_stage_and_no_other(ready: Toy) -> None:
    """A file stands where DVC would make a folder of its cache; other stages are only restored or up to date."""
    ready.set("suites.one.clean.keep", 1)
    ready.set("suites.one.oracles.red.skill", 9)
    shutil.rmtree(ready.root / ".dvc/cache")
    (ready.root / ".dvc/cache").write_text("")
    done = ready.run("viper", "run", "-j", "1", check=False)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert f"FAILED {CLEAN}: " in done.stdout and "FAILED pipelines/one/dvc.yaml:train_oracle@red: " in done.stdout
    assert all("cache" in line for line in done.stdout.splitlines() if line.startswith("FAILED pip"))
    (ready.root / ".dvc/cache").unlink()
    ready.ran()
    ready.run("viper", "run")
    assert ready.stale() == set()


def test_a_download_without_git_runs(ready: Toy) -> None:
    ready.edit("acting.py", "AGENTS.get(agent)", "2 * AGENTS.get(agent)")
    (ready.root / ".dvc/config").write_text("")
    assert not any((folder / ".git").exists() for folder in (ready.root, *ready.root.parents))
    agent = "pipelines/one/dvc.yaml:train_agent@red-drq-0"
    ready.run("viper", "run", agent)
    assert ready.ran() == ["one.train_agent.red-drq-0"]
    ready.run("viper", "run", agent)
    assert ready.ran() == []
    said = ready.run("dvc", "repro", agent, check=False)
    assert said.returncode != 0 and "is not a git repository" in said.stderr


def remove_results(stages) -> None:
    for path in (Path(out.fs_path) for stage in stages for out in stage.outs):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def test_results_that_cannot_fit_are_refused_before_anything_runs(ready: Toy, monkeypatch) -> None:
    repository = Repository(ready.root)
    stages = repository.stages()
    cache = ready.root / ".dvc" / "cache"
    assert to_be_written(stages, stages) == (0, 0)  # everything is there
    remove_results(stages)
    shutil.rmtree(cache)
    workspace, copies = to_be_written(stages, stages)
    made = sum(size for size in map(_size, stages) if size)
    assert 0 < copies <= workspace <= made
    needed = workspace + copies + MARGIN
    assert shortage(ready.root, cache, stages, stages, lambda place: needed) is None
    said = shortage(ready.root, cache, stages, stages, lambda place: needed - 1)
    assert said is not None and said.startswith(f"{ready.root}: ") and "free some room" in said
    monkeypatch.setattr("viper_pipeline.dvc_bridge.scheduler.Repository.shortage", lambda self, stages: said)
    monkeypatch.chdir(ready.root)
    with pytest.raises(BadEnvironment, match="are free"), Screen() as screen:
        Run(ready.root, Local(1), repository, screen, [])


def test_a_stage_that_was_never_made_is_taken_to_be_as_large_as_its_like(ready: Toy) -> None:
    stages = Repository(ready.root).stages()
    alike = [s for s in stages if "train_agent" in s.addressing]
    remove_results(stages)
    for out in alike[0].outs:
        out.meta = None
    others = [size for size in map(_size, alike[1:]) if size is not None]
    assert to_be_written(alike[:1], stages)[0] == round(sum(others) / len(others)) > 0


def test_a_run_waits_for_the_stages_of_dvc_repro(ready: Toy) -> None:
    agent = "pipelines/one/dvc.yaml:train_agent@red-drq-0"
    ready.set("suites.one.drq.rate", 4)
    repro = ready.start("dvc", "repro", agent, TOY_SLEEP="8")
    end = time.monotonic() + 60
    while not list((ready.root / ".viper/scratch").glob("*.lock")):
        assert time.monotonic() < end
        time.sleep(0.1)
    done = ready.run("viper", "run", "-j", "1", agent, check=False)
    repro.communicate(timeout=60)
    assert repro.returncode == 0 and done.returncode == 0, done.stdout + done.stderr
    assert f"waits  {agent} for another DVC command: (PID {repro.pid})" in done.stdout
    assert ready.ran() == ["one.train_agent.red-drq-0"]  # once
    assert "train_agent@red-drq-0" not in ready.stale()


def test_the_reason_of_a_failed_stage_stands_in_the_last_lines(ready: Toy) -> None:
    ready.set("suites.one.drq.rate", -1)
    done = ready.run("viper", "run", "pipelines/one/dvc.yaml:train_agent@red-drq-0", check=False)
    last = done.stdout.splitlines()[-1]
    assert last.startswith("FAILED") or "held back" in last
    assert any("a negative rate" in line for line in done.stdout.splitlines() if line.startswith("FAILED pip"))


def test_the_operating_systems_errors_have_a_file_and_a_remedy() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/a.h5")
    assert os_message(full) == (
        "/data/a.h5: no space left on device; free some room; finished work is kept, and the same command goes on "
        "from there"
    )
    moved = OSError(errno.EISDIR, "Is a directory", "/data/.a.tmp", None, "/data/a")
    assert os_message(moved).startswith("/data/a: is a directory; name a file")
    assert os_message(OSError("odd")) == "odd"
    for error, place in ((OSError(errno.ENOSPC, "full"), "out.png"), (full, "/data/a.h5")):
        with pytest.raises(OSError, match=r"o space|full") as caught, naming(Path("out.png")):
            raise error
        assert os_message(caught.value).startswith(f"{place}: ")


@pytest.mark.parametrize("wrapped", [False, True])
def test_they_end_a_command_in_that_line(wrapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    error: BaseException = PermissionError(errno.EACCES, "Permission denied", "/proc/a")
    if wrapped:
        try:
            raise ValueError("kedro says: failed to save") from error
        except ValueError as outer:
            error = outer
    assert _message(error) == "/proc/a: permission denied; change its rights, or name another place"
    assert _message(BadData("ours")) == "ours"
    assert _message(ValueError("a mistake of ours")) is None
    monkeypatch.setenv("VIPER_TRACEBACK", "1")
    assert _message(error) is None


def test_parameters_and_devices_are_checked_before_the_first_stage(ready: Toy) -> None:
    registry = ready.root / "src/toy/pipeline_registry.py"
    said = (
        "\n\ndef wrong(params):\n    raise BadParams('the parameters are wrong')\n\n\n"
        "PROJECT = replace(PROJECT, {field})\n"
    )
    head = "from dataclasses import replace\n\nfrom viper_pipeline.core.errors import BadParams\n"
    before = registry.read_text()
    ready.set("suites.one.oracles.red.skill", 9)
    wrong, lacking = "check=wrong", "lacks=lambda params: ['no GPU']"
    for field, words, *command in (
        (wrong, "the parameters are wrong", "viper", "run"),
        (wrong, "the parameters are wrong", "viper", "dvc", "sync"),
        (lacking, "no GPU", "viper", "run"),
    ):
        registry.write_text(head + before + said.format(field=field))
        done = ready.run(*command, check=False)
        assert (done.returncode, done.stderr) == (1, f"{words}\n")
        assert ready.ran() == []


@pytest.mark.parametrize("command", ["viper", "dvc"])
def test_a_flipped_bit_in_what_a_stage_reads_is_noticed_though_time_and_size_are_as_before(
    ready: Toy, command: str
) -> None:
    (model,) = (path for path in (ready.root / "data/models/one/gpt").iterdir() if path.name != "lineage.json")
    ready.run("dvc", "status")  # from now on DVC knows the time and size of every file
    content, state = model.read_bytes(), model.stat()
    model.chmod(0o644)
    at = content.index(b"gg")  # a value of its own, so that the file can still be read
    with model.open("r+b") as file:
        file.seek(at)
        file.write(bytes([content[at] ^ 1]))
    os.utime(model, ns=(state.st_atime_ns, state.st_mtime_ns))
    ready.set("suites.one.drq.rate", 5)
    agent = "pipelines/one/dvc.yaml:train_agent@red-drq-0"
    done = ready.run(command, "run" if command == "viper" else "repro", agent, check=False)
    assert done.returncode != 0 and "one.train_agent.red-drq-0" not in ready.ran()
    assert "data/models/one/gpt: is not what it was when it was made" in done.stdout + done.stderr
    with model.open("r+b") as file:
        file.write(content)
    os.utime(model, ns=(state.st_atime_ns, state.st_mtime_ns))
    ready.run("viper", "run", agent)
    assert ready.ran() == ["one.train_agent.red-drq-0"]


def test_the_hashes_that_are_read_line_by_line_are_those_of_the_lock_files(ready: Toy) -> None:
    from viper_pipeline.dvc_bridge.lineage import locked_hashes
    from viper_pipeline.dvc_bridge.provenance import made_hashes

    assert made_hashes(ready.root) == locked_hashes(ready.root) != {}
    project = Path(__file__).parents[2]
    assert made_hashes(project) == locked_hashes(project) and len(made_hashes(project)) > 100
