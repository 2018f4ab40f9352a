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


@pytest.mark.parametrize("written", ["2e-5", "0.00002", "2.0e-05"])
def test_a_number_is_the_same_however_it_is_written(ready: Toy, written: str) -> None:
    """DVC writes 2e-05 into its lock file; YAML's readers disagree whether that is a number."""
    from viper_pipeline.dvc_bridge.lineage import stale_outputs

    path = ready.root / "params.yaml"
    ready.set("suites.one.drq.rate", 12345)
    path.write_text(path.read_text().replace("12345", written))
    ready.run("viper", "run")
    path.write_text(path.read_text().replace(written, "2e-05"))
    assert ready.stale() == set() and stale_outputs(ready.root) == {}
    assert "9 up to date" in ready.run("viper", "run").stdout


def test_a_target_is_named_from_the_folder_that_one_is_in(ready: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    from viper_pipeline.commands import from_root

    monkeypatch.chdir(ready.root / "pipelines/one")
    assert from_root("dvc.yaml:clean@red", ready.root) == "pipelines/one/dvc.yaml:clean@red"
    assert from_root("dvc.yaml", ready.root) == "pipelines/one/dvc.yaml"
    assert from_root("pipelines/one/dvc.yaml:clean@red", ready.root) == "pipelines/one/dvc.yaml:clean@red"
    assert from_root("collect", ready.root) == "collect"
