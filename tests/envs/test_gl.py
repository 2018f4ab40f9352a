"""Choosing a GL backend, and saying what to do where there is none."""

import os
import subprocess
import sys

import pytest

from viper_pipeline.core.errors import BadEnvironment
from viper_pipeline.envs import gl
from viper_pipeline.envs.base import version_of


@pytest.fixture
def bare(monkeypatch):
    """Variables as on a machine where nothing was tried; restored afterwards."""
    for name in ("MUJOCO_GL", gl.PROBED, gl.PLATFORM):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_the_first_that_works_is_taken_and_tried_once(bare):
    tried = []

    def why_not(backend):
        tried.append(backend)
        return "broken" if backend == "egl" else None

    bare.setattr(gl, "why_not", why_not)
    assert gl.gl_backend() == gl.gl_backend() == "osmesa"
    assert tried == ["egl", "osmesa"]
    assert os.environ["MUJOCO_GL"] == "osmesa"


def test_a_wish_is_honoured(bare):
    bare.setenv("MUJOCO_GL", "osmesa")
    bare.setattr(gl, "why_not", lambda backend: None)
    assert gl.gl_backend() == "osmesa"


def test_pyopengls_platform_is_tried_first_and_agrees_with_what_is_taken(bare):
    bare.setenv(gl.PLATFORM, "osmesa")
    tried = []

    def why_not(backend):
        tried.append(backend)
        return "broken" if backend == "osmesa" else None

    bare.setattr(gl, "why_not", why_not)
    assert gl.gl_backend() == "egl" and tried == ["osmesa", "egl"]
    assert os.environ[gl.PLATFORM] == os.environ["MUJOCO_GL"] == "egl"


@pytest.mark.parametrize("platform", ["osmesa", "egl", "glx", ""])
def test_dm_control_draws_whatever_pyopengls_platform_was(platform, tmp_path):
    """In a process of its own: it chooses for good when it is imported."""
    code = (
        "from viper_pipeline.envs import SUITES\n"
        "suite = SUITES.get('dmc')()\n"
        "env = suite.make('cartpole_balance', 0, {}, suite.frame_spec('cartpole_balance', {}, {}))\n"
        "print(env.reset(seed=0)[0].std() > 1)\n"
    )
    unset = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", gl.PROBED)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=unset | {gl.PLATFORM: platform}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "True", done.stderr[-500:]


def test_a_library_that_is_missing_is_named():
    with pytest.raises(BadEnvironment, match=r"no-such-simulator is not installed.*pip install no-such-simulator"):
        version_of("no-such-simulator")


@pytest.mark.parametrize("guarded", [False, True])
def test_a_script_without_a_main_guard_is_told_so_before_any_process(tmp_path, guarded):
    script = tmp_path / "script.py"
    body = "from viper_pipeline.envs.base import refuse_unguarded_script as check\n"
    script.write_text(body + ("if __name__ == '__main__':\n    check()\n" if guarded else "check()\n"))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert (done.returncode == 0) is guarded
    assert guarded or (str(script) in done.stderr and "if __name__" in done.stderr.splitlines()[-1])


def test_disabled_is_not_tried(bare):
    bare.setenv("MUJOCO_GL", "disabled")
    bare.setattr(gl, "why_not", lambda backend: pytest.fail("tried"))
    assert gl.gl_backend() == "disabled"


def test_nothing_works(bare):
    bare.setattr(gl, "why_not", lambda backend: f"no {backend} here")
    with pytest.raises(BadEnvironment) as caught:
        gl.gl_backend()
    message = str(caught.value)
    assert "no egl here" in message and "no osmesa here" in message
    assert "libegl1" in message and "libosmesa6" in message


def test_the_probe_tells_a_backend_that_cannot_be():
    assert gl.why_not("nonsense")
