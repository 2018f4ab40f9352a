"""What a process sets and refuses before it does anything."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from viper_pipeline.__main__ import _message
from viper_pipeline.core.process import load_triton, settle


@pytest.mark.parametrize(
    ("before", "platform"),
    [
        ({"PYOPENGL_PLATFORM": "osmesa"}, None),
        ({"PYOPENGL_PLATFORM": "glx", "MUJOCO_GL": "egl"}, None),
        ({"PYOPENGL_PLATFORM": "EGL", "MUJOCO_GL": "egl"}, "EGL"),
        ({"MUJOCO_GL": "egl"}, None),
        ({}, None),
    ],
)
def test_pyopengl_follows_mujoco_and_files_are_read_without_locks(before: dict[str, str], platform: str | None) -> None:
    environment = dict(before)
    settle(environment)
    assert environment.get("PYOPENGL_PLATFORM") == platform
    assert environment["HDF5_USE_FILE_LOCKING"] == "FALSE" and environment.get("MUJOCO_GL") == before.get("MUJOCO_GL")
    asked = {"HDF5_USE_FILE_LOCKING": "TRUE"}
    settle(asked)
    assert asked == {"HDF5_USE_FILE_LOCKING": "TRUE"}


def test_triton_is_loaded_before_an_environment_draws(tmp_path: Path) -> None:
    """Mesa's driver first, then triton, is a segmentation fault (seen with triton 3.8 and torch 2.14)."""
    (tmp_path / "triton.py").write_text("import sys; print('OpenGL' in sys.modules)")
    code = (
        "from viper_pipeline import load_reward\n"
        "load_reward('dmc-laptop').environment('cartpole_balance').reset(seed=0)\n"
        "import sys; print('OpenGL' in sys.modules, 'triton' in sys.modules)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["False", "True True"], done.stdout + done.stderr[-500:]


def test_a_broken_triton_is_left_to_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "triton.py").write_text("raise OSError('libcuda.so.1')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    load_triton()
    assert "triton" not in sys.modules


@pytest.mark.parametrize("guarded", [False, True])
def test_a_script_without_a_main_guard_is_told_so_before_any_process(tmp_path: Path, guarded: bool) -> None:
    script = tmp_path / "script.py"
    body = "from viper_pipeline.core.process import refuse_unguarded_script as check\n"
    script.write_text(body + ("if __name__ == '__main__':\n    check()\n" if guarded else "check()\n"))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert (done.returncode == 0) is guarded
    assert guarded or (str(script) in done.stderr and "if __name__" in done.stderr.splitlines()[-1])


def test_a_library_that_is_missing_is_named() -> None:
    try:
        importlib.metadata.version("no-such-simulator")
    except importlib.metadata.PackageNotFoundError as error:
        said = _message(error)
    assert said == "no-such-simulator is not installed, which this suite needs: `pip install no-such-simulator`"
