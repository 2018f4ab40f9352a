"""`kedro dvc sync` and `kedro dvc check`: the same as `viper dvc ...`."""

from __future__ import annotations

import click

from viper_pipeline.commands import dvc


@click.group(name="viper")
def commands() -> None:
    """Kedro and DVC together."""


commands.add_command(dvc)
