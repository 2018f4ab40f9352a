"""`viper doctor`: what is there is found, and each lack has the line that mends it."""

import importlib.metadata
import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from viper_pipeline.commands import cli
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.tools import doctor
from viper_pipeline.tools.doctor import GIB

ROOT = Path(__file__).parents[2]


def states(findings):
    return {finding.about: finding.state for finding in findings}


def test_pythons_that_are_too_old_or_too_new():
    assert [doctor.python_version((3, minor, 1)).state for minor in (10, 11, 12, 13)] == ["lacks", "ok", "ok", "lacks"]
    assert "PYTHON=python3.11" in doctor.python_version((3, 10, 1)).remedy


def test_a_small_machine_is_told_what_to_do():
    assert states(doctor.machine(cores=1, memory=2 * GIB)) == {"system": "ok", "cores": "note", "memory": "lacks"}
    assert set(states(doctor.machine(cores=8, memory=32 * GIB)).values()) == {"ok"}


def test_a_containers_limit_counts(tmp_path):
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert doctor.memory_limit(tmp_path / "memory.max") == GIB
    (tmp_path / "memory.max").write_text("max\n")
    assert doctor.memory_limit(tmp_path / "memory.max") == doctor.memory_limit(tmp_path / "none") > GIB


def test_room_and_rights_on_the_disk(tmp_path):
    room = {tmp_path: GIB, tmp_path.parent: 99 * GIB}
    (small,) = doctor.disk({"results": tmp_path / "data/of"}, room.get)
    assert small.state == "lacks" and "1.0 GiB free" in small.found and "dvc gc" in small.remedy
    (large,) = doctor.disk({"results": tmp_path.parent / "none"}, room.get)
    assert large.state == "ok"
    (sealed,) = doctor.disk({"cache": Path("/proc/none")}, room.get)
    assert sealed.state == "lacks" and "cannot be written" in sealed.found


def test_all_results_of_the_parameters_must_fit():
    paper, tiny = (read_profile(ROOT / f"profiles/{name}.yaml") for name in ("paper", "tiny"))
    (small, large) = (doctor.results_fit(paper, room * GIB) for room in (50, 10**5))
    assert small.state == "lacks" and "50.0 GiB are free" in small.remedy and large.state == "ok"
    assert doctor.results_fit(tiny, GIB).state == "ok"
    assert doctor.results_fit({}, GIB).state == "note"


def test_versions_are_compared_with_the_lock():
    there = {"a": "1.0", "torch": "2.13.0+cpu"}

    def installed(name):
        if name not in there:
            raise importlib.metadata.PackageNotFoundError(name)
        return there[name]

    assert doctor.packages("# x\na==1.0 \\\n    --hash=sha256:0\ntorch==2.13.0\n", installed).state == "ok"
    finding = doctor.packages("a==2.0\nb==1\n", installed)
    assert finding.found == "1 missing (b); 1 of another version (a 1.0 instead of 2.0)"
    assert "make setup" in finding.remedy


@pytest.mark.parametrize(
    ("accelerator", "driver", "devices", "state", "remedy"),
    [
        ("cpu", False, 0, "ok", ""),
        ("auto", True, 0, "note", "CUDA build"),
        ("cuda", True, 0, "lacks", "CUDA build"),
        ("cuda", False, 0, "lacks", "accelerator: cpu"),
        ("cuda", True, 2, "ok", ""),
    ],
)
def test_gpus(accelerator, driver, devices, state, remedy):
    finding = doctor.gpu(accelerator, driver, devices, "2.13.0")
    assert finding.state == state and remedy in finding.remedy and bool(remedy) == bool(finding.remedy)


def test_extras_that_are_not_whole_are_named_with_the_line_that_brings_them():
    found = {f.about: f for f in doctor.extras(lambda module: module not in ("mujoco", "rlbench"))}
    assert found["extra pipeline"].state == found["extra hub"].state == "ok"
    assert found["extra dmc"].found == "not installed (mujoco)"
    assert found["extra dmc"].remedy == "pip install 'viper-pipeline[dmc]'"
    assert "docs/rlbench.md" in found["extra rlbench"].remedy


