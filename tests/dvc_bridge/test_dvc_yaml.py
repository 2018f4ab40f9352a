"""dvc.yaml says what the pipelines are: all of it, nothing else, or it is refused."""

from __future__ import annotations

import pickle

import pytest
import yaml

from tests.dvc_bridge.toy import Toy
from viper_pipeline.core.errors import BadParams
from viper_pipeline.dvc_bridge import dvc_yaml
from viper_pipeline.dvc_bridge.dvc_yaml import COMMAND
from viper_pipeline.dvc_bridge.project import project_of, read_params
from viper_pipeline.dvc_bridge.run_stage import guard
from viper_pipeline.dvc_bridge.templates import Wiring

SECOND_SUITE = {
    "tasks": ["dog", "cat", "owl"],
    "datasets": {name: {"path": f"data/raw/{name}"} for name in ("dog", "cat", "owl")},
    "oracles": {name: {"skill": 1} for name in ("dog", "cat", "owl")},
    "clean": {"keep": 1},
    "video_models": ["gpt", "git"],
    "gpt": {"width": 1},
    "git": {"width": 1},
    "agents": ["drq", "dreamer"],
    "drq": {"rate": 1},
    "dreamer": {"rate": 1},
}


def commands(toy: Toy) -> list[str]:
    """Every stage's command, as DVC itself expands the templates."""
    from dvc.repo import Repo

    with Repo(str(toy.root)) as repo:
        return sorted(stage.cmd for stage in repo.index.stages)


def test_dvc_sees_exactly_the_nodes(toy: Toy) -> None:
    toy.set("seeds", [0, 7])
    toy.set("suites.other_suite", SECOND_SUITE)
    dvc_yaml.write_files(toy.root)
    params = read_params(toy.root / "params.yaml")
    nodes = [(group, node.name) for group, p in project_of(toy.root).build(params).items() for node in p.nodes]
    assert commands(toy) == [f"{COMMAND} dvc code", *sorted(f"{COMMAND} stage {group} {name}" for group, name in nodes)]
    assert len(nodes) == (2 + 2 + 4 + 1) + (3 + 3 + 12 + 2) + 1


def test_what_is_committed_to_git_is_not_removed_before_its_successor_is_there(toy: Toy) -> None:
    dvc_yaml.write_files(toy.root)
    said = yaml.safe_load((toy.root / "dvc.yaml").read_text())["stages"]["collect"]
    assert said["metrics"] == [{"reports/scores.json": {"cache": False, "persist": True}}]


def test_a_stage_reads_and_writes_in_dvc_what_its_node_does(toy: Toy) -> None:
    from dvc.repo import Repo

    toy.set("suites.other_suite", SECOND_SUITE)
    dvc_yaml.write_files(toy.root)
    params = read_params(toy.root / "params.yaml")
    wired = {stage.node: stage for stage in Wiring(toy.root).stages(params)}
    with Repo(str(toy.root)) as repo:
        for stage in [stage for stage in repo.index.stages if stage.name != "code"]:
            node = wired[stage.cmd.split()[-1]]
            paths = {dep.def_path for dep in stage.deps if dep.def_path not in ("params.yaml", "code.yaml")}
            names = {dep.def_path: set(dep.params) for dep in stage.params}
            assert paths == set(node.deps)
            assert set(node.params) <= names["params.yaml"]
            assert [name.split(".")[:2] for name in names["code.yaml"]] == [[node.group, node.name]]
            assert {out.def_path for out in stage.outs} == set(node.outs)


@pytest.mark.parametrize(
    "name, value",
    [
        ("suites.one.datasets.red.path", "data/raw/red_other.txt"),
        ("suites.one.drq.rate", 9),
        ("suites.one.oracles.blue.skill", 9),
        ("report.digits", 1),
    ],
)
def test_values_do_not_change_dvc_yaml(toy: Toy, name: str, value: object) -> None:
    dvc_yaml.write_files(toy.root)
    toy.set(name, value)
    assert dvc_yaml.check_files(toy.root) == ""


def test_a_second_sync_does_nothing(toy: Toy) -> None:
    assert len(dvc_yaml.write_files(toy.root)) == 4
    assert dvc_yaml.write_files(toy.root) == []


def test_drift_is_shown_and_mended(toy: Toy) -> None:
    dvc_yaml.write_files(toy.root)
    path = toy.root / "pipelines/one/dvc.yaml"
    path.write_text(path.read_text().replace("one.oracles", "one.others"))
    difference = dvc_yaml.check_files(toy.root)
    assert "-    - suites.one.others" in difference and "+    - suites.one.oracles" in difference
    assert dvc_yaml.write_files(toy.root) == ["wrote pipelines/one/dvc.yaml"]
    assert dvc_yaml.check_files(toy.root) == ""


