"""What a process of this project sets, and refuses, before it does anything: the same for `viper`, Kedro and notebooks.

None of it changes what a stage computes, so none of it is part of a stage's code.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from types import ModuleType

from viper_pipeline.core.errors import BadEnvironment

LOCKS = "HDF5_USE_FILE_LOCKING"
PLATFORM = "PYOPENGL_PLATFORM"


def settle(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set what libraries read from the environment when they are first used.

    HDF5 locks files even to read them, which NFS and read-only places may refuse. Here files appear whole, under their
    names only when they are finished, so nobody writes what is read.

    PyOpenGL's choice of a platform is left to MuJoCo, which sets it to the backend that is tried and taken: dm_control
    refuses to be imported where the two differ. A variable MUJOCO_GL is respected.
    """
    environment.setdefault(LOCKS, "FALSE")
    platform = environment.get(PLATFORM, "").lower()
    if platform and platform != environment.get("MUJOCO_GL", "").lower():
        del environment[PLATFORM]


def load_triton() -> None:
    """Import triton, if it is installed, before an OpenGL driver is; torch's builds for CUDA bring it.

    Mesa's software driver and triton hold an LLVM each. With the driver's loaded first, torch's import of triton, for
    its first optimizer, ends the process with a segmentation fault; the other way round both work.
    """
    if "triton" not in sys.modules and importlib.util.find_spec("triton"):
        with contextlib.suppress(Exception):  # torch does without a broken one
            importlib.import_module("triton")


def refuse_unguarded_script(main: ModuleType | None = None) -> None:
    """Raise BadEnvironment in a script that cannot start processes: each of them would run the whole script anew.

    main: the module that was started; default: this process'.
    """
    main = main or sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if main is None or getattr(main, "__spec__", None) is not None or not file or not Path(file).is_file():
        return
    if "__main__" not in Path(file).read_text(errors="replace"):
        raise BadEnvironment(
            f"{file}: stages start processes of their own, and each would run this script anew; put what it does under "
            '`if __name__ == "__main__":`'
        )
