"""The command line answers at once, and knows every command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from viper_pipeline.commands import SECTIONS, cli

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "kedro", "dvc", "h5py", "numpy", "mujoco", "gymnasium", "rich", "yaml"}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['viper', '--help']\n"
        "try:\n"
        "    from viper_pipeline.__main__ import main; main()\n"
        "except SystemExit:\n"
        f"    print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    expected = "card check cost dvc export-reward figures import lineage params run score stage"
    for command in expected.split():
        assert f"\n  {command} " in done.stdout


def test_help_lists_every_command_once_and_on_one_line() -> None:
    listed = [name for commands in SECTIONS.values() for name in commands]
    assert sorted(listed) == sorted(cli.commands)
    lines = CliRunner().invoke(cli, ["--help"]).output.splitlines()
    for commands in SECTIONS.values():
        for name, text in commands.items():
            assert any(line.split(maxsplit=1) == [name, text] for line in lines), name


def test_every_command_explains_itself() -> None:
    for name, command in cli.commands.items():
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0 and command.help.split(".")[0].split("\n")[0][:20] in result.output


def test_no_jobs_are_refused() -> None:
    assert CliRunner().invoke(cli, ["run", "-j", "0"]).exit_code == 2


def test_kedro_keeps_its_own_run() -> None:
    """Kedro would replace its commands by those of a module called `cli` in the package."""
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "--from-nodes" in done.stdout and "--jobs" not in done.stdout
