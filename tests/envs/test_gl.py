"""Choosing a GL backend, and saying what to do where there is none."""

import os
import subprocess
import sys

import pytest

from viper_pipeline.core.errors import BadEnvironment
from viper_pipeline.envs import gl


@pytest.fixture
def bare(monkeypatch):
    """Variables as on a machine where nothing was tried; restored afterwards."""
    for name in ("MUJOCO_GL", gl.PROBED):
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


@pytest.mark.parametrize("platform", ["osmesa", "egl", "glx", ""])
def test_dm_control_draws_whatever_pyopengls_platform_was(platform, tmp_path):
    """In a process of its own: it chooses for good when it is imported."""
    code = (
        "from viper_pipeline.core.process import settle\n"
        "from viper_pipeline.envs import SUITES\n"
        "settle()\n"
        "suite = SUITES.get('dmc')()\n"
        "env = suite.make('cartpole_balance', 0, {}, suite.frame_spec('cartpole_balance', {}, {}))\n"
        "print(env.reset(seed=0)[0].std() > 1)\n"
    )
    unset = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", gl.PROBED)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=unset | {"PYOPENGL_PLATFORM": platform}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "True", done.stderr[-500:]


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
