"""Runs the code blocks of a Markdown page, in their order, as a reader would."""

import re
import shlex
import tomllib
from pathlib import Path

from click.testing import CliRunner
from packaging.requirements import Requirement

from viper_pipeline.commands import cli

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(markdown):
    """(language, text) of every fenced block; without a language they are commands."""
    return [(language or "shell", text) for language, text in BLOCK.findall(markdown)]


def run_blocks(markdown):
    """Run every block in the working folder: Python in one namespace, `viper` commands in this process.

    Of `pip install`, the extras must exist; of `python FILE`, the file. Any other kind of block is an error, so that
    none is left out unseen. Returns the Python namespace, and how many blocks there were.
    """
    names, found = {"__name__": "page"}, blocks(markdown)
    for number, (language, text) in enumerate(found):
        if language == "python":
            exec(compile(text, f"block {number}", "exec"), names)
        elif language == "shell":
            for line in filter(None, map(str.strip, text.splitlines())):
                run_command(shlex.split(line, comments=True))
        else:
            raise AssertionError(f"block {number} is {language}: say here how to run it")
    return names, len(found)


def run_command(words):
    if words[0] == "viper":
        CliRunner().invoke(cli, words[1:], catch_exceptions=False)
    elif words[:2] == ["pip", "install"]:
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for word in words[2:]:
            asked = Requirement(re.sub(r"^\.", "viper-pipeline", word))
            assert asked.name == "viper-pipeline" and asked.extras <= set(known), word
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file(), words[1]  # run by tests/rewards/test_gym.py
    else:
        raise AssertionError(f"{shlex.join(words)}: say here how to run it")
