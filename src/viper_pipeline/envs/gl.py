"""Which OpenGL MuJoCo draws with on this machine; chosen before the simulator is imported."""

from __future__ import annotations

import os
import subprocess
import sys

from viper_pipeline.core.errors import BadEnvironment

CANDIDATES = ("egl", "osmesa")
PROBED = "VIPER_GL_BACKEND"
# A broken driver may abort the process instead of raising, hence a process of its own.
PROBE = """
from mujoco.gl_context import GLContext
context = GLContext(64, 64)
context.make_current()
from OpenGL import GL
assert GL.glGetString(GL.GL_VERSION), "no OpenGL version"
print("drawn", flush=True)
import os
os._exit(0)
"""
REMEDY = (
    "Install one of them (Debian, Ubuntu): `apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri` for EGL, "
    "or `apt-get install libosmesa6` for OSMesa; then run the same command again."
)


def gl_backend() -> str:
    """The name of a backend that works; sets MUJOCO_GL for this process and its children.

    A MUJOCO_GL that is set already is respected and checked; `disabled` too, which simulates but cannot draw.
    The answer is kept in the environment, so a process and its children try only once.
    Raises BadEnvironment, with what to install, where nothing works.
    """
    wish = os.environ.get("MUJOCO_GL", "").lower()
    known = os.environ.get(PROBED)
    if known and wish in ("", known):
        os.environ["MUJOCO_GL"] = known
        return known
    if wish in ("disabled", "disable", "off", "false", "0"):
        return "disabled"
    reasons = {}
    for candidate in (wish,) if wish else CANDIDATES:
        reason = why_not(candidate)
        if reason is None:
            os.environ["MUJOCO_GL"] = os.environ[PROBED] = candidate
            return candidate
        reasons[candidate] = reason
    tried = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    also = " (MUJOCO_GL is set; unset it to let a backend be chosen.)" if wish else ""
    raise BadEnvironment(f"MuJoCo cannot draw here, no OpenGL backend works ({tried}).{also} {REMEDY}")


def why_not(backend: str) -> str | None:
    """None if a process of its own can draw with `backend`, else the reason in one line."""
    environment = {**os.environ, "MUJOCO_GL": backend}
    environment.pop("PYOPENGL_PLATFORM", None)  # set by an earlier import of another backend
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        return "no answer in 120 s"
    if done.returncode == 0 and "drawn" in done.stdout:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1][:200] if lines else f"the process ended with code {done.returncode}"
