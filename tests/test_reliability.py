"""The programs in benchmarks/reliability at a tiny size: nothing but right outcomes, and refusals in one message."""

import importlib.util
import mmap
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from viper_pipeline.rewards.methods import ScaledTaskReward
from viper_pipeline.rewards.pretrained import load_reward

FOLDER = Path(__file__).parents[1] / "benchmarks" / "reliability"


def program(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Drawn(gymnasium.Env):
    """Frames of noise, made as a reward's."""

    def __init__(self, spec, seed):
        self.spec_of_frames, self.rng, self.steps = spec, np.random.default_rng(seed), 0
        self.observation_space = gymnasium.spaces.Box(0, 255, (spec.size, spec.size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        return self.rng.integers(0, 256, self.observation_space.shape, dtype=np.uint8), {}

    def step(self, action):
        self.steps += 1
        return self.reset()[0], 0.0, False, self.steps % 20 == 0, {}


def test_mutated_parameters_are_refused_or_sound():
    line = program("mutated_params").main(12)
    assert "12 tried" in line and " 0 otherwise" in line


def test_flipped_bits_are_noticed_wherever_there_is_a_checksum(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    program("flipped_bits").main(4)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11 and not any("raised" in line for line in lines)
    for line in lines:
        if not any(kind in line for kind in ("film", "GIF", "params.yaml")):
            assert line.endswith("4 tried, 4 noticed")


def test_broken_files_are_refused_in_one_message_and_leave_nothing(capsys):
    program("hostile_inputs").main(3)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13 and all("3 tried, 0 half written" in line and "raised" not in line for line in lines)


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


def test_memory_and_handles_are_measured_while_an_agent_trains_and_frames_are_scored(monkeypatch):
    steady = program("steady_memory")
    reward = load_reward("dmc-laptop").of(steady.TASK)
    make_env = partial(Drawn, reward.spec)
    line = steady.agent_run(steady.Watch(0.5, 0.01), make_env, ScaledTaskReward(1.0))
    assert re.search(r"agent's run: \d+ steps, \d+ s, .* handles", line)
    line = steady.vector_scoring(steady.Watch(0.5, 0.01), make_env, reward, envs=2)
    assert re.search(r"vector scoring: \d+ steps of 2 environments, .* \+0 handles", line) and "nan" not in line


def test_memory_that_grows_and_handles_that_stay_open_are_told():
    steady = program("steady_memory")
    watch, kept = steady.Watch(60.0, 0.0), []
    for _ in range(3):
        watch.look()
        fresh = mmap.mmap(-1, 2**23)  # 8 MB that were not freed before, and a handle
        fresh.write(bytes(2**23))
        kept.append((fresh, os.open(__file__, os.O_RDONLY)))
    for _, handle in kept:
        os.close(handle)
    looks = watch.looks
    assert looks[-1][1] - looks[0][1] > 10 and looks[-1][2] - looks[0][2] == 2
    watch.looks = [(float(t), 100.0 + t, 10 + t) for t in range(61)]
    assert str(watch) == "60 s, 160 MB at the end, +40.0 MB in the last two thirds (+3600 MB an hour), +40 handles"


def test_the_table_keeps_the_rows_of_others_and_those_before_a_stop(tmp_path, monkeypatch):
    table = program("table")
    monkeypatch.setattr(table, "HERE", tmp_path)
    monkeypatch.setattr(table, "PAGE", tmp_path / "page.md")
    (tmp_path / "full_disk.py").write_text("import sys\nprint('full disk:', *sys.argv[1:])")
    steady = "import sys\nfor part in sys.argv[2:] or 'ab':\n    print(f'{part}: {sys.argv[1]} s', flush=True)\n"
    (tmp_path / "steady_memory.py").write_text(steady)
    (tmp_path / "page.md").write_text(table.written({"full_disk": ["| full_disk | full disk | 9 |"]}))

    def rows():
        return [row for rows in table.rows_of((tmp_path / "page.md").read_text()).values() for row in rows]

    table.main(["steady_memory=5", "full_disk=7"])
    kept = ["| full_disk | full disk | 7 |", "| steady_memory | a | 5 s |", "| steady_memory | b | 5 s |"]
    assert rows() == kept
    table.main(["steady_memory=60;b"])
    assert rows() == [*kept[:2], "| steady_memory | b | 60 s |"]
    (tmp_path / "steady_memory.py").write_text(steady + "    sys.exit('stopped')")
    with pytest.raises(subprocess.CalledProcessError):
        table.main(["steady_memory=8"])
    assert rows() == [kept[0], "| steady_memory | a | 8 s |", "| steady_memory | b | 60 s |"]
    (tmp_path / "steady_memory.py").write_text("print('c: 1 s')")  # whose rows have other names now
    table.main(["steady_memory"])
    assert rows() == [kept[0], "| steady_memory | c | 1 s |"]