def test_a_suite_that_is_gone_loses_its_file_and_others_are_left_alone(toy: Toy) -> None:
    toy.set("suites.other_suite", SECOND_SUITE)
    dvc_yaml.write_files(toy.root)
    mine = toy.root / "pipelines/mine/dvc.yaml"
    mine.parent.mkdir()
    mine.write_text("stages: {}\n")
    params = read_params(toy.root / "params.yaml")
    del params["suites"]["other_suite"]
    (toy.root / "params.yaml").write_text(yaml.safe_dump(params))
    assert "removed pipelines/other_suite/dvc.yaml" in dvc_yaml.write_files(toy.root)
    assert mine.exists()


def test_drift_fails_the_command(ready: Toy) -> None:
    assert ready.run("kedro", "dvc", "check").returncode == 0
    ready.set("suites.one.tasks", ["red"])
    done = ready.run("viper", "dvc", "check", check=False)
    assert done.returncode == 1
    assert "-    - data/clean/one/blue.h5" in done.stdout
    assert "viper dvc sync" in done.stderr


@pytest.mark.parametrize(
    "old, new, said",
    [
        (
            'for task in spec["tasks"]:\n',
            'for task in spec["tasks"]:\n        if task == "red":\n            continue\n',
            "red is missing",
        ),
        ("task, clean,", "task, train_oracle if task == 'red' else clean,", "function"),
        ('f"{p}.clean"', 'f"{p}.clean" if task == "red" else f"{p}.drq"', "parameters"),
        ('f"{suite}/gpt/model"', 'f"{suite}/gpt/model" if task == "red" else f"{suite}/{task}/clean"', "reads"),
    ],
)
def test_treating_one_task_unlike_the_others_is_refused(toy: Toy, old: str, new: str, said: str) -> None:
    toy.edit("pipeline_registry.py", old, new)
    with pytest.raises(BadParams, match=said) as error:
        dvc_yaml.write_files(toy.root)
    assert "one." in str(error.value)
    assert not (toy.root / "dvc.yaml").exists()


def test_a_lookup_while_building_is_refused_with_a_remedy(toy: Toy) -> None:
    toy.edit("pipeline_registry.py", "task=task)", 'task=spec["oracles"][task]["skill"])')
    toy.set("suites.one.oracles", {"red": {"skill": 1}, "blue": {"skill": 2}})
    with pytest.raises(BadParams, match="params:"):
        dvc_yaml.write_files(toy.root)


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('{"report": "params:report", **runs}', '{"report": "parameters", **runs}', "all `parameters`"),
        ('"scores")', '"unheard_of")', "unheard_of has no file"),
        ('stage("report", "collect"', 'stage("elsewhere", "collect"', "is called report"),
    ],
)
def test_nodes_that_dvc_cannot_hold_are_refused(toy: Toy, old: str, new: str, said: str) -> None:
    toy.edit("pipeline_registry.py", old, new)
    with pytest.raises(BadParams, match=said):
        dvc_yaml.write_files(toy.root)


def test_the_guard_lets_values_pass_and_stops_another_shape(toy: Toy) -> None:
    dvc_yaml.write_files(toy.root)
    toy.set("suites.one.gpt.width", 5)
    guard(toy.root, "one", "one.train_model.gpt")
    toy.set("seeds", [0, 1])
    guard(toy.root, "one", "one.train_model.gpt")  # reads nothing that the seeds decide
    with pytest.raises(BadParams, match="viper dvc sync"):
        guard(toy.root, "report", "report.collect.all")
    with pytest.raises(BadParams, match=r"no node one\.train_model\.gqt"):
        guard(toy.root, "one", "one.train_model.gqt")


def test_what_was_found_right_is_not_built_again_until_a_file_changes(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    dvc_yaml.write_files(toy.root)
    node = pickle.loads(guard(toy.root, "one", "one.train_model.gpt"))
    assert node.name == "one.train_model.gpt" and node.func.keywords == {"model": "gpt"}

    def never(*_: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr("viper_pipeline.dvc_bridge.run_stage._checked", never)
    assert guard(toy.root, "one", "one.train_model.gpt")
    toy.edit("plugged/gpt.py", "'g'", "'gg'")
    with pytest.raises(AssertionError, match="built again"):
        guard(toy.root, "one", "one.train_model.gpt")


def test_plots_name_every_file(toy: Toy) -> None:
    toy.set("seeds", [0, 1, 2])
    dvc_yaml.write_files(toy.root)
    document = yaml.safe_load((toy.root / "pipelines/one/dvc.yaml").read_text())
    (plot,) = document["plots"]
    assert len(plot["one train_agent"]["y"]) == 2 * 3
