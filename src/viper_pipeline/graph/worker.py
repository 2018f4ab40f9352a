"""One stage on another machine: what engines with workers of their own run there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from viper_pipeline.core.errors import BadEnvironment
from viper_pipeline.graph.engines import Local
from viper_pipeline.graph.resources import Resources

OWN = ("CUDA_VISIBLE_DEVICES", "HOSTNAME", "TMPDIR")
"""Environment variables that say where a process is; all others are the driver's."""
PAUSE = 0.1


def work(command: str, folder: str, log: str, driver: Mapping[str, str] | None = None) -> int:
    """Run a command and return its exit code. It ends with this process, however that ends.

    driver: the environment in which the same command would run on the driver's machine.
    """
    if not Path(folder).is_dir():
        raise BadEnvironment(f"{os.uname().nodename}: there is no {folder}; engines need a shared file system")
    env = dict(os.environ)
    if driver is not None:
        env = {name: value for name, value in driver.items() if name not in OWN}
        env |= {name: os.environ[name] for name in OWN if name in os.environ}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"
    here = Local(1, env)
    here.submit("it", command, Path(folder), Path(log), Resources())
    try:
        while not (ended := here.ended()):
            time.sleep(PAUSE)
        return ended[0][1]
    finally:
        here.cancel()
