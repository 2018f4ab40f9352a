"""The programs in benchmarks/reliability at a tiny size: nothing but right outcomes, and refusals in one message."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks" / "reliability"


def program(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_mutated_parameters_are_refused_or_sound():
    line = program("mutated_params").main(12)
    assert "12 tried" in line and " 0 otherwise" in line


def test_flipped_bits_are_noticed_wherever_there_is_a_checksum(capsys):
    program("flipped_bits").main(4)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10 and not any("raised" in line for line in lines)
    for line in lines:
        if not any(kind in line for kind in ("GIF", "checkpoint of a run", "params.yaml")):
            assert line.endswith("4 tried, 4 noticed")


def test_broken_files_are_refused_in_one_message_and_leave_nothing(capsys):
    program("hostile_inputs").main(5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and all("5 tried, 0 half written" in line and "raised" not in line for line in lines)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_loses_nothing():
    done = subprocess.run([sys.executable, FOLDER / "full_disk.py", "2"], capture_output=True, text=True)
    if "nothing can be mounted" in done.stdout:
        pytest.skip(done.stdout)
    assert "8 earlier file whole" in done.stdout and "0 left behind" in done.stdout and "raised" not in done.stdout


def test_odd_machines_are_tried_and_failures_are_named(monkeypatch):
    odd = program("odd_machines")
    no_git = ("-c", "import pathlib; assert not pathlib.Path('.git').exists() and pathlib.Path('dvc.yaml').exists()")
    monkeypatch.setattr(odd, "CHECKS", {"no Git": no_git, "viper typo": (*odd.VIPER, "typo")})
    said = odd.line("a download without Git")
    assert said.startswith("machine, a download without Git: 2 tried, 1 right; viper typo fails, ")
    assert "No such command 'typo'" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_an_odd_user_is_another_one(tmp_path):
    odd = program("odd_machines")
    tmp_path.chmod(0o755)
    (tmp_path / "src").mkdir()
    done = odd.Place(tmp_path, user=odd.NOBODY).run(("-c", "import os; print(os.getuid(), os.access('.', os.W_OK))"))
    if done.returncode:
        pytest.skip(done.stderr)
    assert done.stdout.split() == [str(odd.NOBODY), "False"]
