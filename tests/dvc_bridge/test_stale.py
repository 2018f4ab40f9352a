"""What a change makes stale: these stages, and no others."""

from __future__ import annotations

import pytest

from tests.dvc_bridge.toy import STAGES, Toy

CODE = {
    "oracles.py": ('{"task"', '{"the task"', {"train_oracle"}),
    "cleaning.py": ("lines(source)", "sorted(lines(source))", {"clean"}),
    "text.py": (".split()", ".split(',')", {"clean"}),
    "training.py": ("i + 1", "1 + i", {"train_model"}),
    "plugged/gpt.py": ("'g'", "'h'", {"train_model"}),
    "acting.py": ("{score}", "{-score}", {"train_agent"}),
    "plugged/drq.py": ("rate\n", "rate + 0\n", {"train_agent"}),
    "reporting.py": ("round(", "abs(", {"collect"}),
    # not chosen in params.yaml
    "plugged/git.py": ("'m'", "'n'", set()),
    "plugged/dreamer.py": ("-rate", "+rate", set()),
    # what of a table is not chosen, the wiring, the datasets, the settings
    "plugged/__init__.py": ("dreamer:act", "dreamer:other", set()),
    "pipeline_registry.py": ("    out = {", "    out = {} | {", set()),
    "datasets.py": ("sort_keys=True", "sort_keys=1", set()),
    "settings.py": ("HOOKS = (", "HOOKS = (*(), ", set()),
}
"""file -> an expression, what it becomes, and the stages that this makes stale"""
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
def test_an_expression_makes_its_stages_stale_and_a_comment_none(ready: Toy, name: str) -> None:
    old, new, groups = CODE[name]
    path = ready.root / "src/toy" / name
    path.write_text(f'"""Other words."""\n\n{path.read_text()}\n# another line\n')
    assert ready.stale() == set()
    ready.edit(name, old, new)
    assert ready.stale() == {stage for group in groups for stage in STAGES[group]}


@pytest.mark.parametrize("name", PARAMS)
def test_parameters(ready: Toy, name: str) -> None:
    ready.set(name, "data/raw/red_other.txt" if name.endswith("path") else 1.5)
    assert ready.stale() == PARAMS[name]


def test_every_source_file_that_is_no_plumbing_has_a_row() -> None:
    from tests.dvc_bridge.toy import FILES

    plumbing = {"__init__.py", "tally.py"}
    files = {name.removeprefix("src/PACKAGE/") for name in FILES if name.startswith("src/")}
    assert files - plumbing == set(CODE)