def test_outside_of_a_project_the_installation_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "suite", lambda name, task, needed: doctor.Finding(f"suite {name}", "ok", str(needed)))
    monkeypatch.setattr(doctor, "find_spec", lambda module: None)
    done = CliRunner().invoke(cli, ["doctor", "--suite", "dmc", "--json"], catch_exceptions=False)
    found = {row["about"]: row["found"] for row in json.loads(done.output)}
    assert re.search(r"no project here; rewards: .*dmc-laptop", found["viper-pipeline"])
    assert found["suite dmc"] == "None"
    assert not [about for about in found if "OpenGL" in about or "DVC" in about]


def test_one_way_to_draw_is_enough():
    assert set(states(doctor.gl({"egl": None, "osmesa": "no library"})).values()) == {"ok", "note"}
    none = list(doctor.gl({"egl": "no driver", "osmesa": "no library"}))
    assert {finding.state for finding in none} == {"lacks"} and all("apt-get install" in f.remedy for f in none)


def test_suites_are_tried_in_processes_of_their_own(monkeypatch):
    assert doctor.suite("atari", "freeway", needed=True).found.startswith("draws freeway: 64x64x3, ale-py ")
    typo = doctor.suite("atari", "freeweay", needed=True)
    assert typo.state == "lacks" and "freeweay" in typo.found + typo.remedy
    monkeypatch.setattr(doctor, "SUITE_PROBE", "import os; os.abort()")
    dead = doctor.suite("dmc", "", needed=False)
    assert (dead.about, dead.state) == ("suite dmc (not in params.yaml)", "note") and "code -6" in dead.found
    monkeypatch.setattr(doctor, "SUITE_PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(doctor, "PATIENCE", 1)
    assert "no answer" in doctor.suite("dmc", "", needed=True).found


def test_git_dvc_and_telemetry(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_NO_ANALYTICS", raising=False)
    (git,) = doctor.version_control(tmp_path)
    assert git.state == "note" and "git init" in git.remedy
    (tmp_path / ".git").mkdir()
    (git,) = doctor.version_control(tmp_path)
    assert git.state == "ok"
    assert states(doctor.dvc(tmp_path, {}, [])) == {"DVC": "lacks", "DVC remote": "note", "DVC telemetry": "lacks"}
    (tmp_path / ".dvc").mkdir()
    config = {"core.remote": "s3", "core.analytics": "false"}
    assert set(states(doctor.dvc(tmp_path, config, [])).values()) == {"ok"}
    assert next(iter(doctor.dvc(tmp_path, config, ["dvc.repo:Repo.lock"]))).state == "lacks"
    assert doctor.kedro_telemetry(tmp_path, {}).state == "lacks"
    (tmp_path / ".telemetry").write_text("consent: false\n")
    assert doctor.kedro_telemetry(tmp_path, {}).state == doctor.kedro_telemetry(ROOT, {}).state == "ok"


def test_wrong_parameters_and_missing_videos_are_lacks(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text)
    assert doctor.parameters(tmp_path)[0].state == "ok"
    videos = "kind: video\n        path: nowhere"
    (tmp_path / "params.yaml").write_text(
        text.replace("kind: expert\n        path: data/episodes/dmc/expert/cartpole_balance.h5", videos)
    )
    assert "nowhere: there is no such" in doctor.parameters(tmp_path)[0].found
    (tmp_path / "params.yaml").write_text(text.replace("seed: 0", "seed: 0\nseed: 1", 1))
    finding, raw = doctor.parameters(tmp_path)
    assert finding.state == "lacks" and "twice" in finding.found and raw == {}


def test_the_command_says_all_of_it_and_names_no_user(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(doctor, "suite", lambda name, task, needed: doctor.Finding(f"suite {name}", "lacks", "x", "y"))
    monkeypatch.setattr("viper_pipeline.envs.gl.why_not", lambda name: None)
    done = CliRunner().invoke(cli, ["doctor", "--suite", "atari"])
    assert done.exit_code == 1 and "lacks   suite atari: x\n        -> y\n" in done.output
    assert done.output.endswith("lacking\n")
    for about in ("Python", "cores", "memory", "packages", "OpenGL by egl", "Git", "DVC remote", "telemetry", "params"):
        assert about in done.output
    assert str(ROOT) not in done.output and os.path.expanduser("~") not in done.output
    found = json.loads(CliRunner().invoke(cli, ["doctor", "--suite", "atari", "--json"]).output)
    assert found[-1] == {"about": "suite atari", "state": "lacks", "found": "x", "remedy": "y"}
