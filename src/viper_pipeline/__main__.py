"""`viper`, and `python -m viper_pipeline`."""

from __future__ import annotations

import importlib.metadata
import os
import sys


def main() -> None:
    """Run the command; what a user can mend ends in one message, without a traceback."""
    os.environ.setdefault("KEDRO_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from viper_pipeline.commands import cli
    from viper_pipeline.core.process import settle

    settle()
    try:
        cli(prog_name="viper")
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        sys.stderr.write(f"{message}\n")
        if "no space left" in message:  # HDF5 tries once more to write when the process ends, and crashes
            sys.stderr.flush()
            os._exit(1)
        raise SystemExit(1) from None


def _message(error: BaseException) -> str | None:
    """What to show the user: the ViperError that caused `error`, since Kedro wraps what datasets raise.

    What the operating system or DVC refuses, and a library that is not installed, is said in a line, too. None for
    everything else, which is our mistake, and for all errors where VIPER_TRACEBACK is set.
    """
    from viper_pipeline.core.errors import ViperError, os_message
    from viper_pipeline.core.extras import missing_library

    if os.environ.get("VIPER_TRACEBACK"):
        return None
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None and cause not in causes:
        causes.append(cause)
    for one in causes:
        found = one if isinstance(one, ViperError) else missing_library(one)
        if found is not None:
            return str(found)
    for one in reversed(causes):
        if isinstance(one, OSError):
            return os_message(one)
        if isinstance(one, importlib.metadata.PackageNotFoundError):
            return f"{one.name} is not installed, which this suite needs: `pip install {one.name}`"
    if type(error).__module__.partition(".")[0] == "dvc":
        return f"DVC: {' '.join(str(error).split())}"
    return None


if __name__ == "__main__":
    main()
