"""`viper`, and `python -m viper_pipeline`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command; what a user can mend ends in one message, without a traceback."""
    os.environ.setdefault("KEDRO_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from viper_pipeline.commands import cli

    try:
        cli(prog_name="viper")
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        sys.stderr.write(f"{message}\n")
        raise SystemExit(1) from None


def _message(error: BaseException | None) -> str | None:
    """What to show the user: the ViperError that caused `error`, since Kedro wraps what datasets raise.

    A library of an extra that is not installed is one, too.
    """
    from viper_pipeline.core.errors import ViperError
    from viper_pipeline.core.extras import missing_library

    while error is not None:
        found = error if isinstance(error, ViperError) else missing_library(error)
        if found is not None:
            return str(found)
        error = error.__cause__
    return None


if __name__ == "__main__":
    main()
