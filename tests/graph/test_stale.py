"""What a change makes stale: these stages, and no others."""

from __future__ import annotations

import pytest

from tests.graph.toy import STAGES, Toy

CODE = {
    "oracles.py": {"train_oracle"},
    "cleaning.py": {"clean"},
    "text.py": {"clean"},
    "training.py": {"train_model"},
    "plugged/gpt.py": {"train_model"},
    "acting.py": {"train_agent"},
    "plugged/drq.py": {"train_agent"},
    "reporting.py": {"collect"},
    # not chosen in params.yaml
    "plugged/git.py": set(),
    "plugged/dreamer.py": set(),
    # a table of plugs, the wiring, the datasets, the settings
    "plugged/__init__.py": set(),
    "pipeline_registry.py": set(),
    "datasets.py": set(),
    "settings.py": set(),
}
PARAMS = {
    "suites.one.oracles.red.skill": {"train_oracle@red"},
    "suites.one.clean.keep": STAGES["clean"],
    "suites.one.gpt.width": STAGES["train_model"],
    "suites.one.drq.rate": STAGES["train_agent"],
    "suites.one.datasets.red.path": {"clean@red"},
    "report.digits": STAGES["collect"],
}


def test_nothing_is_stale_at_first(ready: Toy) -> None:
    assert ready.stale() == set()


@pytest.mark.parametrize("name", CODE)
def test_code(ready: Toy, name: str) -> None:
    path = ready.root / "src/toy" / name
    path.write_text(path.read_text() + "\n# another line\n")
    assert ready.stale() == {stage for group in CODE[name] for stage in STAGES[group]}


@pytest.mark.parametrize("name", PARAMS)
def test_parameters(ready: Toy, name: str) -> None:
    ready.set(name, "data/raw/red_other.txt" if name.endswith("path") else 1.5)
    assert ready.stale() == PARAMS[name]


def test_every_source_file_that_is_no_plumbing_has_a_row() -> None:
    from tests.graph.toy import FILES

    plumbing = {"__init__.py", "tally.py"}
    files = {name.removeprefix("src/PACKAGE/") for name in FILES if name.startswith("src/")}
    assert files - plumbing == set(CODE)
