"""Toy projects: fresh ones, and one that has been run once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dvc_bridge.toy import Toy

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No word to anybody."""
    for name in ("DVC_NO_ANALYTICS", "KEDRO_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, "1")


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    """A fresh project, whose package this process may import."""
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    monkeypatch.chdir(tmp_path)
    yield Toy.make(tmp_path, f"toy{next(_numbers)}")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A project that `viper run -j 2` has brought up to date. Not to be changed: take a copy."""
    toy = Toy.make(tmp_path_factory.mktemp("built") / "toy", "toy")
    toy.run("viper", "dvc", "sync")
    toy.run("viper", "run", "-j", "2")
    return toy


@pytest.fixture
def ready(built: Toy, tmp_path: Path) -> Toy:
    """A copy of it."""
    copy = built.copy(tmp_path / "toy")
    copy.ran()
    return copy
