"""Stages on other machines: the same bytes, whatever dies on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.dvc_bridge.toy import STAGES, Toy
from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.dvc_bridge.executors import LOST, OWN_VARIABLES, Local, Resources, note, of_stages, work
from viper_pipeline.dvc_bridge.scheduler import TRIES, make_executor, run


def wait_until(what: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


@pytest.fixture
def inside(ready: Toy, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A toy whose `viper run` is called in this process."""
    for name, value in ready.env({}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ready.root)
    return ready


WIDER = "suites.one.gpt.width"
AGENTS = ["one.train_agent.blue-drq-0", "one.train_agent.red-drq-0"]


@pytest.fixture(scope="session")
def repro(built: Toy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The hashes that `dvc repro` gives once WIDER is 3: a model, two agents and the report."""
    other = built.copy(tmp_path_factory.mktemp("repro") / "toy")
    other.set(WIDER, 3)
    other.run("dvc", "repro")
    return other.hashes()


def test_a_stage_asks_for_its_own_block_on_top_of_the_default() -> None:
    blocks = {"default": {"memory": 8, "cpu": 2}, "train_agent": {"gpu": 1, "memory": 16}}
    asked = of_stages({"runtime": {"resources": blocks}}, ["train_agent", "clean"])
    assert asked["train_agent"] == Resources(cpu=2, gpu=1, memory=16)
    assert asked["clean"] == Resources(cpu=2, memory=8)
    assert of_stages({}, ["clean"])["clean"] == Resources()


def test_mistaken_resources_are_named() -> None:
    with pytest.raises(BadParams, match=r"runtime.resources.train_agnet.*did you mean 'train_agent'"):
        of_stages({"runtime": {"resources": {"train_agnet": {}}}}, ["train_agent"])
    with pytest.raises(BadParams, match="gpus"):
        of_stages({"runtime": {"resources": {"default": {"gpus": 1}}}}, ["train_agent"])


def test_an_address_of_this_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment, match="--executor ray or slurm"):
        make_executor("local", tmp_path, None, "auto")


def test_a_worker_gives_back_the_exit_code_and_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OWN_VARIABLES[0], "3")
    driver = {"PATH": os.environ["PATH"], "GREETING": "hello", OWN_VARIABLES[0]: "0", "OMP_NUM_THREADS": "7"}
    log = tmp_path / "logs" / "it.log"
    code = work(f"echo $GREETING ${OWN_VARIABLES[0]} $OMP_NUM_THREADS $PWD; exit 5", str(tmp_path), str(log), driver)
    assert code == 5
    assert log.read_text() == f"hello 3 7 {tmp_path}\n"
    with pytest.raises(BadEnvironment, match="shared file system"):
        work("true", str(tmp_path / "elsewhere"), str(log), {})


def test_a_stage_ends_with_its_worker(ready: Toy) -> None:
    """Whoever runs stages for an executor may be killed: nobody would commit what they made."""
    ready.set("suites.one.drq.sleep", 100)
    command = "python -m viper_pipeline stage one one.train_agent.red-drq-0"
    code = f"from viper_pipeline.dvc_bridge.executors import work; work({command!r}, {str(ready.root)!r}, 'log')"
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=ready.root, env=ready.env({}))
    wait_until(lambda: list((ready.root / ".viper/scratch").glob("*.lock")))
    children = psutil.Process(worker.pid).children(recursive=True)
    worker.kill()
    worker.wait()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert gone and not alive


class Mortal(Local):
    """Workers die: of every stage the first `deaths`, while the stage runs."""

    def __init__(self, deaths: int) -> None:
        super().__init__(1)
        self.deaths, self.died = deaths, dict[str, int]()

    def submit(self, name: str, command: str, folder: Path, log: Path, resources: Resources) -> None:
        dies = self.died.get(name, 0) < self.deaths
        super().submit(name, f"TOY_CRASH=1 {command}" if dies else command, folder, log, resources)

    def ended(self) -> list[tuple[str, int]]:
        ended = []
        for name, code in super().ended():
            lost = code == 9
            self.died[name] = self.died.get(name, 0) + lost
            ended.append((name, LOST if lost else code))
        return ended


def test_a_dead_workers_stage_goes_on_from_its_checkpoint(
    inside: Toy, repro: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    inside.set(WIDER, 3)
    executor = Mortal(1)
    assert run(inside.root, executor) == 0
    assert "again  pipelines/one/dvc.yaml:train_model@gpt (its worker died; try 2" in capsys.readouterr().out
    assert sum(executor.died.values()) == 1  # the toy dies at its second step, so a second try began after it
    assert sorted(inside.ran()) == [*AGENTS, "one.train_model.gpt", "report.collect.all"]
    assert inside.stale() == set()
    assert inside.hashes() == repro


def test_a_stage_that_kills_every_worker_holds_back_what_needs_it(
    inside: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    class Hopeless(Local):
        def ended(self) -> list[tuple[str, int]]:
            return [(name, LOST if "train_model" in name else code) for name, code in super().ended()]

    inside.set(WIDER, 4)
    inside.set("suites.one.oracles.red.skill", 7)
    assert run(inside.root, Hopeless(2)) == 1
    said = capsys.readouterr().out
    assert said.count("again ") == TRIES - 1
    assert f"its worker died {TRIES} times" in said and "3 held back" in said
    assert "train_oracle@red" not in inside.stale()


def test_a_stage_in_a_queue_waits(inside: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    """What an executor holds counts as running when its log appears."""

    class Queue(Local):
        def submit(self, name: str, command: str, folder: Path, log: Path, resources: Resources) -> None:
            self.held = [name, command, folder, log, resources]

        def ended(self) -> list[tuple[str, int]]:
            if self.held:
                super().submit(*self.held)
                self.held = []
            return super().ended()

    inside.set("report.digits", 2)
    assert run(inside.root, Queue(1)) == 0
    start, done = (line for line in capsys.readouterr().out.splitlines() if line.startswith(("start", "done")))
    assert "0 running, 1 waiting" in start
    assert "0 running, 0 waiting" in done


def test_submitit_gives_the_same_bytes_and_starts_a_killed_job_again(ready: Toy, repro: dict[str, str]) -> None:
    pytest.importorskip("submitit")
    ready.set(WIDER, 3)
    driver = ready.start("viper", "run", "--executor", "slurm", "--address", "local", TOY_SLEEP="3")
    wait_until(lambda: len(list((ready.root / ".viper/scratch").glob("*.lock"))) == 2)  # both agents
    jobs = [p for p in psutil.Process(driver.pid).children(recursive=True) if "submitit.core._submit" in p.cmdline()]
    assert len(jobs) == 2
    jobs[0].kill()
    text, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0, text
    assert text.count("its worker died; try 2") == 1
    assert sorted(ready.ran()) == [*AGENTS, "one.train_model.gpt", "report.collect.all"]
    assert ready.stale() == set()
    assert ready.hashes() == repro


def test_a_failed_submitit_job_is_not_started_again(ready: Toy) -> None:
    pytest.importorskip("submitit")
    ready.set("suites.one.drq.rate", -1)
    target = "pipelines/one/dvc.yaml:train_agent@red-drq-0"
    done = ready.run("viper", "run", "--executor", "slurm", "--address", "debug", target, check=False)
    assert done.returncode == 1
    assert "a negative rate" in done.stdout and "again" not in done.stdout


def test_ctrl_c_cancels_submitit_jobs(ready: Toy) -> None:
    pytest.importorskip("submitit")
    ready.set("suites.one.drq.sleep", 100)
    driver = ready.start("viper", "run", "--executor", "slurm", "--address", "local")
    wait_until(lambda: len(list((ready.root / ".viper/scratch").glob("*.lock"))) == 2)
    children = psutil.Process(driver.pid).children(recursive=True)
    os.kill(driver.pid, signal.SIGINT)
    text, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130, text
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert gone and not alive
    assert STAGES["train_agent"] <= ready.stale()


def test_ray_without_a_cluster_ends_in_one_line(ready: Toy) -> None:
    pytest.importorskip("ray")
    done = ready.run("viper", "run", "--executor", "ray", "--address", "127.0.0.1:1", check=False)
    assert done.returncode == 1
    assert "no Ray cluster at 127.0.0.1:1" in done.stderr


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two Ray nodes of one core each, both on this machine: a head, and one that may be killed."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "memory": 4 * 2**30}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.mortal = cluster.add_node(**node)
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_a_ray_node_is_killed_in_the_middle(ready: Toy, repro: dict[str, str], cluster: Any) -> None:
    ready.set(WIDER, 3)
    driver = ready.start("viper", "run", "--executor", "ray", "--address", cluster.address, TOY_SLEEP="8")
    wait_until(lambda: len(list((ready.root / ".viper/scratch").glob("*.lock"))) == 2)  # both agents
    cluster.remove_node(cluster.mortal, allow_graceful=False)
    text, _ = driver.communicate(timeout=240)
    assert driver.returncode == 0, text
    assert text.count("its worker died; try 2") == 1
    assert sorted(ready.ran()) == [*AGENTS, "one.train_model.gpt", "report.collect.all"]
    assert ready.stale() == set()
    lines = ready.run("dvc", "repro").stdout.splitlines()
    assert [line for line in lines if line.startswith("Running stage")] == ["Running stage 'code':"]
    assert ready.hashes() == repro


def test_an_executors_notes_are_added_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs/it.log"
    note(log, "one")
    note(log, "two")
    assert log.read_text() == "one\ntwo\n"
