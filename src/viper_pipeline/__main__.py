"""`viper`, and `python -m viper_pipeline`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command; what a user can mend ends in one message."""
    os.environ.setdefault("KEDRO_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from viper_pipeline.cli import cli
    from viper_pipeline.errors import ViperError

    try:
        cli(standalone_mode=True)
    except ViperError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
